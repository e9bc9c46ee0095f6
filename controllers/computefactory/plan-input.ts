/** From objects to what the planner works on. Pure. */
import { conditionOf, isTrue } from '#lib/api/conditions.ts';
import type { Cluster, ComputeFactory, VirtualMachine } from '#lib/api/generated/index.ts';
import { unreachableSince } from '#lib/api/lost.ts';
import { matchesSelector } from '#lib/api/selectors.ts';
import { awayClusters, closedClusters, shiftAfterMs } from './away.ts';
import type { ClusterState, PlanInput, PoolState } from './plan-state.ts';
import { roomOf } from './room.ts';
import type { PoolView } from './scope.ts';
import { isFlexible, type Shape, weightOf } from './sizes.ts';

/**
 * How long the scheduler must have refused a machine before it may be planned anew: longer than a cluster's report of its room lags
 * behind a placement; and for a shape of fixed size, longer than it takes until its preferred place may become free (spec.shiftAfter).
 */
export function refusedForMs(factory: ComputeFactory): { readonly flexible: number; readonly fixed: number } {
  return { flexible: 5_000, fixed: shiftAfterMs(factory) };
}

/** Clusters that the placement allows, by name. */
export function allowedClusters({ spec }: ComputeFactory, clusters: readonly Cluster[]): readonly Cluster[] {
  const { clusters: names = [], clusterSelector } = spec.placement ?? {};
  return clusters
    .filter(({ metadata }) => names.length === 0 || names.includes(metadata.name))
    .filter(({ metadata }) => matchesSelector(clusterSelector, metadata.labels))
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

export const isUsable = (cluster: Cluster) => isTrue(cluster, 'Ready') && !cluster.spec.unschedulable;

export function planInput(
  factory: ComputeFactory,
  shapes: readonly Shape[],
  clusters: readonly Cluster[],
  pools: readonly PoolView[],
  target: number,
  nowMs: number,
): PlanInput {
  const { capacity, overshoot, template } = factory.spec;
  const weight = (view: PoolView) => weightOf(capacity.unit, view.size);
  const hasFlexible = shapes.some(isFlexible);
  const away = awayClusters(factory, clusters, nowMs);
  const closed = closedClusters(factory, clusters, nowMs);
  const { flexible, fixed } = refusedForMs(factory);
  const surroundings: Surroundings = {
    isAway: (cluster) => away.has(cluster),
    isClosed: (cluster) => closed.has(cluster),
    refusedForMs: ({ size }) => (hasFlexible && size.instanceType === undefined ? flexible : fixed),
    nowMs,
  };
  return {
    unit: capacity.unit,
    target,
    max: capacity.max ?? Number.POSITIVE_INFINITY,
    overshoot,
    isAtomic: factory.spec.fulfilment === 'AllOrNothing',
    shapes,
    clusters: clusters.map(
      (cluster): ClusterState => ({
        name: cluster.metadata.name,
        usable: isUsable(cluster),
        room: roomOf(cluster, template.spec.placement),
      }),
    ),
    pools: pools.map((view) => poolState(view, surroundings)),
    leaving: pools.reduce((sum, view) => sum + (leavingOf(view).length + view.lost.length) * weight(view), 0),
    leavingUnreachable: pools.reduce((sum, view) => {
      const isOut = (vm: VirtualMachine) => away.has(view.cluster) || isUnreachable(vm);
      return sum + (leavingOf(view).filter(isOut).length + view.lost.length) * weight(view);
    }, 0),
  };
}

interface Surroundings {
  readonly isAway: (cluster: string) => boolean;
  readonly isClosed: (cluster: string) => boolean;
  /** How long machines of a pool must have been refused. */
  readonly refusedForMs: (view: PoolView) => number;
  readonly nowMs: number;
}

function poolState(view: PoolView, { isAway, isClosed, refusedForMs, nowMs }: Surroundings): PoolState {
  const { pool, cluster, size, machines } = view;
  const wanted = machines.filter(isWanted);
  const waiting = wanted.filter((vm) => !vm.status?.attempt);
  const placed = wanted.length - waiting.length;
  const before = nowMs - refusedForMs(view);
  return {
    cluster,
    size,
    // A pool that is being deleted makes no machines; what is left of it is leaving.
    replicas: pool.metadata.deletionTimestamp ? 0 : pool.spec.replicas,
    placed,
    away: isAway(cluster) ? placed : 0,
    ready: wanted.filter((vm) => isTrue(vm, 'Ready')).length,
    // A cluster server that is away cannot refuse any.
    refused: waiting.filter((vm) => isClosed(cluster) || refusedAt(vm) <= before).length,
  };
}

/** Reasons of Scheduled that another size or cluster would do nothing about. */
const notForWantOfRoom = new Set(['BackOff', 'LaunchBackoff', 'LaunchLimit']);

/** Since when no host has had room for it; Infinity while nobody has said so. */
export function refusedAt(vm: VirtualMachine): number {
  const scheduled = conditionOf(vm, 'Scheduled');
  const isRefusal =
    vm.status?.phase === 'Scheduling' && scheduled?.status === 'False' && !notForWantOfRoom.has(scheduled.reason);
  return isRefusal && !vm.status.attempt ? Date.parse(scheduled.lastTransitionTime) : Number.POSITIVE_INFINITY;
}

export const isEnded = (vm: VirtualMachine) => vm.status?.phase === 'Succeeded' || vm.status?.phase === 'Failed';
export const isWanted = (vm: VirtualMachine) => vm.metadata.deletionTimestamp === undefined && !isEnded(vm);
export const isUnreachable = (vm: VirtualMachine) => unreachableSince(vm) !== undefined;

/** Machines that hold, or may hold, something and are not wanted: being deleted, or more than their pool is to have. */
export function leavingOf({ pool, machines }: PoolView): readonly VirtualMachine[] {
  const going = machines.filter((vm) => vm.metadata.deletionTimestamp !== undefined && !isEnded(vm));
  const replicas = pool.metadata.deletionTimestamp ? 0 : pool.spec.replicas;
  const surplus = machines.filter(isWanted).slice(replicas);
  return [...going, ...surplus];
}

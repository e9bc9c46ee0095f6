/** Why units are missing: one reason word, and per cluster what those say who refused. Pure. */
import { conditionOf } from '#lib/api/conditions.ts';
import { formatAge } from '#lib/api/duration.ts';
import type { Cluster, VirtualMachine } from '#lib/api/generated/index.ts';
import { inUnits } from './figures.ts';
import { isUsable, isWanted } from './plan-input.ts';
import type { Scope } from './scope.ts';
import { weightOf } from './sizes.ts';

export interface Shortage {
  readonly units: number;
  readonly machines: number;
  readonly reason: string;
  readonly message: string;
}

/** Reasons of a machine's conditions -> reason of the factory's Fulfilled. What is not here is on its way. */
const reasonOf: Readonly<Record<string, string>> = {
  NoOffers: 'InsufficientCapacity',
  InsufficientCores: 'InsufficientCapacity',
  InsufficientMemory: 'InsufficientCapacity',
  NoMatchingHost: 'NoMatchingHosts',
  NoMatchingHosts: 'NoMatchingHosts',
  HostNotInventoried: 'InsufficientCapacity',
  InsufficientCapacity: 'InsufficientCapacity',
  ClusterDisconnected: 'ClusterDisconnected',
  BackOff: 'LaunchBackoff',
  LaunchBackoff: 'LaunchBackoff',
  SubnetExhausted: 'SubnetExhausted',
};

/** Whatever their reason. */
const prerequisites: Readonly<Record<string, string>> = {
  ImageReady: 'ImageNotReady',
  VolumesReady: 'VolumesNotReady',
};

interface Refusal {
  readonly cluster: string;
  readonly reason: string;
  readonly message: string;
  readonly weight: number;
}

/** undefined: nothing is missing, or what is missing is on its way. */
export function shortageOf(scope: Scope, nowMs: number): Shortage | undefined {
  const refusals = [...machineRefusals(scope), ...clusterRefusals(scope, nowMs)];
  const limit = limitRefusal(scope);
  if (limit) refusals.push(limit);
  const units = refusals.reduce((sum, { weight }) => sum + weight, 0);
  if (units === 0) return undefined;
  const counted = Map.groupBy(
    refusals.filter(({ weight }) => weight > 0),
    ({ reason }) => reason,
  );
  const reason = [...counted].toSorted((a, b) => b[1].length - a[1].length)[0]![0];
  const machines = refusals.filter(({ cluster, weight }) => cluster !== '' && weight > 0).length;
  const howMany = machines > 0 ? ` (${machines} ${machines === 1 ? 'VM' : 'VMs'})` : '';
  const text = `${inUnits(units, scope.factory.spec.capacity.unit)}${howMany} unfulfilled: ${perCluster(refusals)}. ${next(limit)}`;
  return { units, machines, reason, message: text.slice(0, 8192) };
}

const next = (limit: Refusal | undefined) =>
  limit ? 'It goes on by itself once that changes.' : 'Next attempt on next offer.';

/** The words of the machine that was refused for most others too; the scheduler counts hosts in them already. */
function perCluster(refusals: readonly Refusal[]): string {
  return [...Map.groupBy(refusals, ({ cluster }) => cluster)]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([cluster, list]) => {
      const common = [...Map.groupBy(list, ({ message }) => message)].toSorted((a, b) => b[1].length - a[1].length);
      const words = common[0]![0];
      // The scheduler names its cluster itself.
      return cluster === '' || words.startsWith(`${cluster}: `) ? words : `${cluster}: ${words}`;
    })
    .join('; ');
}

/**
 * What is said of machines of the factory that no host may take, however much room there is, such as "2 VMs wait: lab: 3 hosts: ..."; the
 * figures of clusters do not show it. undefined: there are none.
 */
export function withoutHost(scope: Pick<Scope, 'factory' | 'pools' | 'clusters'>): string | undefined {
  const refusals = machineRefusals(scope).filter(({ reason }) => reason === 'NoMatchingHosts');
  if (refusals.length === 0) return undefined;
  return `${refusals.length === 1 ? '1 VM waits' : `${refusals.length} VMs wait`}: ${perCluster(refusals)}`;
}

function machineRefusals({ factory, pools, clusters }: Pick<Scope, 'factory' | 'pools' | 'clusters'>): Refusal[] {
  const usable = new Set(clusters.filter(isUsable).map(({ metadata }) => metadata.name));
  return pools.flatMap(({ cluster, size, machines }) =>
    machines.filter(isWanted).flatMap((vm) => {
      const refusal = usable.has(cluster) ? refusalOf(vm) : undefined;
      return refusal ? [{ ...refusal, cluster, weight: weightOf(factory.spec.capacity.unit, size) }] : [];
    }),
  );
}

function refusalOf(vm: VirtualMachine): { reason: string; message: string } | undefined {
  if (vm.status?.attempt) return undefined;
  for (const type of ['ImageReady', 'VolumesReady', 'NetworkReady', 'Scheduled']) {
    const condition = conditionOf(vm, type);
    if (condition?.status !== 'False') continue;
    const reason = prerequisites[type] ?? reasonOf[condition.reason];
    return reason ? { reason, message: condition.message || condition.reason } : undefined;
  }
  return undefined;
}

/** Clusters that take no machines: with the weight of those that wait for them. */
function clusterRefusals({ factory, pools, clusters }: Scope, nowMs: number): Refusal[] {
  return clusters
    .filter((cluster) => !isUsable(cluster))
    .map((cluster) => {
      const { name } = cluster.metadata;
      const waiting = pools
        .filter((view) => view.cluster === name)
        .flatMap(({ machines, size }) =>
          machines
            .filter((vm) => isWanted(vm) && !vm.status?.attempt)
            .map(() => weightOf(factory.spec.capacity.unit, size)),
        );
      const weight = waiting.reduce((a, b) => a + b, 0);
      return { cluster: name, reason: 'ClusterDisconnected', message: whyUnusable(cluster, nowMs), weight };
    });
}

function whyUnusable(cluster: Cluster, nowMs: number): string {
  if (cluster.spec.unschedulable) return 'takes no new machines (spec.unschedulable)';
  const ready = conditionOf(cluster, 'Ready');
  if (!ready) return 'its cluster server has not reported yet';
  const words = ready.message || ready.reason;
  return `disconnected ${formatAge(nowMs - Date.parse(ready.lastTransitionTime))}${words ? ` (${words})` : ''}`;
}

/** What no machine stands for, because none was planned. */
function limitRefusal({ factory, plan, effectiveTarget }: Scope): Refusal | undefined {
  const weight = effectiveTarget - (plan?.units ?? 0);
  if (!plan || weight <= 0) return undefined;
  if (plan.shortOf === 'MaxReached')
    return {
      cluster: '',
      reason: 'MaxReached',
      message: `one more machine would exceed capacity.max ${factory.spec.capacity.max}`,
      weight,
    };
  if (plan.shortOf === 'NoCluster')
    return {
      cluster: '',
      reason: 'NoMatchingHosts',
      message: 'there is no Cluster that spec.placement allows',
      weight,
    };
  return undefined;
}

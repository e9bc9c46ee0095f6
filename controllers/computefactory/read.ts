/** From the objects around a factory to its plan: for the controller, and for whoever asks what a plan would be. Pure. */
import type { Cluster, ComputeFactory, InstanceType, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { isLost } from '#lib/api/lost.ts';
import { awayClusters } from './away.ts';
import { plan } from './plan.ts';
import { allowedClusters, planInput } from './plan-input.ts';
import { sizeOfPool } from './pool-draft.ts';
import { poolCluster } from './pool-name.ts';
import type { PoolView, Scope } from './scope.ts';
import { shapesOf } from './shapes.ts';

export interface Surroundings {
  readonly clusters: readonly Cluster[];
  readonly poolsOf: (factory: ComputeFactory) => readonly VMPool[];
  readonly machinesOf: (pool: VMPool) => readonly VirtualMachine[];
  readonly typeOf: (name: string) => InstanceType | undefined;
}

/** `target` is the effective one, in units. */
export function planned(
  factory: ComputeFactory,
  { clusters: all, poolsOf, machinesOf, typeOf }: Surroundings,
  target: number,
  nowMs: number,
): Pick<Scope, 'clusters' | 'pools' | 'away' | 'plan' | 'invalid'> {
  const pools = poolsOf(factory).flatMap((pool): PoolView[] => {
    const size = sizeOfPool(pool, typeOf);
    if (!size) return [];
    const { lost = [], there = [] } = Object.groupBy(machinesOf(pool), (vm) => (isLost(vm, nowMs) ? 'lost' : 'there'));
    return [{ pool, cluster: poolCluster(pool), size, machines: there, lost }];
  });
  const clusters = allowedClusters(factory, all);
  const away = awayClusters(factory, clusters, nowMs);
  const shapes = shapesOf(factory, typeOf);
  if ('reason' in shapes) return { clusters, pools, away, plan: undefined, invalid: shapes };
  const input = planInput(factory, shapes, clusters, pools, target, nowMs);
  return { clusters, pools, away, plan: plan(input), invalid: undefined };
}

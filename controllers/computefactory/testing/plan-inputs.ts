/** What planner tests are written with. */
import { plan } from '../plan.ts';
import type { ClusterState, PlanInput, PoolState } from '../plan-state.ts';
import type { FixedShape, FlexibleShape } from '../sizes.ts';

export const fixed = (cores: number, more: Partial<FixedShape> = {}): FixedShape => ({
  priority: 0,
  min: 0,
  max: Number.POSITIVE_INFINITY,
  size: { cores, memoryMiB: cores * 2048 },
  ...more,
});
export const flexible = (more: Partial<FlexibleShape> = {}): FlexibleShape => ({
  priority: 0,
  min: 0,
  max: Number.POSITIVE_INFINITY,
  minCores: 4,
  maxCores: 48,
  stepCores: 4,
  memoryMiBPerCore: 2048,
  ...more,
});
/** `[hosts, cores]` rows, with 4 GiB per core. */
export const cluster = (name: string, ...rows: readonly (readonly [number, number])[]): ClusterState => ({
  name,
  usable: true,
  room: rows.map(([hosts, cores]) => ({ hosts, cores, memoryMiB: cores * 4096 })),
});
export const pool = (cores: number, replicas: number, more: Partial<PoolState> = {}): PoolState => ({
  cluster: 'a',
  size: { cores, memoryMiB: cores * 2048 },
  replicas,
  placed: replicas,
  ready: replicas,
  refused: 0,
  away: 0,
  ...more,
});
export const input = (more: Partial<PlanInput>): PlanInput => ({
  unit: 'Cores',
  target: 200,
  max: Number.POSITIVE_INFINITY,
  overshoot: 'AllowLast',
  isAtomic: false,
  shapes: [flexible()],
  clusters: [cluster('a', [100, 48])],
  pools: [],
  leaving: 0,
  leavingUnreachable: 0,
  ...more,
});
/** "a:4x48 a:1x8" */
export const text = (given: PlanInput) =>
  plan(given)
    .pools.filter(({ replicas }) => replicas > 0)
    .map(({ cluster, size, replicas }) => `${cluster}:${replicas}x${size.cores}`)
    .join(' ');

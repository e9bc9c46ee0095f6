import type { VMPool } from '#lib/api/generated/index.ts';
import type { Facts } from './facts.ts';
import type { PoolPlan } from './plan.ts';

/** The world of one pool, read once. */
export interface Scope {
  readonly pool: VMPool;
  readonly revision: string;
  readonly machines: readonly Facts[];
  readonly plan: PoolPlan;
  /** Attempts that were given leave to go, by uid of their machine. */
  readonly granted: Map<string, string>;
  /** Figures changed too short a time after the last write of them. */
  holdStatus: boolean;
}

import type { Cluster, ComputeFactory, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import type { Plan } from './plan.ts';
import type { Size } from './sizes.ts';

/** A pool of the factory with its machines. */
export interface PoolView {
  readonly pool: VMPool;
  readonly cluster: string;
  readonly size: Size;
  /** Without those that are lost. */
  readonly machines: readonly VirtualMachine[];
  /** Their hosts have not answered for so long that the pool may have others in their place. They may run. */
  readonly lost: readonly VirtualMachine[];
}

/** The world of one factory, read once. */
export interface Scope {
  readonly factory: ComputeFactory;
  readonly clusters: readonly Cluster[];
  readonly pools: readonly PoolView[];
  /** Names of Clusters whose machines count no more. */
  readonly away: ReadonlySet<string>;
  /** Target after suspend. */
  readonly effectiveTarget: number;
  /** undefined with `invalid` saying why there is none. */
  readonly plan: Plan | undefined;
  readonly invalid: { readonly reason: string; readonly message: string } | undefined;
  /** When something that is waited for may have become due, without an event. */
  readonly lookAgainMs: number | undefined;
  holdStatus: boolean;
}

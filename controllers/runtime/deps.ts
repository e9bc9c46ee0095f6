/**
 * What a controller is given. Every controller is made by one function of these, in controllers/controllers.ts:
 *
 *   export function vmPoolController(deps: Deps): Controller<VMPool, Scope> {
 *     const machines = deps.cache(VirtualMachine, { pool: (vm) => [vm.metadata.labels?.[labels.pool] ?? ''] });
 *     return { name: 'vmpool', for: VMPool, reads: [VirtualMachine], writes: [VirtualMachine], … };
 *   }
 *
 * Call `deps.cache` while the controller is being made, once per kind, never inside a phase: that is when informers and their indexes
 * are declared. Read what is cached through it; use `deps.client` for writes, and for the reads that must be certain (before
 * anything destructive is decided on an absence). Both refuse kinds that `reads`, `writes` and `for` do not name (access.ts).
 * Time and chance come from `run.nowMs`, `deps.clock` and `deps.random` only.
 */
import type { Kind, KubeObject } from '#lib/api/meta.ts';
import type { Cache, Indexes } from '#lib/client/cache.ts';
import type { Client } from '#lib/client/client.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { Declared } from './access.ts';
import type { Ending, Phase, Run, Trigger } from './controller.ts';
import type { ControllerStats } from './run-controller.ts';

/** Tells users what happened to an object. Never fails and never waits: what cannot be kept up with is dropped and counted. */
export interface Events {
  /** `reason` is one CamelCase word, `message` a sentence; the same ones again raise the count of one Event. */
  normal(about: KubeObject, reason: string, message: string): void;
  warning(about: KubeObject, reason: string, message: string): void;
}

export interface Deps {
  readonly client: Client;
  /** The shared cache of a kind. Every cache has the index `owner`: uids of its ownerReferences. */
  cache<T extends KubeObject>(kind: Kind<T>, indexes?: Indexes<T>): Cache<T>;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Events;
}

/** How controllers/controllers.ts names one. The scope's type is the controller's own business. */
export type ControllerFactory = (deps: Deps) => AnyController;

/**
 * A Controller whose object and scope types are its own business: the runtime hands the scope that `load` gave to the phases
 * and looks into neither.
 */
export interface AnyController {
  readonly name: string;
  readonly for: Kind;
  readonly reads: Declared;
  readonly writes: Declared;
  readonly triggers: readonly Trigger[];
  readonly triggerPaceMs?: number;
  readonly concurrency?: number;
  readonly load: (object: never, run: Run) => unknown;
  readonly phases: readonly Phase<never>[];
  readonly finalize?: readonly Phase<never>[];
  readonly summarize: (scope: never, ending: Ending, run: Run) => unknown;
}

/** Work that is no reconcile of one kind. It runs beside the controllers, under the same leadership. */
export interface Loop {
  /** As a controller's: names metrics and logs. */
  readonly name: string;
  stats(): ControllerStats;
  /** Fills its caches, in standbys too, until the signal aborts; then resolves. */
  warm(signal: AbortSignal): Promise<void>;
  /** Works until the signal aborts and what was under way has ended. Call once. */
  run(signal: AbortSignal): Promise<void>;
}

export interface LoopDeps extends Omit<Deps, 'cache'> {
  readonly log: Log;
}

export type LoopFactory = (deps: LoopDeps) => Loop;

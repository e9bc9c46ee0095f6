/**
 * How a controller is declared. The runtime's whole algorithm, for one key at a time:
 *
 *   get the object from the cache; none: nothing to do
 *   scope = load(object)                        read the whole world once; nothing is written here
 *   for each of (deleted ? finalize : phases):  stop at the first wait
 *   status = summarize(scope, outcome)          always runs; pure; written once, only if it differs, with resourceVersion
 *   thrown -> logged once, requeued with backoff; TerminalError -> given to summarize, no retry
 *   wait(afterMs) -> requeued then as well as by its trigger; wait without -> sleeps until a trigger
 *
 * One key is never reconciled twice at once. Every controller is level-triggered: it takes no hint about what changed.
 */
import type { Kind, KubeObject, ObjectWithStatus } from '#lib/api/meta.ts';
import type { Log } from '#lib/std/log.ts';
import type { Declared } from './access.ts';

/** One run of a reconcile. */
export interface Run {
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Milliseconds since 1970, read once per run: every decision of one run sees the same time. */
  readonly nowMs: number;
}

/** What a phase says: go on, or stop here until `reason` no longer holds. */
export type Outcome =
  | { readonly done: true }
  | { readonly done: false; readonly reason: string; readonly message: string; readonly afterMs?: number };

export const done: Outcome = { done: true };

export function wait(reason: string, message: string, afterMs?: number): Outcome {
  return afterMs === undefined ? { done: false, reason, message } : { done: false, reason, message, afterMs };
}

export type Phase<S> = (scope: S, run: Run) => Promise<Outcome> | Outcome;

/** How the phases ended: `done`, a wait, or the error that was thrown. */
export type Ending = Outcome | { readonly error: unknown };

/** An event of `kind` makes the keys that `map` gives due. */
export interface Trigger {
  readonly kind: Kind;
  /** Called with the new object, and with the old one when it was changed or deleted. Keys as keyOf makes them. */
  readonly map: (object: KubeObject) => readonly string[];
  /** Whether what changed concerns anybody; it does unless told. */
  readonly isNews?: (old: KubeObject, object: KubeObject) => boolean;
}

export interface Controller<T extends ObjectWithStatus = ObjectWithStatus, S = unknown> {
  /** Lower case; names queues, metrics, logs and the source of events. */
  readonly name: string;
  readonly for: Kind<T>;
  /** Kinds that it may read besides its own. The runtime's cached readers refuse others. */
  readonly reads: Declared;
  /** Kinds that it may create, patch or delete. Its own status is always allowed. The runtime's client refuses others. */
  readonly writes: Declared;
  readonly triggers: readonly Trigger[];
  /** Triggers make a key due no sooner after its last run than this: for those that count thousands of children, each of which changes. */
  readonly triggerPaceMs?: number;
  /** Keys worked on at once; 4 unless told. */
  readonly concurrency?: number;
  readonly load: (object: T, run: Run) => S | Promise<S>;
  readonly phases: readonly Phase<S>[];
  /** Run instead of `phases` once deletionTimestamp is set. Leave out for kinds without a finalizer of ours. */
  readonly finalize?: readonly Phase<S>[];
  /**
   * The status as it should read now, or undefined to leave it alone. Given what the phases ended with. observedGeneration is set
   * by the runtime, on the status and on every condition.
   */
  readonly summarize: (scope: S, ending: Ending, run: Run) => T['status'] | undefined;
}

/** Triggers the controlling owner of kind `owner` when a `child` changes. */
export function owned(child: Kind, owner: Kind): Trigger {
  return {
    kind: child,
    map: ({ metadata }) =>
      (metadata.ownerReferences ?? [])
        .filter((reference) => reference.controller && reference.kind === owner.kind)
        .map((reference) => (metadata.namespace ? `${metadata.namespace}/${reference.name}` : reference.name)),
  };
}

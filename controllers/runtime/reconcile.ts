/** One run for one object: the algorithm at the head of controller.ts. Who calls it when is run-controller.ts' affair. */
import type { Condition, ObjectWithStatus } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isCode, messageOf, TerminalError } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';
import type { Ending, Phase, Run } from './controller.ts';
import type { AnyController } from './deps.ts';

/** What the queue has to do next for this key. */
export type Result =
  | { readonly next: 'rest' }
  | { readonly next: 'again'; readonly afterMs: number }
  | { readonly next: 'retry' };

const rest: Result = { next: 'rest' };
const retry: Result = { next: 'retry' };

/** Never rejects: whatever is thrown inside is logged once here, and told by the result. */
export async function reconcile(
  controller: AnyController,
  client: Client,
  object: ObjectWithStatus,
  run: Run,
): Promise<Result> {
  try {
    const scope = await controller.load(object as never, run);
    const phases = object.metadata.deletionTimestamp === undefined ? controller.phases : (controller.finalize ?? []);
    const ending = await runPhases(phases, scope, run);
    await writeStatus(controller, client, object, controller.summarize(scope as never, ending, run), run);
    return resultOf(ending, run);
  } catch (error) {
    return failed(error, run);
  }
}

async function runPhases(phases: readonly Phase<never>[], scope: unknown, run: Run): Promise<Ending> {
  try {
    for (const phase of phases) {
      run.signal.throwIfAborted();
      const outcome = await phase(scope as never, run);
      if (!outcome.done) return outcome;
    }
    return { done: true };
  } catch (error) {
    return { error };
  }
}

function resultOf(ending: Ending, run: Run): Result {
  if ('error' in ending) return failed(ending.error, run);
  if (ending.done || ending.afterMs === undefined) return rest;
  return { next: 'again', afterMs: ending.afterMs };
}

/**
 * Conflict: the cache was behind, the next run sees more. NotFound in a phase is an absence like any other and is tried again: if it was
 * the object itself, the cache will have dropped it by then.
 */
function failed(error: unknown, run: Run): Result {
  if (error instanceof TerminalError) {
    run.log.warn('Gave up until the object changes', { reason: error.reason, error: messageOf(error) });
    return rest;
  }
  if (run.signal.aborted || isCode(error, 'Conflict')) run.log.debug('Again later', { error: messageOf(error) });
  else run.log.error('Reconcile failed', { error });
  return retry;
}

type Status = NonNullable<ObjectWithStatus['status']>;

async function writeStatus(
  controller: AnyController,
  client: Client,
  object: ObjectWithStatus,
  summary: unknown,
  run: Run,
): Promise<void> {
  if (summary === undefined) return;
  const status = stamped(object, summary as Status, run.nowMs);
  if (sameJson(status, object.status ?? {})) return;
  run.signal.throwIfAborted();
  const next: ObjectWithStatus = { ...object, status };
  try {
    await client.updateStatus(controller.for, next, { signal: run.signal });
  } catch (error) {
    // Deleted meanwhile, by this very run or by somebody else: nobody is left who could read it.
    if (!isCode(error, 'NotFound')) throw error;
  }
}

/**
 * The status with observedGeneration (if the kind counts generations: Kubernetes' own often do not) on it and
 * on every condition that this run decided. Conditions that were carried over from the object as they are (by identity) belong to another program and keep what it wrote.
 */
function stamped(object: ObjectWithStatus, summary: Status, nowMs: number): Status {
  const { generation } = object.metadata;
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  const old = object.status?.conditions ?? [];
  const conditions = summary.conditions?.map((condition) =>
    old.includes(condition) ? condition : stampedCondition({ ...condition, ...observed }, old, nowMs),
  );
  return { ...summary, ...observed, ...(conditions && { conditions }) };
}

/** lastTransitionTime moves only when the status does, whatever the controller put there. */
function stampedCondition(condition: Condition, old: readonly Condition[], nowMs: number): Condition {
  const before = old.find(({ type }) => type === condition.type);
  const lastTransitionTime = before?.status === condition.status ? before.lastTransitionTime : timestamp(nowMs);
  return { ...condition, lastTransitionTime };
}

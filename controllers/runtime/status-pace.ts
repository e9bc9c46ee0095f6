/**
 * Counts in the status of a pool, a factory or a subnet change with each of thousands of machines. Written every time, they would
 * cost more writes than the machines themselves; so they are written at most once per `everyMs` per object, and the last value always.
 * News (a generation not yet visited, a condition with another status) is written at once.
 */
import type { ObjectWithStatus } from '#lib/api/meta.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { done, type Outcome, wait } from './controller.ts';

type Status = ObjectWithStatus['status'];

export interface StatusPace {
  /** A wait until the next write is due, if writing `next` now would be too early; otherwise done. */
  outcome(object: ObjectWithStatus, next: Status, nowMs: number): Outcome;
  /** True if the object's status says this already. */
  isWritten(object: ObjectWithStatus, next: Status): boolean;
}

export function statusPace(everyMs: number): StatusPace {
  // Only times younger than everyMs are kept: older ones hold nothing back.
  const lastMs = new Map<string, number>();
  return {
    isWritten,
    outcome(object, next, nowMs) {
      if (isWritten(object, next)) return done;
      const uid = object.metadata.uid;
      const waitMs = (lastMs.get(uid) ?? Number.NEGATIVE_INFINITY) + everyMs - nowMs;
      // Longer than the pace: the clock was set back since.
      if (waitMs > 0 && waitMs <= everyMs && !isNews(object, next))
        return wait('Counting', `Figures are written once in ${everyMs} ms`, waitMs);
      for (const [key, ms] of lastMs) if (ms + everyMs <= nowMs || ms > nowMs) lastMs.delete(key);
      lastMs.set(uid, nowMs);
      return done;
    },
  };
}

function isWritten(object: ObjectWithStatus, next: Status): boolean {
  return sameJson(object.status, { ...next, observedGeneration: object.metadata.generation });
}

function isNews(object: ObjectWithStatus, next: Status): boolean {
  const statuses = (status: Status) => (status?.conditions ?? []).map((one) => `${one.type}=${one.status}`).join();
  return object.status?.observedGeneration !== object.metadata.generation || statuses(object.status) !== statuses(next);
}

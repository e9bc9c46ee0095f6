/**
 * A pool whose machines fail at start one after the other, wherever they are put, has its fault in itself. It would go through all hosts and
 * make each of them suspect. After ten failures without a success nothing of it is launched for two minutes, then one machine as a probe;
 * when that fails too, twice as long. One machine that comes up closes the breaker. Kept in memory only: after a restart it takes ten
 * failures more to open again.
 */
import { timestamp } from '#lib/std/clock.ts';

export const failuresAllowed = 10;
const firstPauseMs = 2 * 60_000;
const longestPauseMs = 30 * 60_000;
/** Groups remembered; the one that failed longest ago is forgotten first. */
const maxGroups = 10_000;

interface Breaker {
  /** In a row. */
  readonly failures: number;
  readonly pauses: number;
  /** Monotonic: nothing is launched before. */
  readonly untilMs: number;
  /** What the last one said. */
  readonly last: string;
}

const unbroken: Breaker = { failures: 0, pauses: 0, untilMs: 0, last: '' };

/** Pure. What was under way when the breaker opened is no probe: it does not make the pause longer. */
function afterFailure(old: Breaker, last: string, nowMs: number): Breaker {
  const failures = old.failures + 1;
  if (failures < failuresAllowed || nowMs < old.untilMs) return { ...old, failures, last };
  const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** old.pauses);
  return { failures, pauses: old.pauses + 1, untilMs: nowMs + pauseMs, last };
}

export class Breakers {
  readonly #breakers = new Map<string, Breaker>();

  /** A machine of this group did not come up, for a reason that is not its user's. True if the breaker is open now. */
  failed(group: string, last: string, nowMs: number): boolean {
    const next = afterFailure(this.#breakers.get(group) ?? unbroken, last, nowMs);
    this.#breakers.delete(group);
    if (this.#breakers.size >= maxGroups) this.#breakers.delete(this.#breakers.keys().next().value!);
    this.#breakers.set(group, next);
    return next.failures >= failuresAllowed;
  }

  succeeded(group: string): void {
    this.#breakers.delete(group);
  }

  /** Why no machine of this group is launched now; undefined: one may be. `starting`: those of it that start just now. */
  against(
    group: string,
    starting: number,
    now: { readonly ms: number; readonly monotonicMs: number },
  ): string | undefined {
    const { failures, untilMs, last } = this.#breakers.get(group) ?? unbroken;
    if (failures < failuresAllowed) return undefined;
    const told = `${failures} machines of its pool or factory failed one after the other, the last: ${last}`;
    const waitMs = untilMs - now.monotonicMs;
    if (waitMs > 0) return `${told}. One is tried again at ${timestamp(now.ms + waitMs)}`;
    return starting > 0 ? `${told}. One is being tried now` : undefined;
  }
}

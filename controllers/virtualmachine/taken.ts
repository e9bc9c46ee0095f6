/**
 * What was found taken, or is being taken, so lately that the cache may not show it. Many machines of one subnet look for the lowest free
 * address at the same time: without this each would try, and be refused, once per machine before it. For addresses a hint only: that one
 * is given once is guaranteed by the name of its lease. Whoever tried an address without hearing the answer tries the same one again, and
 * finds the lease it may have made.
 */
import type { Clock } from '#lib/std/clock.ts';

export interface Taken {
  /** `holder` is the uid of the machine that takes it; empty if it was found taken. */
  add(scope: string, value: string, holder: string): void;
  /** True if it is not for this machine. */
  isForAnother(scope: string, value: string, uid: string): boolean;
}

const keepMs = 10_000;

interface Taker {
  readonly holder: string;
  readonly untilMs: number;
}

export function recentlyTaken(clock: Clock): Taken {
  /** Scope -> value -> who takes it, in the order of expiry. */
  const byScope = new Map<string, Map<string, Taker>>();

  function prune(): void {
    const nowMs = clock.monotonic();
    for (const [scope, values] of byScope) {
      for (const [value, { untilMs }] of values) {
        if (untilMs > nowMs) break;
        values.delete(value);
      }
      if (values.size === 0) byScope.delete(scope);
    }
  }

  return {
    add(scope, value, holder) {
      prune();
      const values = byScope.get(scope) ?? new Map<string, Taker>();
      // Set again, it moves to the end: the map stays in the order of expiry.
      values.delete(value);
      values.set(value, { holder, untilMs: clock.monotonic() + keepMs });
      byScope.set(scope, values);
    },
    isForAnother(scope, value, uid) {
      const taker = byScope.get(scope)?.get(value);
      return taker !== undefined && taker.untilMs > clock.monotonic() && taker.holder !== uid;
    },
  };
}

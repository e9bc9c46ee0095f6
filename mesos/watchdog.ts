import type { Clock } from '#lib/std/clock.ts';

/** Calls `expired` once when nothing was heard for the time allowed. */
export interface Watchdog extends Disposable {
  /** Something was heard; optionally allow another time from now on. */
  heard(allowedMs?: number): void;
  /** While held, silence is our own doing and does not count. */
  hold(): Disposable;
}

/** One timer however many events arrive: it looks when it fires whether there was cause to. */
export function startWatchdog(clock: Clock, initialMs: number, expired: (silentMs: number) => void): Watchdog {
  let allowedMs = initialMs;
  let last = clock.monotonic();
  let held = 0;
  let timer = clock.timeout(look, allowedMs);

  function look(): void {
    const now = clock.monotonic();
    if (held > 0) last = now;
    if (now - last >= allowedMs) expired(now - last);
    else timer = clock.timeout(look, allowedMs - (now - last));
  }

  return {
    heard(nextMs) {
      last = clock.monotonic();
      if (nextMs === undefined || nextMs === allowedMs) return;
      allowedMs = nextMs;
      timer[Symbol.dispose]();
      timer = clock.timeout(look, allowedMs);
    },
    hold() {
      held++;
      return {
        [Symbol.dispose]() {
          held--;
          last = clock.monotonic();
        },
      };
    },
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  };
}

import type { Clock } from '#lib/std/clock.ts';

/** Lets the watches of a server that stops go one after the other, so that their clients do not all come to the next server at once. */
export interface Leaving {
  /** The signal aborts when it is this one's turn to end. */
  join(): Disposable & { readonly signal: AbortSignal };
  /** Begins. Whoever joins afterwards is sent away at once. */
  begin(): void;
}

const betweenMs = 10;
const spreadMsMax = 5_000;

export function createLeaving(clock: Clock): Leaving {
  const staying = new Set<AbortController>();
  let begun = false;
  return {
    join() {
      const controller = new AbortController();
      if (begun) controller.abort();
      staying.add(controller);
      return { signal: controller.signal, [Symbol.dispose]: () => void staying.delete(controller) };
    },
    begin() {
      begun = true;
      const pause = Math.min(betweenMs, spreadMsMax / staying.size);
      let delayMs = 0;
      for (const controller of staying) {
        clock.timeout(() => controller.abort(), delayMs);
        delayMs += pause;
      }
    },
  };
}

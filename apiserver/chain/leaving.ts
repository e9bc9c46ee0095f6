import type { Clock } from '#lib/std/clock.ts';

/** Lets the watches of a server that stops go one after the other, so that their clients do not all come to the next server at once. */
export interface Leaving {
  /** The signal aborts when it is this one's turn to end. */
  join(): Disposable & { readonly signal: AbortSignal };
  /** Begins, and has sent away all within that time. Whoever joins afterwards goes at once. */
  begin(spreadMsMax: number): void;
}

const betweenMs = 10;

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
    begin(spreadMsMax) {
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

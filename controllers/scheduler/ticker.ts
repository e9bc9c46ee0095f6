/** Calls a step every so often: soon again while there is something to do, seldom while there is nothing. */
import type { Clock } from '#lib/std/clock.ts';

const busyMs = 500;
/** However quiet it is: what nobody has told is found by then. */
const quietMs = 5_000;

export class Ticker {
  readonly #clock: Clock;
  #stirred = false;
  #wake: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something happened: the next step is no further away than while busy. */
  stir(): void {
    this.#stirred = true;
    this.#wake();
  }

  /** Until the signal aborts. `step` says whether time alone may soon give it something to do; it must not reject. */
  async run(step: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      this.#stirred = false;
      const isBusy = await step();
      await this.#clock.sleep(busyMs, signal).catch(() => undefined);
      if (!isBusy && !this.#stirred && !signal.aborted) await this.#nap();
    }
  }

  async #nap(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    using _timer = this.#clock.timeout(resolve, quietMs - busyMs);
    await promise;
    this.#wake = () => undefined;
  }
}

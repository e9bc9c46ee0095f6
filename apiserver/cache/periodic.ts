import type { Clock } from '#lib/std/clock.ts';

export interface PeriodicOptions {
  readonly clock: Clock;
  /** Before each turn, anew. */
  readonly delayMs: () => number;
  /** Must not reject. */
  readonly work: () => Promise<void>;
}

/** Does something over and over, one turn at a time, until disposed of. */
export class Periodic implements Disposable {
  readonly #options: PeriodicOptions;
  readonly #over = new AbortController();
  #early = new AbortController();

  constructor(options: PeriodicOptions) {
    this.#options = options;
    void this.#run();
  }

  /** The next turn comes now, or at once after the present one. */
  soon(): void {
    this.#early.abort();
  }

  [Symbol.dispose](): void {
    this.#over.abort();
    this.#early.abort();
  }

  async #run(): Promise<void> {
    const { clock, delayMs, work } = this.#options;
    while (!this.#over.signal.aborted) {
      await clock.sleep(delayMs(), this.#early.signal).catch(() => undefined); // woken early
      this.#early = new AbortController();
      if (!this.#over.signal.aborted) await work();
    }
  }
}

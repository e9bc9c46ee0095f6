/**
 * How fast calls may follow each other. Mesos' `--rate_limits` count libprocess messages, and HTTP calls pass by them (master.cpp,
 * Master::consume): a framework that turns in circles would take a master from everybody. So we hold ourselves back.
 */
import type { Clock } from '#lib/std/clock.ts';

export interface CallRateLimit {
  readonly perSecond: number;
  /** So many may go at once after a pause. */
  readonly burst: number;
}

/** A token bucket. For one caller at a time, which keeps calls in order. */
export class CallRate {
  readonly #clock: Clock;
  readonly #limit: CallRateLimit;
  #tokens: number;
  #countedMs: number;

  constructor(clock: Clock, limit: CallRateLimit) {
    this.#clock = clock;
    this.#limit = limit;
    this.#tokens = limit.burst;
    this.#countedMs = clock.monotonic();
  }

  /** Resolves when the next call may go; rejects with the signal's reason if that aborts first. */
  async take(signal: AbortSignal): Promise<void> {
    const { perSecond } = this.#limit;
    this.#count();
    if (this.#tokens < 1) {
      await this.#clock.sleep(((1 - this.#tokens) / perSecond) * 1000, signal);
      this.#count();
    }
    this.#tokens--;
  }

  #count(): void {
    const nowMs = this.#clock.monotonic();
    const { perSecond, burst } = this.#limit;
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#countedMs) / 1000) * perSecond);
    this.#countedMs = nowMs;
  }
}

export interface BucketLimits {
  readonly perSecond: number;
  /** So many at once after a rest. */
  readonly burst: number;
}

/** Lets through `perSecond` on average. */
export class TokenBucket {
  readonly #limits: BucketLimits;
  #tokens: number;
  #atMs: number;

  constructor(limits: BucketLimits, nowMs: number) {
    this.#limits = limits;
    this.#tokens = limits.burst;
    this.#atMs = nowMs;
  }

  /** Milliseconds until there is a token; 0 if there is one. */
  waitMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) * 1000) / this.#limits.perSecond);
  }

  /** Call it when waitMs is 0. */
  take(): void {
    this.#tokens--;
  }

  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= this.#limits.burst;
  }

  #refill(nowMs: number): void {
    const { perSecond, burst } = this.#limits;
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * perSecond);
    this.#atMs = nowMs;
  }
}

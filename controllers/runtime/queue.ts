/**
 * Keys to be reconciled. client-go's work queue: a key is in it once however often it was added, is never handed out twice at
 * once, and if it is added while it is worked on it comes again afterwards. Bounded by the number of objects, since it holds keys.
 *
 * Two priorities, as in controller-runtime: what an informer's first list brings in waits behind real changes, so that users do not
 * wait for a restarted controller to look at everything.
 */
import { type BackoffOptions, backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import { Delays } from './delays.ts';

export type Priority = 'high' | 'low';

/** A key that fails waits from 20 ms to one minute: a system that comes back is noticed within that. */
const backoff: BackoffOptions = { firstMs: 20, maxMs: 60_000 };
/** Retries of all keys together, when everything fails at once. */
const retriesPerSecond = 20;
const retryBurst = 100;

export interface QueueStats {
  readonly ready: number;
  readonly processing: number;
  readonly delayed: number;
}

export class WorkQueue {
  readonly #clock: Clock;
  readonly #random: Random;
  /** Due, and not handed out. */
  readonly #dirty = new Map<string, Priority>();
  readonly #processing = new Set<string>();
  /** Insertion order is the order of service. */
  readonly #ready = { high: new Set<string>(), low: new Set<string>() };
  readonly #delays = new Delays();
  readonly #failures = new Map<string, number>();
  readonly #waiting: ((key: string | undefined) => void)[] = [];
  #timer: Disposable | undefined;
  #tokens = retryBurst;
  #tokensAtMs: number;
  #closed = false;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#tokensAtMs = clock.monotonic();
  }

  get stats(): QueueStats {
    const ready = this.#ready.high.size + this.#ready.low.size;
    return { ready, processing: this.#processing.size, delayed: this.#delays.size };
  }

  add(key: string, priority: Priority = 'high'): void {
    if (this.#closed) return;
    const before = this.#dirty.get(key);
    if (before === 'high' || before === priority) return;
    this.#dirty.set(key, priority);
    if (this.#processing.has(key)) return;
    this.#ready.low.delete(key);
    this.#ready[priority].add(key);
    this.#serve();
  }

  /** Adds it later; of several times the earliest counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#closed) return;
    this.#delays.add(key, this.#clock.monotonic() + Math.max(0, delayMs));
    this.#arm();
  }

  /** Adds it after a failure: later each time, until `forget`. */
  retry(key: string): void {
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    this.addAfter(key, Math.max(backoffMs(failures, backoff, this.#random), this.#takeToken()));
  }

  /** It went well: the next failure starts from the shortest delay. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** The next key, when there is one; undefined once the queue is closed. Call `done` with it afterwards. */
  next(): Promise<string | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#waiting.push(resolve);
    this.#serve();
    return promise;
  }

  done(key: string): void {
    this.#processing.delete(key);
    const priority = this.#dirty.get(key);
    if (priority === undefined) return;
    this.#ready[priority].add(key);
    this.#serve();
  }

  /** Hands out nothing more; whoever waits is told. */
  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    for (const resolve of this.#waiting.splice(0)) resolve(undefined);
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const [key] = this.#ready.high.size > 0 ? this.#ready.high : this.#ready.low;
      if (key === undefined) return;
      this.#ready.high.delete(key);
      this.#ready.low.delete(key);
      this.#dirty.delete(key);
      this.#processing.add(key);
      this.#waiting.shift()!(key);
    }
  }

  /** One timer, for the earliest delayed key. */
  #arm(): void {
    this.#timer?.[Symbol.dispose]();
    const dueMs = this.#delays.nextMs();
    if (dueMs === undefined || this.#closed) return;
    this.#timer = this.#clock.timeout(
      () => {
        for (const key of this.#delays.take(this.#clock.monotonic())) this.add(key);
        this.#arm();
      },
      // Rounded up: a timer that fires a fraction too early would spin until the time has come.
      Math.max(1, Math.ceil(dueMs - this.#clock.monotonic())),
    );
  }

  /** Token bucket over all retries: milliseconds until this one's turn. */
  #takeToken(): number {
    const nowMs = this.#clock.monotonic();
    const refilled = this.#tokens + ((nowMs - this.#tokensAtMs) / 1000) * retriesPerSecond;
    this.#tokens = Math.min(retryBurst, refilled) - 1;
    this.#tokensAtMs = nowMs;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / retriesPerSecond) * 1000;
  }
}

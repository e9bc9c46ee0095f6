import type { Clock } from '#lib/std/clock.ts';

class Timer implements Disposable {
  readonly dueMs: number;
  readonly order: number;
  callback: (() => void) | undefined;

  constructor(dueMs: number, order: number, callback: () => void) {
    this.dueMs = dueMs;
    this.order = order;
    this.callback = callback;
  }

  [Symbol.dispose](): void {
    this.callback = undefined;
  }
}

/**
 * Time that stands still until `advance`. Starts at 2026-01-01T00:00:00Z. `settle` lets everything run that a timer has set off; a world
 * that waits for nothing but promises needs less than the default.
 */
export class VirtualClock implements Clock {
  #nowMs = Date.UTC(2026, 0, 1);
  #order = 0;
  /** A heap: the first timer is due first, and of those due at once it was set first. */
  readonly #timers: Timer[] = [];
  readonly #settle: () => Promise<void>;

  constructor(settle: () => Promise<void> = idle) {
    this.#settle = settle;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  timeout(callback: () => void, delayMs: number): Disposable {
    const timer = new Timer(this.#nowMs + Math.max(0, delayMs), this.#order++, callback);
    this.#push(timer);
    return timer;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }

  /** Lets so much time pass: timers fire in order, and what they set off runs before the next one. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await this.#settle();
    for (let timer = this.#timers[0]; timer && timer.dueMs <= endMs; timer = this.#timers[0]) {
      this.#pop();
      if (timer.callback === undefined) continue;
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      timer.callback();
      await this.#settle();
    }
    this.#nowMs = endMs;
  }

  #push(timer: Timer): void {
    const heap = this.#timers;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, timer)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#timers;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

/** Clock.sleep for any clock that has timeouts. */
export function sleepOn(clock: Pick<Clock, 'timeout'>, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      timer[Symbol.dispose]();
      reject(signal?.reason);
    };
    const timer = clock.timeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/**
 * The same, much cheaper, for a world in which nobody uses timers or ticks of the platform: a tick comes after the last promise. Now and then
 * the platform gets its turn, for what it has to clean up.
 */
export function promisesOnly(): () => Promise<void> {
  let turns = 0;
  return () =>
    new Promise((resolve) => {
      if (++turns % 10_000 === 0) setImmediate(resolve);
      else process.nextTick(resolve);
    });
}

/** Lets everything run that waits for nothing but promises. */
export async function idle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** How often is often: counting, combining and cutting off events, in memory that is bounded by an LRU. */
import type { Clock } from '#lib/std/clock.ts';

const remembered = 4_096;
/** More different messages than this with one reason, within the window, are combined. */
const similarLimit = 10;
const similarWindowMs = 600_000;
/** Per object: this many at once, then one more every five minutes. */
const burst = 25;
const refillMs = 300_000;

export interface Counted {
  /** The same for everything that is counted together. */
  readonly id: string;
  readonly message: string;
  /** How often this one was seen, this time included. */
  readonly count: number;
  readonly firstMs: number;
}

export class EventLimits {
  readonly #clock: Clock;
  readonly #seen = new Lru<{ count: number; readonly firstMs: number }>();
  readonly #similar = new Lru<{ readonly messages: Set<string>; readonly sinceMs: number }>();
  readonly #tokens = new Lru<{ left: number; atMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The message to write and its count; undefined if the object has had too many. */
  admit(uid: string, type: string, reason: string, message: string): Counted | undefined {
    if (!this.#takeToken(uid)) return undefined;
    const text = this.#isFlood(`${uid} ${type} ${reason}`, message)
      ? `(combined from similar events): ${message}`
      : message;
    // Combined events are counted by their reason: their messages differ.
    const key = text === message ? `${uid} ${type} ${reason} ${message}` : `${uid} ${type} ${reason}`;
    const seen = this.#seen.get(key) ?? { count: 0, firstMs: this.#clock.now() };
    seen.count += 1;
    this.#seen.set(key, seen);
    return { id: `${key} ${seen.firstMs}`, message: text, count: seen.count, firstMs: seen.firstMs };
  }

  #isFlood(key: string, message: string): boolean {
    const nowMs = this.#clock.monotonic();
    const known = this.#similar.get(key);
    const recent =
      known && nowMs - known.sinceMs < similarWindowMs ? known : { messages: new Set<string>(), sinceMs: nowMs };
    this.#similar.set(key, recent);
    if (recent.messages.size <= similarLimit) recent.messages.add(message);
    return recent.messages.size > similarLimit;
  }

  #takeToken(uid: string): boolean {
    const nowMs = this.#clock.monotonic();
    const bucket = this.#tokens.get(uid) ?? { left: burst, atMs: nowMs };
    bucket.left = Math.min(burst, bucket.left + (nowMs - bucket.atMs) / refillMs);
    bucket.atMs = nowMs;
    this.#tokens.set(uid, bucket);
    if (bucket.left < 1) return false;
    bucket.left -= 1;
    return true;
  }
}

class Lru<V> {
  readonly #entries = new Map<string, V>();

  get(key: string): V | undefined {
    return this.#entries.get(key);
  }

  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > remembered && oldest !== undefined) this.#entries.delete(oldest);
  }
}

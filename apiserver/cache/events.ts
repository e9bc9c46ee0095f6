import type { Rev } from '#apiserver/store/store.ts';
import { ApiError } from '#lib/std/errors.ts';

/** An object as last seen. Parsed once and shared by everyone who reads the cache: never change `object`. */
export interface Cached<T> {
  readonly key: string;
  readonly object: T;
  readonly rev: Rev;
  /**
   * What others derived from this very state of the object, such as its serialised forms by media type. A place to keep them as long
   * as the state is remembered, and no longer.
   */
  readonly memo: Map<string, unknown>;
}

/** `prev` is the state before: selectors need both to tell an object that moved into view from one that changed in it. */
export type CacheEvent<T> =
  | { readonly type: 'ADDED'; readonly rev: Rev; readonly entry: Cached<T>; readonly prev?: undefined }
  | { readonly type: 'MODIFIED'; readonly rev: Rev; readonly entry: Cached<T>; readonly prev: Cached<T> }
  /** `entry` is the last state with the revision of the deletion. */
  | { readonly type: 'DELETED'; readonly rev: Rev; readonly entry: Cached<T>; readonly prev: Cached<T> };

interface Timed<T> {
  readonly event: CacheEvent<T>;
  readonly atMs: number;
}

export interface BufferLimits {
  /** So many events are always kept. */
  readonly minEvents: number;
  /** More are kept while they are younger than this, so that a burst does not send every client into a new list. */
  readonly minAgeMs: number;
  /** But never more than this. */
  readonly maxEvents: number;
}

export const defaultBufferLimits: BufferLimits = { minEvents: 1_000, minAgeMs: 75_000, maxEvents: 100_000 };

/** The recent past, in order of revisions. Knows from which revision on it has everything. */
export class EventBuffer<T> {
  readonly #limits: BufferLimits;
  #events: Timed<T>[] = [];
  #head = 0;
  #since: Rev = 0n;

  constructor(limits: BufferLimits) {
    this.#limits = limits;
  }

  /** Forgets all: what happened up to and including `since` is not known from now on. */
  reset(since: Rev): void {
    this.#events = [];
    this.#head = 0;
    this.#since = since;
  }

  push(event: CacheEvent<T>, nowMs: number): void {
    this.#events.push({ event, atMs: nowMs });
    while (this.#mayDropOldest(nowMs)) this.#since = this.#events[this.#head++]!.event.rev;
    if (this.#head > 1_000 && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
  }

  /** All events behind `rev`. Throws Expired if some of them have been forgotten. */
  after(rev: Rev): CacheEvent<T>[] {
    if (rev < this.#since) throw new ApiError('Expired', `too old resource version: ${rev} (${this.#since})`);
    let low = this.#head;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#events[middle]!.event.rev > rev) high = middle;
      else low = middle + 1;
    }
    return this.#events.slice(low).map(({ event }) => event);
  }

  #mayDropOldest(nowMs: number): boolean {
    const length = this.#events.length - this.#head;
    if (length <= this.#limits.minEvents) return false;
    return length > this.#limits.maxEvents || nowMs - this.#events[this.#head]!.atMs > this.#limits.minAgeMs;
  }
}

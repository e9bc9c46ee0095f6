import type { Rev } from '#apiserver/store/store.ts';
import type { CacheEvent } from './events.ts';

/** What one turn of a client's watch has to send. */
export interface Batch<T> {
  /** True for the first batch of a watch that began with the present state: its ADDED events may be in any order of revisions. */
  readonly initial: boolean;
  /** May be empty if `initial`. */
  readonly events: readonly CacheEvent<T>[];
  /** Once these are sent, everything up to this revision is: what a bookmark may say. */
  readonly rev: Rev;
}

export interface ClientWatchOptions<T> {
  /** Only events this is true for are queued; everything unless told. Must be fast: it is asked once per event and watcher. */
  readonly wants?: (event: CacheEvent<T>) => boolean;
  /** A client that leaves so many events unread is cut off. Unless told 10,000. */
  readonly maxQueued?: number;
}

/** What a watch knows of the cache it belongs to. */
export interface Origin<T> {
  /** The revision that the client came with. */
  readonly seen: Rev;
  readonly cacheRev: () => Rev;
  readonly ended: (watch: ClientWatch<T>) => void;
}

/**
 * One client's view: iterate over its batches and send them. The iteration ends when the watch was disposed of or cut: because the
 * client was too slow, or the cache had to start anew. The client then resumes from the last revision it got.
 */
export class ClientWatch<T> implements AsyncIterable<Batch<T>>, Disposable {
  readonly #wants: (event: CacheEvent<T>) => boolean;
  readonly #maxQueued: number;
  readonly #origin: Origin<T>;
  #initial: Batch<T> | undefined;
  #queue: CacheEvent<T>[] = [];
  #wake: (() => void) | undefined;
  #why: 'disposed' | 'slow' | 'restarted' | undefined;
  #endRev: Rev = 0n;

  constructor(
    start: { readonly events: readonly CacheEvent<T>[]; readonly initial: boolean; readonly rev: Rev },
    options: ClientWatchOptions<T>,
    origin: Origin<T>,
  ) {
    this.#wants = options.wants ?? (() => true);
    this.#maxQueued = options.maxQueued ?? 10_000;
    this.#origin = origin;
    const events = start.events.filter(this.#wants);
    if (start.initial || events.length > 0) this.#initial = { ...start, events };
  }

  /** Why it is over; undefined while it goes on. */
  get ended(): 'disposed' | 'slow' | 'restarted' | undefined {
    return this.#why;
  }

  /** What a bookmark may say now: undefined while there is something left to take, or the cache is not where the client is. */
  get bookmarkRev(): Rev | undefined {
    if (this.#why || this.#initial || this.#queue.length > 0) return undefined;
    const rev = this.#origin.cacheRev();
    return rev < this.#origin.seen ? undefined : rev;
  }

  /** For the cache: one more event, in order. */
  push(event: CacheEvent<T>): void {
    if (this.#why || !this.#wants(event)) return;
    if (this.#queue.length >= this.#maxQueued) {
      this.cut('slow');
      return;
    }
    this.#queue.push(event);
    this.#wake?.();
  }

  /** For the cache: no more events. What is queued is still handed out, so that the client resumes from as far as it can. */
  cut(why: 'disposed' | 'slow' | 'restarted'): void {
    if (this.#why) return;
    this.#why = why;
    this.#endRev = this.#queue.at(-1)?.rev ?? this.#initial?.rev ?? 0n;
    if (why === 'disposed') {
      this.#queue = [];
      this.#initial = undefined;
    }
    this.#origin.ended(this);
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Batch<T>> {
    for (;;) {
      const batch = this.#take();
      if (batch) yield batch;
      else if (this.#why) return;
      else await this.#more();
    }
  }

  [Symbol.dispose](): void {
    this.cut('disposed');
  }

  #take(): Batch<T> | undefined {
    const initial = this.#initial;
    if (initial) {
      this.#initial = undefined;
      return initial;
    }
    if (this.#queue.length === 0) return undefined;
    const events = this.#queue;
    this.#queue = [];
    return { initial: false, events, rev: this.#why ? this.#endRev : this.#origin.cacheRev() };
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }
}

/**
 * All objects of one resource in memory, kept up to date by one watch on the store, however many clients watch.
 *
 *   list ──► watch from there ──► apply in order ──► entries, buffer of recent events ──► queue of each client
 *     ▲            │
 *     └────────────┘ the watch has ended (compacted, store put back) or events were found missing
 *
 * A hole in the events is never mended in silence: the cache lists anew and cuts every client. They resume; those that come from
 * before the list get Expired and list themselves.
 */
import type { KeyValue, Rev, Store, StoreEvent, StoreWatch } from '#apiserver/store/store.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { ClientWatch, type ClientWatchOptions } from './client-watch.ts';
import { type Known, keysBehind } from './compare.ts';
import { Entries } from './entries.ts';
import { type BufferLimits, type Cached, type CacheEvent, defaultBufferLimits, EventBuffer } from './events.ts';
import { Periodic } from './periodic.ts';

export interface WatchCacheOptions<T> {
  readonly store: Store;
  /** The resource's folder in the store, such as `core/configmaps/`. */
  readonly prefix: string;
  /** Parses a stored object. Throws for one that is damaged: the cache then keeps the last good state, if it has one. */
  readonly decode: (kv: KeyValue) => T;
  /** The same object with another resourceVersion, as a copy: for DELETED, whose object carries the deletion's. */
  readonly atRevision: (object: T, rev: Rev) => T;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly buffer?: BufferLimits;
  /** How often to look for events that the store has lost; 5 minutes unless told, by chance up to a quarter more or less. */
  readonly compareEveryMs?: number;
}

const pageSize = 1_000;
const progressEveryMs = 100;
/** Events under way when a comparison begins have so long to arrive. */
const compareGraceMs = 10_000;
/**
 * A quiet resource learns so often how far the store is, so that bookmarks of its watches go on and compaction need not wait for it.
 * At full half minutes: all caches ask at once, and one answer may do for all.
 */
const progressIntervalMs = 30_000;
const progressWaitMs = 5_000;
const reloadBackoff = { firstMs: 100, maxMs: 10_000 };

interface Waiter {
  readonly rev: Rev;
  readonly reached: () => void;
}

export class WatchCache<T> implements Disposable {
  readonly #options: WatchCacheOptions<T>;
  readonly #log: Log;
  readonly #buffer: EventBuffer<T>;
  readonly #clients = new Set<ClientWatch<T>>();
  readonly #waiters = new Set<Waiter>();
  readonly #over = new AbortController();
  #entries = new Entries<T>();
  /** Keys whose newest value cannot be parsed, with its revision. */
  #damaged = new Map<string, Rev>();
  /** Undefined until the first list is in, and again while a new one is needed. */
  #rev: Rev | undefined;
  #watch: StoreWatch | undefined;
  #restart: ((why: Error) => void) | undefined;
  readonly #comparing: Periodic;
  readonly #progressing: Periodic;

  /** Begins to load at once. */
  constructor(options: WatchCacheOptions<T>) {
    this.#options = options;
    this.#log = options.log.child({ prefix: options.prefix });
    this.#buffer = new EventBuffer(options.buffer ?? defaultBufferLimits);
    const { clock, random, compareEveryMs = 300_000 } = options;
    this.#comparing = new Periodic({
      clock,
      delayMs: () => backoffMs(1, { firstMs: compareEveryMs, maxMs: compareEveryMs }, random),
      work: () => this.#compare(),
    });
    this.#progressing = new Periodic({
      clock,
      delayMs: () => progressIntervalMs - (clock.now() % progressIntervalMs),
      work: () => this.#progress(),
    });
    // Ends by itself once disposed of, and reports what goes wrong.
    void this.#run();
  }

  /** Everything up to this revision is in the cache. Undefined while it is not loaded: then read from the store. */
  get rev(): Rev | undefined {
    return this.#rev;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Whatever is known, perhaps not the newest. */
  get(key: string): Cached<T> | undefined {
    return this.#entries.get(key);
  }

  /** In order of keys. `rev` is the list's resourceVersion. Throws ServiceUnavailable while the cache is not loaded. */
  list(prefix: string = this.#options.prefix): { readonly entries: readonly Cached<T>[]; readonly rev: Rev } {
    return { entries: this.#entries.list(prefix), rev: this.#loadedRev() };
  }

  /** True as soon as the cache has reached `rev` (any, if it is 0); false if it has not after `timeoutMs`. */
  async waitFor(rev: Rev, timeoutMs: number): Promise<boolean> {
    if (this.#rev !== undefined && this.#rev >= rev) return true;
    const { clock } = this.#options;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiter = { rev, reached: () => resolve(true) };
    this.#waiters.add(waiter);
    using timer = new DisposableStack();
    timer.use(clock.timeout(() => resolve(false), timeoutMs));
    timer.defer(() => this.#waiters.delete(waiter));
    timer.use(this.#askForProgress());
    return await promise; // not before: what is on the stack goes when this function ends
  }

  /**
   * True once the cache shows everything written before this call: a list may then be served from it. False if that cannot be shown
   * in time: read from the store then.
   */
  async isCurrent(timeoutMs: number): Promise<boolean> {
    if (this.#rev === undefined) return false;
    return this.waitFor(await this.#options.store.currentRev(), timeoutMs);
  }

  /**
   * A client's watch. `from`: the resourceVersion it has already seen; without it, or 0, the watch begins with what is there now, as
   * ADDED events in one initial batch. One that the cache has yet to reach, as when another server told it, is waited for in silence.
   * Throws Expired for one too old, ServiceUnavailable while the cache is not loaded.
   */
  watch(from: Rev | undefined, options: ClientWatchOptions<T> & { prefix?: string } = {}): ClientWatch<T> {
    const rev = this.#loadedRev();
    const { prefix = this.#options.prefix, wants = () => true, ...rest } = options;
    const seen = from ?? 0n;
    const own = {
      ...rest,
      wants: (event: CacheEvent<T>) => event.rev > seen && event.entry.key.startsWith(prefix) && wants(event),
    };
    const initial = seen === 0n;
    const events = initial ? this.#entries.list(prefix).map(added) : this.#buffer.after(seen);
    const start = { events, initial, rev };
    const client = new ClientWatch<T>(start, own, {
      seen,
      cacheRev: () => this.#rev ?? rev,
      ended: (ended) => this.#clients.delete(ended),
    });
    this.#clients.add(client);
    return client;
  }

  /** Ends every client's watch and the cache's own. */
  [Symbol.dispose](): void {
    this.#over.abort(new Error('The watch cache has been closed'));
    this.#comparing[Symbol.dispose]();
    this.#progressing[Symbol.dispose]();
    this.#leave(new Error('closed'));
  }

  #loadedRev(): Rev {
    if (this.#rev !== undefined) return this.#rev;
    throw new ApiError('ServiceUnavailable', `The cache of ${this.#options.prefix} is still loading, try again`, {
      details: { retryAfterSeconds: 1 },
    });
  }

  #askForProgress(): Disposable {
    this.#watch?.requestProgress();
    // A request is lost without a word while etcd's watch is behind, so it is repeated.
    let next: Disposable;
    const again = () => {
      this.#watch?.requestProgress();
      next = this.#options.clock.timeout(again, progressEveryMs);
    };
    next = this.#options.clock.timeout(again, progressEveryMs);
    return { [Symbol.dispose]: () => next[Symbol.dispose]() };
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#options;
    for (let failures = 0; !this.#over.signal.aborted; ) {
      try {
        const rev = await this.#load();
        failures = 0;
        const why = await this.#follow(rev);
        if (!this.#over.signal.aborted) this.#log.warn('Lost the thread of events, listing anew', { error: why });
      } catch (error) {
        failures++;
        this.#log.warn('Cannot load the cache, will try again', { error, failures });
        await clock.sleep(backoffMs(failures, reloadBackoff, random), this.#over.signal).catch(() => undefined);
      }
    }
  }

  async #load(): Promise<Rev> {
    const entries = new Entries<T>();
    const damaged = new Map<string, Rev>();
    const rev = await this.#listStore({}, (kv) => {
      const entry = this.#decode(kv);
      if (entry) entries.set(entry);
      else damaged.set(kv.key, kv.modRev);
    });
    this.#entries = entries;
    this.#damaged = damaged;
    this.#buffer.reset(rev);
    return rev;
  }

  /** Visits every object at one revision, which is returned. */
  async #listStore(options: { readonly keysOnly?: boolean }, visit: (kv: KeyValue) => void): Promise<Rev> {
    const { store, prefix } = this.#options;
    let page = await store.list(prefix, { ...options, limit: pageSize });
    const { rev } = page;
    for (;;) {
      page.kvs.forEach(visit);
      const last = page.kvs.at(-1);
      if (page.remaining === 0 || !last || this.#over.signal.aborted) return rev;
      page = await store.list(prefix, { ...options, limit: pageSize, rev, after: last.key });
    }
  }

  /** Keeps up with the store until that cannot go on, and says why. */
  #follow(from: Rev): Promise<Error> {
    if (this.#over.signal.aborted) return Promise.resolve(this.#over.signal.reason);
    return new Promise((resolve) => {
      this.#restart = resolve;
      this.#watch = this.#options.store.watch(this.#options.prefix, from + 1n, {
        events: (batch) => this.#applyAll(batch),
        progress: (rev) => this.#advance(rev),
        // Old versions of etcd can lose events around a cut.
        resumed: () => this.#comparing.soon(),
        ended: (error) => this.#leave(error),
      });
      this.#advance(from);
    });
  }

  /** Stops following; `#run` then lists anew. */
  #leave(why: Error): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
    this.#rev = undefined;
    for (const client of this.#clients) client.cut('restarted');
    this.#restart?.(why);
    this.#restart = undefined;
  }

  #advance(rev: Rev): void {
    if (this.#rev === undefined || rev > this.#rev) this.#rev = rev;
    for (const waiter of this.#waiters) if (waiter.rev <= this.#rev) waiter.reached();
  }

  #applyAll(batch: readonly StoreEvent[]): void {
    for (const event of batch) {
      const change = event.type === 'put' ? this.#put(event.kv) : this.#remove(event.key, event.rev);
      if (!change) continue;
      this.#buffer.push(change, this.#options.clock.monotonic());
      for (const client of this.#clients) client.push(change);
    }
    this.#advance(batch.at(-1)!.rev);
  }

  #put(kv: KeyValue): CacheEvent<T> | undefined {
    const entry = this.#decode(kv);
    if (!entry) {
      this.#damaged.set(kv.key, kv.modRev);
      return undefined;
    }
    this.#damaged.delete(kv.key);
    const prev = this.#entries.get(kv.key);
    this.#entries.set(entry);
    return prev ? { type: 'MODIFIED', rev: kv.modRev, entry, prev } : { type: 'ADDED', rev: kv.modRev, entry };
  }

  #remove(key: string, rev: Rev): CacheEvent<T> | undefined {
    this.#damaged.delete(key);
    const prev = this.#entries.get(key);
    if (!prev) return undefined;
    this.#entries.delete(key);
    const entry = { key, rev, object: this.#options.atRevision(prev.object, rev), memo: new Map() };
    return { type: 'DELETED', rev, entry, prev };
  }

  /** Undefined for a damaged object. It must not look deleted: that would make controllers tear down what it stands for. */
  #decode(kv: KeyValue): Cached<T> | undefined {
    try {
      return { key: kv.key, rev: kv.modRev, object: this.#options.decode(kv), memo: new Map() };
    } catch (error) {
      this.#log.error('A stored object is damaged, ignoring this state of it', {
        key: kv.key,
        rev: `${kv.modRev}`,
        error,
      });
      return undefined;
    }
  }

  async #progress(): Promise<void> {
    try {
      await this.isCurrent(progressWaitMs);
    } catch (error) {
      this.#log.debug('Cannot ask the store how far it is, will try again', { error });
    }
  }

  /**
   * Looks for events that never arrived: etcd before 3.4.36 can lose some (etcd#17529, #18089, #19179), and only a list shows that. What
   * is missing at first may be under way, so the same list is looked at once more.
   */
  async #compare(): Promise<void> {
    try {
      const watch = this.#watch;
      const listed = new Map<string, Rev>();
      const rev = await this.#listStore({ keysOnly: true }, (kv) => listed.set(kv.key, kv.modRev));
      // After a new start in between there is nothing to compare with that list.
      const missed = () => (watch && this.#watch === watch ? this.#keysBehind(listed, rev) : []);
      if (missed().length > 0) await this.#options.clock.sleep(compareGraceMs, this.#over.signal);
      const [first, ...more] = missed();
      if (first === undefined) return;
      this.#log.warn('The store has lost events', { missed: more.length + 1, first, rev: `${rev}` });
      this.#leave(new Error(`${more.length + 1} changes never arrived`));
    } catch (error) {
      if (!this.#over.signal.aborted)
        this.#log.warn('Cannot compare the cache with the store, will try again', { error });
    }
  }

  #keysBehind(listed: ReadonlyMap<string, Rev>, rev: Rev): string[] {
    return keysBehind(listed, rev, this.#entries.keys(), (key) => this.#known(key, rev));
  }

  #known(key: string, listRev: Rev): Known {
    const rev = this.#damaged.get(key) ?? this.#entries.get(key)?.rev;
    if (rev !== undefined) return { rev, deletedRev: undefined };
    const deletion = this.#buffer.after(listRev).findLast((event) => event.entry.key === key);
    return { rev, deletedRev: deletion?.rev };
  }
}

function added<T>(entry: Cached<T>): CacheEvent<T> {
  return { type: 'ADDED', rev: entry.rev, entry };
}

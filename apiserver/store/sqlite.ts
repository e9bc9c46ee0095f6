/**
 * The embedded store: one SQLite file, one process. Writes that arrive in one turn of the event loop are committed together, each
 * with a revision of its own, because a commit that waits for the disk costs as much for a hundred writes as for one. Nobody hears
 * of a write before it is on disk.
 */

import type { Clock } from '#lib/std/clock.ts';
import { ApiError, messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { checkPrefix, checkSize, prefixEnd } from './keys.ts';
import { openSqliteFile, type SqliteFile, type Statements } from './sqlite-file.ts';
import { WatchHub } from './sqlite-watch.ts';
import {
  CompactedError,
  type CreateResult,
  type DeleteResult,
  FutureRevisionError,
  type KeyValue,
  type ListOptions,
  type ListResult,
  type Rev,
  type Store,
  type StoreEvent,
  type StoreWatch,
  type UpdateResult,
  type WatchSink,
  type WriteOptions,
} from './store.ts';

export interface SqliteOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly log: Log;
}

const maxQueued = 10_000;
const maxPerCommit = 256;
const expiryIntervalMs = 10_000;
const expiryBatch = 500;
const compactionBatch = 1_000;
const noValue = new Uint8Array();

/** A write that waits for the next commit. */
interface Queued {
  readonly apply: () => unknown;
  readonly done: (result: unknown) => void;
  readonly failed: (error: unknown) => void;
}

/** Opens (or makes) the file. Throws UsageError if that cannot be done, also when another server has it open. */
export function openSqlite(options: SqliteOptions): Store {
  return new SqliteStore(options, openSqliteFile(options.file));
}

class SqliteStore implements Store {
  readonly #options: SqliteOptions;
  readonly #file: SqliteFile;
  readonly #run: Statements;
  readonly #hub: WatchHub;
  readonly #queue: Queued[] = [];
  #state: { rev: Rev; compactRev: Rev };
  /** Events of the transaction that is open. */
  #uncommitted: StoreEvent[] = [];
  #expiryTimer: Disposable;
  #closed = false;

  constructor(options: SqliteOptions, file: SqliteFile) {
    this.#options = options;
    this.#file = file;
    this.#run = file.run;
    // An empty store is at revision 1, as etcd: resourceVersion "0" means "any" to clients.
    const rev = (this.#run.lastRev.get() as { rev: bigint | null }).rev ?? 1n;
    const compactRev = (this.#run.getMeta.get('compact_rev') as { value: bigint } | undefined)?.value ?? 0n;
    this.#state = { rev, compactRev };
    this.#hub = new WatchHub(this.#run, this.#state);
    this.#expiryTimer = options.clock.timeout(() => this.#expire(), 0);
  }

  async get(key: string) {
    this.#checkOpen();
    return { kv: this.#read(key), rev: this.#state.rev };
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    this.#checkOpen();
    checkPrefix(prefix);
    const { rev, compactRev } = this.#state;
    const at = options.rev ?? rev;
    if (at > rev) throw new FutureRevisionError(at, rev);
    if (at < compactRev) throw new CompactedError(at, compactRev);
    const range = { after: options.after ?? prefix, end: prefixEnd(prefix), ...(at === rev ? {} : { rev: at }) };
    const [list, count] = at === rev ? [this.#run.list, this.#run.count] : [this.#run.listAt, this.#run.countAt];
    const rows = list.all({ ...range, limit: options.limit ?? -1 }) as unknown as Row[];
    const kvs = rows.map((row) => (options.keysOnly ? { ...toKeyValue(row), value: noValue } : toKeyValue(row)));
    const full = options.limit !== undefined && kvs.length === options.limit;
    const remaining = full ? Number((count.get({ ...range, after: kvs.at(-1)!.key }) as { n: bigint }).n) : 0;
    return { kvs, remaining, rev: at };
  }

  async create(key: string, value: Uint8Array, options: WriteOptions = {}): Promise<CreateResult> {
    checkSize(key, value);
    return this.#write((): CreateResult => {
      const current = this.#read(key);
      return current ? { ok: false, current } : { ok: true, rev: this.#put(key, value, undefined, options) };
    });
  }

  async update(key: string, value: Uint8Array, expected: Rev, options: WriteOptions = {}): Promise<UpdateResult> {
    checkSize(key, value);
    return this.#write((): UpdateResult => {
      const current = this.#read(key);
      if (current?.modRev !== expected) return { ok: false, current };
      return { ok: true, rev: this.#put(key, value, current, options) };
    });
  }

  async delete(key: string, expected: Rev): Promise<DeleteResult> {
    return this.#write((): DeleteResult => {
      const current = this.#read(key);
      if (current?.modRev !== expected) return { ok: false, current };
      return { ok: true, rev: this.#remove(current), prev: current };
    });
  }

  watch(prefix: string, from: Rev, sink: WatchSink): StoreWatch {
    this.#checkOpen();
    checkPrefix(prefix);
    return this.#hub.add(prefix, from, sink);
  }

  async currentRev(): Promise<Rev> {
    this.#checkOpen();
    return this.#state.rev;
  }

  async compact(rev: Rev): Promise<void> {
    this.#checkOpen();
    const old = this.#state.compactRev;
    if (rev > this.#state.rev) throw new FutureRevisionError(rev, this.#state.rev);
    if (rev <= old) return;
    // First the mark, then the rows: killed in between, nobody may read the half that is left.
    await this.#write(() => this.#run.setMeta.run('compact_rev', rev));
    this.#state.compactRev = rev;
    this.#hub.compacted();
    await this.#forget(rev);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#expiryTimer[Symbol.dispose]();
    while (this.#queue.length > 0) this.#commit();
    this.#closed = true;
    this.#hub.close();
    this.#file[Symbol.dispose]();
  }

  #checkOpen(): void {
    if (this.#closed) throw new ApiError('ServiceUnavailable', `The store ${this.#options.file} has been closed`);
  }

  #read(key: string): KeyValue | undefined {
    const row = this.#run.get.get(key) as Row | undefined;
    return row && toKeyValue(row);
  }

  #put(key: string, value: Uint8Array, prev: KeyValue | undefined, { ttlSeconds }: WriteOptions): Rev {
    const rev = this.#nextRev();
    const createRev = prev?.createRev ?? rev;
    const expires = ttlSeconds === undefined ? null : this.#options.clock.now() + ttlSeconds * 1000;
    this.#run.append.run(rev, key, createRev, prev?.modRev ?? 0n, 0, value);
    this.#run.put.run(key, rev, createRev, expires, value);
    const kv = { key, value, createRev, modRev: rev };
    this.#uncommitted.push({ type: 'put', key, rev, kv, ...(prev && { prev }) });
    return rev;
  }

  #remove(prev: KeyValue): Rev {
    const rev = this.#nextRev();
    this.#run.append.run(rev, prev.key, prev.createRev, prev.modRev, 1, noValue);
    this.#run.remove.run(prev.key);
    this.#uncommitted.push({ type: 'delete', key: prev.key, rev, prev });
    return rev;
  }

  #nextRev(): Rev {
    return this.#state.rev + BigInt(this.#uncommitted.length) + 1n;
  }

  #write<T>(apply: () => T): Promise<T> {
    this.#checkOpen();
    if (this.#queue.length >= maxQueued)
      throw new ApiError('TooManyRequests', `The store has ${maxQueued} writes waiting: try again in a second`, {
        details: { retryAfterSeconds: 1 },
      });
    return new Promise<T>((resolve, reject) => {
      if (this.#queue.length === 0) setImmediate(() => this.#commit());
      this.#queue.push({ apply, done: (result) => resolve(result as T), failed: reject });
    });
  }

  #commit(): void {
    const batch = this.#queue.splice(0, maxPerCommit);
    if (batch.length === 0) return;
    if (this.#queue.length > 0) setImmediate(() => this.#commit());
    let results: unknown[];
    try {
      results = this.#transact(batch);
    } catch (error) {
      for (const { failed } of batch) failed(error);
      return;
    }
    const events = this.#uncommitted;
    this.#uncommitted = [];
    this.#state.rev += BigInt(events.length);
    if (events.length > 0) this.#hub.publish(events);
    batch.forEach(({ done }, i) => {
      done(results[i]);
    });
  }

  #transact(batch: readonly Queued[]): unknown[] {
    try {
      this.#run.begin.run();
      const results = batch.map(({ apply }) => apply());
      this.#run.commit.run();
      return results;
    } catch (error) {
      this.#uncommitted = [];
      this.#rollBack();
      this.#options.log.error('Cannot write to the store', { file: this.#options.file, error });
      const message = `Cannot write to the store ${this.#options.file}: ${messageOf(error)}`;
      throw new ApiError('ServiceUnavailable', message, { cause: error });
    }
  }

  /** After a full disk SQLite has often rolled back by itself; then there is nothing left to undo. */
  #rollBack(): void {
    try {
      this.#run.rollback.run();
    } catch (error) {
      this.#options.log.debug('No transaction to roll back', { error });
    }
  }

  #expire(): void {
    const { clock, log } = this.#options;
    const rows = this.#run.expired.all(clock.now(), expiryBatch) as unknown as { key: string; rev: bigint }[];
    const rearm = () => {
      if (!this.#closed)
        this.#expiryTimer = clock.timeout(() => this.#expire(), rows.length === expiryBatch ? 0 : expiryIntervalMs);
    };
    Promise.all(rows.map(({ key, rev }) => this.delete(key, rev)))
      .catch((error: unknown) => log.warn('Cannot remove what has expired, will try again', { error }))
      .finally(rearm);
  }

  /** In small transactions, so that writers wait for none of them long. */
  async #forget(compactRev: Rev): Promise<void> {
    for (let from: Rev | null = 0n; from !== null; ) {
      from = await this.#write(() => this.#forgetBatch(from!, compactRev));
    }
    this.#checkOpen();
    this.#file.shrink();
  }

  #forgetBatch(from: Rev, compactRev: Rev): Rev | null {
    const window = this.#run.window.get({ from, to: compactRev, limit: compactionBatch }) as { rev: bigint | null };
    if (window.rev !== null) this.#run.forget.run({ from, upTo: window.rev, compactRev });
    return window.rev;
  }
}

interface Row {
  readonly key: string;
  readonly value: Uint8Array;
  readonly create_rev: bigint;
  readonly rev: bigint;
}

function toKeyValue(row: Row): KeyValue {
  return { key: row.key, value: row.value, createRev: row.create_rev, modRev: row.rev };
}

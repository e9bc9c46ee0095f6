/**
 * What the API server asks of a database. It promises only what both back ends can keep: compare-and-swap of one key, one revision
 * for the whole store that grows by every write, lists at a revision, and a log of changes without gaps.
 *
 * Keys are relative (`core/configmaps/default/settings`); the back end puts its own prefix in front. A prefix given to list or watch
 * ends in `/`, or namespace `a` would also show what is in `ab`. Keys are ordered by their bytes; use ASCII.
 *
 * Errors of every method: CompactedError and FutureRevisionError as documented, else ApiError: ServiceUnavailable (not reached),
 * Timeout (outcome of a write unknown), RequestEntityTooLarge (value beyond maxValueBytes of keys.ts).
 */

/** A revision. 64 bits: never a Number, a decimal string on the wire. */
export type Rev = bigint;

export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision of the write that created the key. */
  readonly createRev: Rev;
  /** Revision of the last write: an object's resourceVersion. */
  readonly modRev: Rev;
}

/**
 * One change. `rev` is the write's own revision, also for deletions. `prev` is what was there before: absent for a creation, and
 * for changes so old that the value before them was compacted away.
 */
export type StoreEvent =
  | { readonly type: 'put'; readonly key: string; readonly rev: Rev; readonly kv: KeyValue; readonly prev?: KeyValue }
  | { readonly type: 'delete'; readonly key: string; readonly rev: Rev; readonly prev?: KeyValue };

export interface ListOptions {
  /** List as of this revision; the newest unless told. */
  readonly rev?: Rev;
  /** Only keys behind this one: the last key of the page before. */
  readonly after?: string;
  readonly limit?: number;
  /** Values come back empty: for those who only compare revisions. */
  readonly keysOnly?: boolean;
}

export interface ListResult {
  readonly kvs: readonly KeyValue[];
  /** Number of keys under the prefix behind the last one returned; 0 on the last page. */
  readonly remaining: number;
  /** The revision that was listed. Give it as `rev` for the next page, and watch from it + 1. */
  readonly rev: Rev;
}

export interface WriteOptions {
  /** The key goes away by itself this many seconds later, not before, and at most a minute late. For Events. */
  readonly ttlSeconds?: number;
}

/** A refused write says what is there now, so that the caller can try again without reading. */
export type CreateResult =
  | { readonly ok: true; readonly rev: Rev }
  | { readonly ok: false; readonly current: KeyValue };
export type UpdateResult =
  | { readonly ok: true; readonly rev: Rev }
  | { readonly ok: false; readonly current: KeyValue | undefined };
export type DeleteResult =
  | { readonly ok: true; readonly rev: Rev; readonly prev: KeyValue }
  | { readonly ok: false; readonly current: KeyValue | undefined };

/** Called synchronously, in order of revisions. Must not throw. */
export interface WatchSink {
  /** All changes of one or more whole revisions, never empty. */
  events(batch: readonly StoreEvent[]): void;
  /** Everything up to `rev` has been delivered. */
  progress(rev: Rev): void;
  /** The watch goes on after its connection was lost. Nothing should be missing; who must be sure compares with a list now. */
  resumed(): void;
  /**
   * The watch has ended for good: CompactedError when changes it has yet to deliver are gone (list again), FutureRevisionError when
   * the store has gone back in time. Loss of the connection is no end: the watch resumes by itself without gap or repeat.
   */
  ended(error: Error): void;
}

export interface StoreWatch extends Disposable {
  /** Asks for one progress call soon, with a revision no older than this moment. May be lost: ask again. */
  requestProgress(): void;
}

export interface Store extends AsyncDisposable {
  /** The newest value, never a stale one. */
  get(key: string): Promise<{ readonly kv: KeyValue | undefined; readonly rev: Rev }>;
  /** Rejects with CompactedError or FutureRevisionError for a revision that is not there. */
  list(prefix: string, options?: ListOptions): Promise<ListResult>;
  /** Writes the key if it is not there. */
  create(key: string, value: Uint8Array, options?: WriteOptions): Promise<CreateResult>;
  /** Writes the key if its modRev is `expected`. Without ttlSeconds the key lives on without end. */
  update(key: string, value: Uint8Array, expected: Rev, options?: WriteOptions): Promise<UpdateResult>;
  /** Removes the key if its modRev is `expected`. */
  delete(key: string, expected: Rev): Promise<DeleteResult>;
  /** Delivers every change under the prefix with a revision of `from` or later, until disposed of or `ended`. */
  watch(prefix: string, from: Rev, sink: WatchSink): StoreWatch;
  /** The revision of the newest write of all, never a stale one. */
  currentRev(): Promise<Rev>;
  /** Forgets what was overwritten or deleted before `rev`. Lists at and watches from older revisions then fail. */
  compact(rev: Rev): Promise<void>;
}

/** The revision asked for has been forgotten; `compactRev` is the oldest that is left, where known. Becomes 410 Expired. */
export class CompactedError extends Error {
  readonly compactRev: Rev | undefined;

  constructor(asked: Rev, compactRev?: Rev) {
    const left = compactRev === undefined ? '' : `: the oldest one left is ${compactRev}`;
    super(`Revision ${asked} has been compacted${left}`);
    this.name = 'CompactedError';
    this.compactRev = compactRev;
  }
}

/** The revision asked for is yet to be written. Becomes 504 Timeout ("too large resource version"). */
export class FutureRevisionError extends Error {
  readonly currentRev: Rev;

  constructor(asked: Rev, currentRev: Rev) {
    super(`Revision ${asked} is in the future: the store is at ${currentRev}`);
    this.name = 'FutureRevisionError';
    this.currentRev = currentRev;
  }
}

/**
 * The store on etcd. Keys lie under `/registry/` as they are: one key per object, one key per transaction, because a watch that
 * resumes between two objects of one revision would lose the second.
 */
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { EtcdCalls } from './etcd-calls.ts';
import { type EtcdEndpoint, type EtcdTls, etcdEndpoint } from './etcd-grpc.ts';
import { SharedLeases } from './etcd-leases.ts';
import { ProgressMarks } from './etcd-marks.ts';
import { renumber } from './etcd-renumber.ts';
import { SpaceKeeper } from './etcd-space.ts';
import { Timeline } from './etcd-timeline.ts';
import { progressIsReliable } from './etcd-version.ts';
import { EtcdWatch, toKeyValue } from './etcd-watch.ts';
import { EtcdWrites } from './etcd-writes.ts';
import { checkPrefix, prefixEnd } from './keys.ts';
import type {
  CreateResult,
  DeleteResult,
  ListOptions,
  ListResult,
  Rev,
  Store,
  StoreWatch,
  UpdateResult,
  WatchSink,
  WriteOptions,
} from './store.ts';

export interface EtcdOptions {
  /** HOST:PORT of the members. */
  readonly endpoints: readonly string[];
  /** In front of every key; `/registry/` unless told. Ends in `/`. */
  readonly prefix?: string;
  readonly tls?: EtcdTls | undefined;
  /** Lead the revisions of etcd at least this far before anything is answered: after a restore that no server witnessed. */
  readonly minRevision?: Rev | undefined;
  /** A call that took longer has failed; 5,000 unless told. */
  readonly callTimeoutMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Another replica may have seen a little more than we did before the store went back; it then goes on from here. */
const renumberMargin = 1_000n;
const defaultTimeoutMs = 5_000;

/** Connects. Rejects with ServiceUnavailable when no member answers within the call timeout. */
export async function openEtcd(options: EtcdOptions): Promise<Store> {
  await using stack = new AsyncDisposableStack();
  const endpoints = options.endpoints.map((address) => stack.use(etcdEndpoint(address, options.tls)));
  const reliableProgress = await progressIsReliable(endpoints, options.callTimeoutMs ?? defaultTimeoutMs, options.log);
  const store = stack.use(new EtcdStore(options, endpoints, reliableProgress));
  if (options.minRevision !== undefined) await store.leadTo(options.minRevision);
  stack.move(); // The store closes its connections itself.
  return store;
}

class EtcdStore implements Store {
  readonly #options: EtcdOptions;
  readonly #endpoints: readonly EtcdEndpoint[];
  readonly #prefix: string;
  readonly #timeline: Timeline;
  readonly #calls: EtcdCalls;
  readonly #writes: EtcdWrites;
  readonly #marks: ProgressMarks | undefined;
  readonly #space: SpaceKeeper;
  readonly #watches = new Set<EtcdWatch>();

  constructor(options: EtcdOptions, endpoints: readonly EtcdEndpoint[], reliableProgress: boolean) {
    const { clock, random, log, tls, callTimeoutMs: timeoutMs = defaultTimeoutMs } = options;
    this.#options = options;
    this.#endpoints = endpoints;
    this.#prefix = options.prefix ?? '/registry/';
    checkPrefix(this.#prefix);
    this.#timeline = new Timeline(
      (lost) => this.#leadBeyond(lost),
      (error) => this.#wentBack(error),
    );
    const full = () => this.#space.notice();
    this.#calls = new EtcdCalls({
      endpoints: options.endpoints,
      tls,
      timeoutMs,
      clock,
      random,
      timeline: this.#timeline,
      probeKey: this.#key('meta/revision'),
      full,
    });
    const leases = new SharedLeases(this.#calls.etcd, clock, timeoutMs);
    this.#writes = new EtcdWrites(this.#calls, leases, this.#prefix);
    this.#space = new SpaceKeeper({ calls: this.#calls, endpoints, clock, random, log });
    const write = (keys: readonly string[]) => this.#writeMarks(keys);
    this.#marks = reliableProgress ? undefined : new ProgressMarks(write, clock, log);
  }

  /** See etcd-timeline.ts; the least revision is given by the operator here. */
  async leadTo(min: Rev): Promise<void> {
    const rev = await this.currentRev();
    if (rev >= min) return;
    this.#options.log.warn('Leading the revisions of etcd on, as was asked', { rev: `${rev}`, min: `${min}` });
    await this.#leadBeyond(min);
  }

  async get(key: string) {
    const response = await this.#calls.range(`Cannot read ${key}`, { key: this.#key(key) });
    const kv = response.kvs[0];
    return { kv: kv && toKeyValue(key, kv), rev: BigInt(response.header.revision) };
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    checkPrefix(prefix);
    const { rev, after = prefix, limit, keysOnly } = options;
    const request = {
      // The first key behind `after` is `after` with a zero byte. The prefix itself is no object (see etcd-marks.ts).
      key: this.#key(`${after}\0`),
      range_end: this.#key(prefixEnd(prefix)),
      ...(rev !== undefined && { revision: String(rev) }),
      ...(limit !== undefined && { limit: String(limit) }),
      ...(keysOnly && { keys_only: true }),
    };
    const response = await this.#calls.range(`Cannot list ${prefix}`, request, rev);
    const kvs = response.kvs.map((kv) => toKeyValue(this.#keyOf(kv.key), kv));
    return { kvs, remaining: Number(response.count) - kvs.length, rev: rev ?? BigInt(response.header.revision) };
  }

  create(key: string, value: Uint8Array, options?: WriteOptions): Promise<CreateResult> {
    return this.#writes.create(key, value, options);
  }

  update(key: string, value: Uint8Array, expected: Rev, options?: WriteOptions): Promise<UpdateResult> {
    return this.#writes.update(key, value, expected, options);
  }

  delete(key: string, expected: Rev): Promise<DeleteResult> {
    return this.#writes.delete(key, expected);
  }

  watch(prefix: string, from: Rev, sink: WatchSink): StoreWatch {
    checkPrefix(prefix);
    const { clock, random, log } = this.#options;
    const watch = new EtcdWatch({
      endpoints: this.#endpoints,
      requestMark: this.#marks && (() => this.#marks?.request(this.#prefix + prefix)),
      clock,
      random,
      log,
      saw: (rev) => this.#timeline.saw(rev),
      cut: () => this.#timeline.doubt(),
      currentRev: () => this.currentRev(),
      key: this.#prefix + prefix,
      rangeEnd: this.#prefix + prefixEnd(prefix),
      from,
      keyOf: (key) => this.#keyOf(key),
      sink,
    });
    this.#watches.add(watch);
    return {
      requestProgress: () => watch.requestProgress(),
      [Symbol.dispose]: () => {
        this.#watches.delete(watch);
        watch[Symbol.dispose]();
      },
    };
  }

  currentRev(): Promise<Rev> {
    return this.#calls.revision();
  }

  compact(rev: Rev): Promise<void> {
    return this.#calls.compact(rev);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watch of this.#watches) watch[Symbol.dispose]();
    for (const endpoint of this.#endpoints) endpoint[Symbol.dispose]();
    this.#calls[Symbol.dispose]();
  }

  #key(key: string): Buffer {
    return Buffer.from(this.#prefix + key);
  }

  #keyOf(key: Buffer): string {
    return key.toString().slice(this.#prefix.length);
  }

  #writeMarks(keys: readonly string[]): Promise<unknown> {
    const success = keys.map((key) => ({ request_put: { key: Buffer.from(key), value: Buffer.alloc(0) } }));
    return this.#calls.txn('Cannot mark progress', (commit) => commit({ success }));
  }

  #wentBack(error: Error): void {
    this.#options.log.error('etcd has gone back in time: all watches end, all caches start anew', { error });
    for (const watch of this.#watches) watch.end(error);
  }

  async #leadBeyond(lost: Rev): Promise<Rev> {
    const { clock, random, log } = this.#options;
    const key = this.#key('meta/revision');
    const full = () => this.#space.notice();
    const rev = await renumber(lost + renumberMargin, { calls: this.#calls, key, full, clock, random, log });
    log.warn('Led the revisions of etcd beyond those that clients may hold', { lost: `${lost}`, rev: `${rev}` });
    return rev;
  }
}

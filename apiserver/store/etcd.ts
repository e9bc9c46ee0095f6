/**
 * The store on etcd. Keys lie under `/registry/` as they are: one key per object, one key per transaction, because a watch that
 * resumes between two objects of one revision would lose the second.
 */
import type { ICompare, IRangeResponse, IRequestOp, ITxnResponse } from 'etcd3';
import type { Clock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { EtcdCalls, type Outcome, unknownOutcome } from './etcd-calls.ts';
import { type EtcdEndpoint, type EtcdTls, etcdEndpoint } from './etcd-grpc.ts';
import { SharedLeases } from './etcd-leases.ts';
import { ProgressMarks } from './etcd-marks.ts';
import { renumber } from './etcd-renumber.ts';
import { SpaceKeeper } from './etcd-space.ts';
import { Timeline } from './etcd-timeline.ts';
import { EtcdWatch, toKeyValue } from './etcd-watch.ts';
import { checkPrefix, checkSize, prefixEnd } from './keys.ts';
import type {
  CreateResult,
  DeleteResult,
  KeyValue,
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

/** Connects. Rejects with ServiceUnavailable when no member answers within the call timeout. */
export async function openEtcd(options: EtcdOptions): Promise<Store> {
  await using stack = new AsyncDisposableStack();
  const endpoints = options.endpoints.map((address) => stack.use(etcdEndpoint(address, options.tls)));
  const store = stack.use(new EtcdStore(options, endpoints, await progressIsReliable(endpoints, options)));
  if (options.minRevision !== undefined) await store.leadTo(options.minRevision);
  stack.move(); // The store closes its connections itself.
  return store;
}

/** True if every member is new enough: etcd#15220 and #17507 are fixed in 3.4.31 and 3.5.13. A silent member counts as old. */
async function progressIsReliable(endpoints: readonly EtcdEndpoint[], options: EtcdOptions): Promise<boolean> {
  const timeoutMs = options.callTimeoutMs ?? 5_000;
  const answers = await Promise.allSettled(endpoints.map((endpoint) => endpoint.status(timeoutMs)));
  const versions = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.version] : []));
  if (versions.length === 0) {
    const cause = answers.find((answer) => answer.status === 'rejected')?.reason;
    const message = `Cannot open the store: no etcd answers at ${options.endpoints.join(', ')}`;
    throw new ApiError('ServiceUnavailable', message, { cause });
  }
  const reliable = versions.length === endpoints.length && versions.every(hasReliableProgress);
  if (!reliable)
    options.log.info('This etcd cannot prove that a watch has caught up: writing marks for that', {
      versions,
      fixedIn: '3.4.31 and 3.5.13',
    });
  return reliable;
}

export function hasReliableProgress(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.\-+]/).map(Number);
  if (major !== 3 || minor > 5) return major >= 3;
  return minor === 5 ? patch >= 13 : minor === 4 && patch >= 31;
}

class EtcdStore implements Store {
  readonly #options: EtcdOptions;
  readonly #endpoints: readonly EtcdEndpoint[];
  readonly #prefix: string;
  readonly #timeline: Timeline;
  readonly #calls: EtcdCalls;
  readonly #leases: SharedLeases;
  readonly #marks: ProgressMarks | undefined;
  readonly #space: SpaceKeeper;
  readonly #watches = new Set<EtcdWatch>();

  constructor(options: EtcdOptions, endpoints: readonly EtcdEndpoint[], reliableProgress: boolean) {
    const { clock, random, log, tls, callTimeoutMs: timeoutMs = 5_000 } = options;
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
      full,
    });
    this.#leases = new SharedLeases(this.#calls.etcd, clock, timeoutMs);
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
    return { kv: this.#first(response), rev: BigInt(response.header.revision) };
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

  async create(key: string, value: Uint8Array, options: WriteOptions = {}): Promise<CreateResult> {
    checkSize(key, value);
    const { response, unsure } = await this.#compareAndPut(key, value, 0n, options);
    if (response.succeeded) return { ok: true, rev: BigInt(response.header.revision) };
    const current = this.#first(response.responses[0]!.response_range)!;
    // After a lost answer: what lies there is our own if it is ours to the byte (objects have a uid) and was never touched since.
    if (unsure && current.createRev === current.modRev && Buffer.compare(current.value, value) === 0)
      return { ok: true, rev: current.modRev };
    if (unsure) throw unknownOutcome(`Cannot create ${key}`, unsure);
    return { ok: false, current };
  }

  async update(key: string, value: Uint8Array, expected: Rev, options: WriteOptions = {}): Promise<UpdateResult> {
    checkSize(key, value);
    const { response, unsure } = await this.#compareAndPut(key, value, expected, options);
    if (response.succeeded) return { ok: true, rev: BigInt(response.header.revision) };
    if (unsure) throw unknownOutcome(`Cannot update ${key}`, unsure);
    return { ok: false, current: this.#first(response.responses[0]!.response_range) };
  }

  async delete(key: string, expected: Rev): Promise<DeleteResult> {
    const remove = { request_delete_range: { key: this.#key(key), prev_kv: true } };
    const { response, unsure } = await this.#compareAnd(key, expected, (commit) => commit(remove));
    if (response.succeeded) {
      const prev = toKeyValue(key, response.responses[0]!.response_delete_range.prev_kvs[0]!);
      return { ok: true, rev: BigInt(response.header.revision), prev };
    }
    if (unsure) throw unknownOutcome(`Cannot delete ${key}`, unsure);
    return { ok: false, current: this.#first(response.responses[0]!.response_range) };
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

  #first(response: IRangeResponse): KeyValue | undefined {
    const kv = response.kvs[0];
    return kv && toKeyValue(this.#keyOf(kv.key), kv);
  }

  #compareAndPut(key: string, value: Uint8Array, expected: Rev, { ttlSeconds }: WriteOptions): Promise<Outcome> {
    const put = { key: this.#key(key), value: Buffer.from(value.buffer, value.byteOffset, value.byteLength) };
    return this.#compareAnd(key, expected, (commit) =>
      ttlSeconds === undefined
        ? commit({ request_put: put })
        : this.#leases.use(ttlSeconds, (lease) => commit({ request_put: { ...put, lease } })),
    );
  }

  /** What `write` commits if the key's modRev is `expected` (0: there is none), else a read of what is there. */
  #compareAnd(key: string, expected: Rev, write: (commit: Commit) => Promise<ITxnResponse>): Promise<Outcome> {
    const etcdKey = this.#key(key);
    const compare: ICompare[] = [{ key: etcdKey, target: 'Mod', result: 'Equal', mod_revision: String(expected) }];
    const failure = [{ request_range: { key: etcdKey } }];
    return this.#calls.txn(`Cannot write ${key}`, (commit) =>
      write((operation) => commit({ compare, success: [operation], failure })),
    );
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
    const rev = await renumber(lost + renumberMargin, { calls: this.#calls, key, clock, random, log });
    log.warn('Led the revisions of etcd beyond those that clients may hold', { lost: `${lost}`, rev: `${rev}` });
    return rev;
  }
}

type Commit = (operation: IRequestOp) => Promise<ITxnResponse>;

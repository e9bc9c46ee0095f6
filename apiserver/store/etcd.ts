/**
 * The store on etcd. Keys lie under `/registry/` as they are: one key per object, one key per transaction, because a watch that
 * resumes between two objects of one revision would lose the second.
 *
 * etcd3 carries out the transactions; its own retries are off, since it repeats writes without looking at what became of the first.
 */
import {
  Etcd3,
  type ICompare,
  type IOptions,
  type IRangeRequest,
  type IRangeResponse,
  type IRequestOp,
  type ITxnResponse,
} from 'etcd3';
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { apiErrorOf, failureOf, mayHaveArrived } from './etcd-errors.ts';
import { channelOptions, type EtcdEndpoint, type EtcdTls, etcdEndpoint } from './etcd-grpc.ts';
import { SharedLeases } from './etcd-leases.ts';
import { EtcdWatch, toKeyValue } from './etcd-watch.ts';
import { checkPrefix, checkSize, prefixEnd } from './keys.ts';
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
  type StoreWatch,
  type UpdateResult,
  type WatchSink,
  type WriteOptions,
} from './store.ts';

export interface EtcdOptions {
  /** HOST:PORT of the members. */
  readonly endpoints: readonly string[];
  /** In front of every key; `/registry/` unless told. Ends in `/`. */
  readonly prefix?: string;
  readonly tls?: EtcdTls;
  /** A call that took longer has failed; 5,000 unless told. */
  readonly callTimeoutMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const retry = { firstMs: 50, maxMs: 500 };

type FaultPolicy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;

const neverAborted = new AbortController().signal;

/** etcd3 must neither retry nor stop calling by itself: who may repeat what is decided here. */
const noPolicy: FaultPolicy = {
  execute: async (call) => call({ signal: neverAborted }),
  onSuccess: () => ({ dispose() {} }),
  onFailure: () => ({ dispose() {} }),
  _altReturn: undefined as never,
};

/** Connects. Rejects with ServiceUnavailable when no member answers within the call timeout. */
export async function openEtcd(options: EtcdOptions): Promise<Store> {
  const endpoints = options.endpoints.map((address) => etcdEndpoint(address, options.tls));
  try {
    const reliableProgress = await progressIsReliable(endpoints, options);
    return new EtcdStore(options, endpoints, reliableProgress);
  } catch (error) {
    for (const endpoint of endpoints) endpoint[Symbol.dispose]();
    throw error;
  }
}

/** True if every member is new enough: etcd#15220 and #17507 are fixed in 3.4.31 and 3.5.13. A silent member counts as old. */
async function progressIsReliable(endpoints: readonly EtcdEndpoint[], options: EtcdOptions): Promise<boolean> {
  const timeoutMs = options.callTimeoutMs ?? 5_000;
  const answers = await Promise.allSettled(endpoints.map((endpoint) => endpoint.version(timeoutMs)));
  const versions = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  if (versions.length === 0) {
    const cause = answers.find((answer) => answer.status === 'rejected')?.reason;
    const message = `Cannot open the store: no etcd answers at ${options.endpoints.join(', ')}`;
    throw new ApiError('ServiceUnavailable', message, { cause });
  }
  const reliable = versions.length === endpoints.length && versions.every(hasReliableProgress);
  if (!reliable)
    options.log.warn('This etcd cannot prove that a watch has caught up: consistent lists are read from etcd itself', {
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
  readonly reliableProgress: boolean;
  readonly #options: EtcdOptions;
  readonly #endpoints: readonly EtcdEndpoint[];
  readonly #prefix: string;
  readonly #callTimeoutMs: number;
  readonly #etcd: Etcd3;
  readonly #leases: SharedLeases;
  readonly #watches = new Set<EtcdWatch>();
  readonly #closed = new AbortController();

  constructor(options: EtcdOptions, endpoints: readonly EtcdEndpoint[], reliableProgress: boolean) {
    this.#options = options;
    this.#endpoints = endpoints;
    this.reliableProgress = reliableProgress;
    this.#prefix = options.prefix ?? '/registry/';
    checkPrefix(this.#prefix);
    this.#callTimeoutMs = options.callTimeoutMs ?? 5_000;
    this.#etcd = new Etcd3({
      hosts: options.endpoints.map((address) => `${options.tls ? 'https' : 'http'}://${address}`),
      ...(options.tls && { credentials: options.tls }),
      grpcOptions: channelOptions,
      faultHandling: { host: () => noPolicy, global: noPolicy },
    });
    this.#leases = new SharedLeases(this.#etcd, options.clock, this.#callTimeoutMs);
  }

  async get(key: string) {
    const response = await this.#range(`Cannot read ${key}`, { key: this.#key(key) });
    return { kv: this.#first(response), rev: BigInt(response.header.revision) };
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    checkPrefix(prefix);
    const { rev, after, limit } = options;
    const request = {
      // The first key behind `after` is `after` with a zero byte.
      key: after === undefined ? this.#key(prefix) : this.#key(`${after}\0`),
      range_end: this.#key(prefixEnd(prefix)),
      ...(rev !== undefined && { revision: String(rev) }),
      ...(limit !== undefined && { limit: String(limit) }),
    };
    const response = await this.#range(`Cannot list ${prefix}`, request, rev);
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
      reliableProgress: this.reliableProgress,
      clock,
      random,
      log,
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

  async currentRev(): Promise<Rev> {
    // A linearizable read of one key that may be missing: its header has the revision, and nothing else is sent.
    const response = await this.#range('Cannot read the revision', { key: this.#key('revision'), count_only: true });
    return BigInt(response.header.revision);
  }

  async compact(rev: Rev): Promise<void> {
    try {
      await this.#etcd.kv.compact({ revision: String(rev) }, this.#deadline(this.#callTimeoutMs));
    } catch (error) {
      const failure = failureOf(error);
      if (failure === 'compacted') return;
      if (failure === 'future') throw new FutureRevisionError(rev, await this.currentRev());
      throw apiErrorOf(error, `Cannot compact to revision ${rev}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new ApiError('ServiceUnavailable', 'The store has been closed'));
    for (const watch of this.#watches) watch[Symbol.dispose]();
    for (const endpoint of this.#endpoints) endpoint[Symbol.dispose]();
    this.#etcd.close();
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

  #deadline(afterMs: number) {
    return { deadline: Date.now() + afterMs };
  }

  async #range(what: string, request: IRangeRequest, rev?: Rev): Promise<IRangeResponse> {
    try {
      const read = (leftMs: number) => this.#etcd.kv.range(request, this.#deadline(leftMs));
      return (await this.#persist(read)).result;
    } catch (error) {
      const failure = failureOf(error instanceof LostAnswer ? error.cause : error);
      if (failure === 'compacted') throw new CompactedError(rev!);
      if (failure === 'future') throw new FutureRevisionError(rev!, await this.currentRev());
      throw apiErrorOf(error instanceof LostAnswer ? error.cause : error, what);
    }
  }

  #compareAndPut(key: string, value: Uint8Array, expected: Rev, { ttlSeconds }: WriteOptions): Promise<Outcome> {
    const put = { key: this.#key(key), value: Buffer.from(value.buffer, value.byteOffset, value.byteLength) };
    return this.#compareAnd(key, expected, (commit) =>
      ttlSeconds === undefined
        ? commit({ request_put: put })
        : this.#leases.use(ttlSeconds, (lease) => commit({ request_put: { ...put, lease } })),
    );
  }

  /**
   * One transaction: what `write` commits if the key's modRev is `expected` (0: there is none), else a read of what is there. A lost
   * answer is followed by the same transaction again: if that one writes, the first had not.
   */
  async #compareAnd(key: string, expected: Rev, write: (commit: Commit) => Promise<ITxnResponse>): Promise<Outcome> {
    const etcdKey = this.#key(key);
    const compare: ICompare[] = [{ key: etcdKey, target: 'Mod', result: 'Equal', mod_revision: String(expected) }];
    const failure = [{ request_range: { key: etcdKey } }];
    const attempt = (leftMs: number) =>
      write((operation) => this.#etcd.kv.txn({ compare, success: [operation], failure }, this.#deadline(leftMs)));
    try {
      const { result, lost } = await this.#persist(attempt);
      return { response: result, unsure: lost };
    } catch (error) {
      const what = `Cannot write ${key}`;
      throw error instanceof LostAnswer ? unknownOutcome(what, error) : apiErrorOf(error, what);
    }
  }

  /**
   * Repeats `call` while etcd does not answer, within one deadline for all. `lost` is an attempt before the last one that may have
   * been carried out all the same; if no attempt was answered and there is such a one, rejects with LostAnswer.
   */
  async #persist<T>(call: (leftMs: number) => Promise<T>): Promise<{ result: T; lost: unknown }> {
    const { clock, random } = this.#options;
    const endMs = clock.monotonic() + this.#callTimeoutMs;
    let lost: unknown;
    for (let failures = 1; ; failures++) {
      this.#closed.signal.throwIfAborted();
      try {
        return { result: await call(endMs - clock.monotonic()), lost };
      } catch (error) {
        if (failureOf(error) !== 'unreached') throw error;
        if (mayHaveArrived(error)) lost = error;
        const delayMs = backoffMs(failures, retry, random);
        if (clock.monotonic() + delayMs >= endMs) throw lost === undefined ? error : new LostAnswer(lost);
        await clock.sleep(delayMs, this.#closed.signal);
      }
    }
  }
}

type Commit = (operation: IRequestOp) => Promise<ITxnResponse>;

interface Outcome {
  readonly response: ITxnResponse;
  /** Set if an earlier attempt may have been carried out: a refusal may then be the effect of our own write. */
  readonly unsure: unknown;
}

class LostAnswer extends Error {
  constructor(cause: unknown) {
    super('The answer was lost', { cause });
    this.name = 'LostAnswer';
  }
}

function unknownOutcome(what: string, cause: unknown): ApiError {
  const details = { retryAfterSeconds: 1 };
  return new ApiError('Timeout', `${what}: etcd's answer was lost, read the object to see what became of it`, {
    cause,
    details,
  });
}

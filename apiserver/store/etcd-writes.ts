/**
 * Writes to etcd, and what became of them when the answer was lost on the way. Such a write is carried out again: if that writes, the first
 * had not. If it is refused, the refusal may be the effect of the first one; then what lies there is looked at, and where that does not
 * decide it, the caller is told that nobody knows.
 */
import type { ICompare, IRangeResponse, IRequestOp, ITxnResponse } from 'etcd3';
import { type EtcdCalls, type Outcome, unknownOutcome } from './etcd-calls.ts';
import type { SharedLeases } from './etcd-leases.ts';
import { toKeyValue } from './etcd-watch.ts';
import { checkSize } from './keys.ts';
import type { CreateResult, DeleteResult, KeyValue, Rev, UpdateResult, WriteOptions } from './store.ts';

type Commit = (operation: IRequestOp) => Promise<ITxnResponse>;

/** So many writes of others are looked at to see whether one of ours was among them. */
const maxStepsBack = 8;

export class EtcdWrites {
  readonly #calls: EtcdCalls;
  readonly #leases: SharedLeases;
  readonly #prefix: string;

  constructor(calls: EtcdCalls, leases: SharedLeases, prefix: string) {
    this.#calls = calls;
    this.#leases = leases;
    this.#prefix = prefix;
  }

  async create(key: string, value: Uint8Array, options: WriteOptions = {}): Promise<CreateResult> {
    checkSize(key, value);
    const { response, unsure } = await this.#compareAndPut(key, value, 0n, options);
    if (response.succeeded) return { ok: true, rev: BigInt(response.header.revision) };
    const current = this.#first(key, response.responses[0]!.response_range)!;
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
    const current = this.#first(key, response.responses[0]!.response_range);
    // After a lost answer: the refusal is honest if what followed on `expected` is not ours.
    const next = unsure ? await this.#successor(expected, current) : undefined;
    if (unsure && (!next || Buffer.compare(next.value, value) === 0))
      throw unknownOutcome(`Cannot update ${key}`, unsure);
    return { ok: false, current };
  }

  async delete(key: string, expected: Rev): Promise<DeleteResult> {
    const remove = { request_delete_range: { key: this.#key(key), prev_kv: true } };
    const { response, unsure } = await this.#compareAnd(key, expected, (commit) => commit(remove));
    if (response.succeeded) {
      const prev = toKeyValue(key, response.responses[0]!.response_delete_range.prev_kvs[0]!);
      return { ok: true, rev: BigInt(response.header.revision), prev };
    }
    const current = this.#first(key, response.responses[0]!.response_range);
    if (unsure && !(await this.#successor(expected, current))) throw unknownOutcome(`Cannot delete ${key}`, unsure);
    return { ok: false, current };
  }

  /**
   * The state of the key that was written over the one of `expected`, sought backwards from the present one. Undefined if that cannot be
   * said: the key was deleted meanwhile, that was too many writes ago, or etcd has forgotten or does not answer.
   */
  async #successor(expected: Rev, current: KeyValue | undefined): Promise<KeyValue | undefined> {
    let state = current;
    for (let steps = 0; state && state.modRev > expected && steps < maxStepsBack; steps++) {
      const before = await this.#stateBefore(state).catch(() => undefined); // the caller says that nobody knows
      if (before?.modRev === expected) return state;
      state = before;
    }
    return undefined;
  }

  async #stateBefore({ key, modRev }: KeyValue): Promise<KeyValue | undefined> {
    const rev = modRev - 1n;
    const request = { key: this.#key(key), revision: String(rev) };
    return this.#first(key, await this.#calls.range(`Cannot read ${key} at revision ${rev}`, request, rev));
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

  #key(key: string): Buffer {
    return Buffer.from(this.#prefix + key);
  }

  #first(key: string, { kvs: [kv] }: IRangeResponse): KeyValue | undefined {
    return kv && toKeyValue(key, kv);
  }
}

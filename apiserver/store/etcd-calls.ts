/** Calls to etcd: with one deadline, repeated while etcd does not answer, and watched for a store that has gone back in time. */
import { Etcd3, type IRangeRequest, type IRangeResponse, type ITxnRequest, type ITxnResponse } from 'etcd3';
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Random } from '#lib/std/random.ts';
import { apiErrorOf, failureOf, mayHaveArrived } from './etcd-errors.ts';
import { channelOptions, type EtcdTls } from './etcd-grpc.ts';
import { faultHandling } from './etcd-members.ts';
import type { Timeline } from './etcd-timeline.ts';
import { CompactedError, FutureRevisionError, type Rev } from './store.ts';

export interface EtcdCallsOptions {
  readonly endpoints: readonly string[];
  readonly tls: EtcdTls | undefined;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly timeline: Timeline;
  /** A key of ours, there or not, to read where the store is. */
  readonly probeKey: Buffer;
  /** Told of every write that etcd refused for want of space. */
  readonly full: () => void;
}

/** What became of a transaction that writes if something is so, else reads. */
export interface Outcome {
  readonly response: ITxnResponse;
  /** Set if an earlier attempt may have been carried out: a refusal may then be the effect of our own write. */
  readonly unsure: unknown;
}

/** Why it is not known whether some attempt of a transaction was carried out, once that is so. */
interface Doubt {
  cause: unknown;
}

const retry = { firstMs: 50, maxMs: 500 };

export class EtcdCalls implements Disposable {
  readonly etcd: Etcd3;
  readonly #options: EtcdCallsOptions;
  readonly #closed = new AbortController();

  constructor(options: EtcdCallsOptions) {
    this.#options = options;
    const scheme = options.tls ? 'https' : 'http';
    this.etcd = new Etcd3({
      hosts: options.endpoints.map((address) => `${scheme}://${address}`),
      ...(options.tls && { credentials: options.tls }),
      grpcOptions: channelOptions,
      faultHandling: faultHandling(options.endpoints.length, options.clock),
    });
  }

  /** Aborts when the store is closed. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** `rev` is the revision that the request names, for the error that says it is not there. */
  async range(what: string, request: IRangeRequest, rev?: Rev): Promise<IRangeResponse> {
    const { timeline } = this.#options;
    try {
      timeline.check();
      const moment = timeline.moment();
      const response = await this.#persist((leftMs) => this.etcd.kv.range(request, deadline(leftMs)));
      timeline.note(BigInt(response.header.revision), moment);
      timeline.check(); // An answer from before the restored time must not look like the present.
      return response;
    } catch (error) {
      const failure = failureOf(error);
      if (failure === 'compacted') throw new CompactedError(rev!);
      if (failure === 'future') throw new FutureRevisionError(rev!, await this.revision());
      throw apiErrorOf(error, what);
    }
  }

  /** The newest revision: a linearizable read of one key that may be missing, whose header has it. */
  async revision(): Promise<Rev> {
    const { header } = await this.range('Cannot read the revision', this.#probe());
    return BigInt(header.revision);
  }

  /** The same of a store that may have gone back in time, for those who mend it. */
  async presentRevision(): Promise<Rev> {
    const { header } = await this.etcd.kv.range(this.#probe(), deadline(this.#options.timeoutMs));
    return BigInt(header.revision);
  }

  /**
   * One transaction. A lost answer is followed by the same transaction again: if that one writes, the first had not. `around` may
   * add what has to be there before, such as a lease.
   */
  async txn(
    what: string,
    around: (commit: (request: ITxnRequest) => Promise<ITxnResponse>) => Promise<ITxnResponse>,
  ): Promise<Outcome> {
    const { timeline, full } = this.#options;
    const moment = timeline.moment();
    const doubt: Doubt = { cause: undefined };
    try {
      const response = await this.#persist(async (leftMs) => {
        // A write to an etcd that has gone back would get a revision that clients know as another.
        if (timeline.inDoubt) await this.revision();
        timeline.check();
        return await around((request) => this.#commit(request, leftMs, doubt));
      });
      timeline.note(BigInt(response.header.revision), moment);
      return { response, unsure: doubt.cause };
    } catch (error) {
      if (failureOf(error) === 'full') full();
      throw doubt.cause === undefined ? apiErrorOf(error, what) : unknownOutcome(what, doubt.cause);
    }
  }

  /**
   * etcd carries out the write that crosses its quota, and says that there was no space (quotaApplierV3); behind it, it refuses without
   * writing, in the same words. So it is asked again for the comparison alone, which needs no space: if that still holds, nothing was done.
   */
  async #commit(request: ITxnRequest, leftMs: number, doubt: Doubt): Promise<ITxnResponse> {
    const { cause } = doubt;
    try {
      return await this.etcd.kv.txn(request, deadline(leftMs));
    } catch (error) {
      const failure = failureOf(error);
      if (failure === 'full' || (failure === 'unreached' && mayHaveArrived(error))) doubt.cause = error;
      if (failure !== 'full') throw error;
      this.#options.full();
      const response = await this.etcd.kv.txn({ ...request, success: [] }, deadline(leftMs));
      if (!response.succeeded) return response;
      doubt.cause = cause;
      throw error;
    }
  }

  async compact(rev: Rev, options: { readonly physical?: boolean } = {}): Promise<void> {
    try {
      const request = { revision: String(rev), physical: options.physical ?? false };
      await this.etcd.kv.compact(request, deadline(this.#options.timeoutMs));
    } catch (error) {
      const failure = failureOf(error);
      if (failure === 'compacted') return;
      if (failure === 'future') throw new FutureRevisionError(rev, await this.revision());
      throw apiErrorOf(error, `Cannot compact to revision ${rev}`);
    }
  }

  [Symbol.dispose](): void {
    this.#closed.abort(new ApiError('ServiceUnavailable', 'The store has been closed'));
    this.etcd.close();
  }

  #probe(): IRangeRequest {
    return { key: this.#options.probeKey, count_only: true };
  }

  /** Repeats `call` while etcd does not answer, within one deadline for all. */
  async #persist<T>(call: (leftMs: number) => Promise<T>): Promise<T> {
    const { clock, random, timeoutMs, timeline } = this.#options;
    const endMs = clock.monotonic() + timeoutMs;
    for (let failures = 1; ; failures++) {
      this.#closed.signal.throwIfAborted();
      try {
        return await call(endMs - clock.monotonic());
      } catch (error) {
        if (failureOf(error) !== 'unreached') throw error;
        timeline.doubt();
        const delayMs = backoffMs(failures, retry, random);
        if (clock.monotonic() + delayMs >= endMs) throw error;
        await clock.sleep(delayMs, this.#closed.signal);
      }
    }
  }
}

/** For gRPC, which counts in wall time. */
export function deadline(afterMs: number): { readonly deadline: number } {
  return { deadline: Date.now() + afterMs };
}

/** For a write that may have been carried out: whether it was is for the client to see. */
export function unknownOutcome(what: string, cause: unknown): ApiError {
  const details = { retryAfterSeconds: 1 };
  return new ApiError('Timeout', `${what}: etcd did not say whether it was done, read the object to see`, {
    cause,
    details,
  });
}

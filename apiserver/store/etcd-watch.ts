/**
 * One watch on etcd that outlives its connections. It remembers the next revision it has to deliver; after a cut it asks for that
 * one, from the next member in turn. What comes in below it is dropped: etcd before 3.4.38 repeats old events in rare cases.
 *
 * Each watch has a gRPC stream of its own, because etcd before 3.4.31 can lose events of a slow watch on a shared one.
 */
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { EtcdEndpoint, WatchStream, WireEvent, WireKeyValue, WireWatchResponse } from './etcd-grpc.ts';
import { isMark } from './etcd-marks.ts';
import {
  CompactedError,
  FutureRevisionError,
  type KeyValue,
  type Rev,
  type StoreEvent,
  type WatchSink,
} from './store.ts';

export interface EtcdWatchOptions {
  readonly endpoints: readonly EtcdEndpoint[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Asks for a mark in this watch's range. Undefined where etcd's own progress notifications can be believed. */
  readonly requestMark: (() => void) | undefined;
  /** Told of every revision that was delivered. */
  readonly saw: (rev: Rev) => void;
  /** Told when a connection was lost. */
  readonly cut: () => void;
  /** The revision of the cluster, not of a member that lags behind. */
  readonly currentRev: () => Promise<Rev>;
  /** In etcd's terms, with the store's own prefix. */
  readonly key: string;
  readonly rangeEnd: string;
  readonly from: Rev;
  /** Key of etcd to key of the store. */
  readonly keyOf: (key: Buffer) => string;
  readonly sink: WatchSink;
}

const reconnect = { firstMs: 50, maxMs: 2_000 };

export class EtcdWatch implements Disposable {
  readonly #options: EtcdWatchOptions;
  #next: Rev;
  #stream: WatchStream | undefined;
  #retry: Disposable | undefined;
  #failures = 0;
  #turn: number;
  #fragments: WireEvent[] = [];
  #cut = false;
  #over = false;

  constructor(options: EtcdWatchOptions) {
    this.#options = options;
    this.#next = options.from;
    this.#turn = Math.floor(options.random.next() * options.endpoints.length);
    this.#connect();
  }

  requestProgress(): void {
    const { requestMark } = this.#options;
    if (requestMark) requestMark();
    else this.#stream?.write({ progress_request: {} });
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#retry?.[Symbol.dispose]();
    this.#drop();
  }

  #connect(): void {
    const { endpoints, key, rangeEnd } = this.#options;
    const stream = endpoints[this.#turn++ % endpoints.length]!.openWatch();
    this.#stream = stream;
    this.#fragments = [];
    const lost = (error?: unknown) => {
      if (this.#stream === stream) this.#reconnect(error);
    };
    stream.on('data', (response: WireWatchResponse) => {
      if (this.#stream === stream) this.#receive(response);
    });
    stream.on('error', lost).on('end', lost);
    stream.write({
      create_request: {
        key: Buffer.from(key),
        range_end: Buffer.from(rangeEnd),
        start_revision: String(this.#next),
        progress_notify: this.#options.requestMark === undefined,
        prev_kv: true,
        fragment: true,
      },
    });
  }

  #reconnect(error: unknown): void {
    this.#drop();
    if (this.#over) return;
    const { clock, random, log, key } = this.#options;
    this.#cut = true;
    this.#options.cut();
    this.#failures++;
    const delayMs = backoffMs(this.#failures, reconnect, random);
    log.info('Watch was cut, resuming', { key, from: String(this.#next), delayMs, reason: messageOf(error) });
    this.#retry = clock.timeout(() => this.#connect(), delayMs);
  }

  #drop(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    // A cancelled stream still reports an error; without a listener that would end the process.
    stream?.cancel();
  }

  /** Ends it for good, and tells the sink why. */
  end(error: Error): void {
    if (this.#over) return;
    this[Symbol.dispose]();
    this.#options.sink.ended(error);
  }

  #receive(response: WireWatchResponse): void {
    const rev = BigInt(response.header.revision);
    if (!response.canceled && !response.created) this.#failures = 0;
    if (response.canceled) this.#canceled(response);
    else if (response.created) this.#created(rev);
    else if (response.events.length > 0) this.#deliver(response);
    else if (!this.#options.requestMark && rev >= this.#next) this.#progress(rev);
  }

  /** A quiet prefix must not fall behind the compaction: from here on it resumes from where the whole store was. */
  #progress(rev: Rev): void {
    this.#next = rev + 1n;
    this.#options.saw(rev);
    this.#options.sink.progress(rev);
  }

  #deliver(response: WireWatchResponse): void {
    this.#fragments.push(...response.events);
    if (response.fragment) return;
    const events = this.#fragments.map((event) => this.#toEvent(event)).filter(({ rev }) => rev >= this.#next);
    const old = this.#fragments.length - events.length;
    if (old > 0) this.#options.log.warn('etcd repeated old events, dropped', { key: this.#options.key, old });
    this.#fragments = [];
    if (events.length === 0) return;
    const { rev } = events.at(-1)!;
    this.#next = rev + 1n;
    this.#options.saw(rev);
    const told = events.filter(({ key }) => !isMark(key));
    if (told.length > 0) this.#options.sink.events(told);
    if (told.length < events.length) this.#options.sink.progress(rev);
  }

  #canceled(response: WireWatchResponse): void {
    const compactRev = BigInt(response.compact_revision);
    if (compactRev > 0n) this.end(new CompactedError(this.#next, compactRev));
    else this.#reconnect(new Error(`Cancelled by etcd: ${response.cancel_reason || 'no reason given'}`));
  }

  /** A member that is behind what was already seen lags, or the whole store was put back to an older state: ask which. */
  #created(memberRev: Rev): void {
    if (this.#cut) this.#options.sink.resumed();
    this.#cut = false;
    if (memberRev + 1n >= this.#next) return;
    const stream = this.#stream;
    this.#options.currentRev().then(
      (rev) => {
        if (this.#stream !== stream) return;
        if (rev + 1n < this.#next) this.end(new FutureRevisionError(this.#next, rev));
      },
      (error: unknown) => {
        if (this.#stream === stream) this.#reconnect(error);
      },
    );
  }

  #toEvent({ type, kv, prev_kv }: WireEvent): StoreEvent {
    const key = this.#options.keyOf(kv.key);
    const prev = prev_kv === null ? {} : { prev: toKeyValue(key, prev_kv) };
    const rev = BigInt(kv.mod_revision);
    if (type === 'Delete') return { type: 'delete', key, rev, ...prev };
    return { type: 'put', key, rev, kv: toKeyValue(key, kv), ...prev };
  }
}

export function toKeyValue(key: string, kv: WireKeyValue): KeyValue {
  return { key, value: kv.value, createRev: BigInt(kv.create_revision), modRev: BigInt(kv.mod_revision) };
}

/** The operator event stream: what changed, to everybody who subscribed. */
import type { Clock } from '#lib/std/clock.ts';
import type { RecordStream } from '../http.ts';

export type OperatorEvent = { readonly type: string; readonly [key: string]: unknown };

const maxSubscribers = 1000;

interface Subscriber {
  readonly stream: RecordStream<OperatorEvent>;
  heartbeat: Disposable;
}

export class OperatorFeed {
  readonly #clock: Clock;
  readonly #heartbeatMs: number;
  readonly #subscribers = new Set<Subscriber>();

  constructor(clock: Clock, heartbeatMs: number) {
    this.#clock = clock;
    this.#heartbeatMs = heartbeatMs;
  }

  /** False spares the caller the making of an event that nobody reads. */
  get watched(): boolean {
    return this.#subscribers.size > 0;
  }

  /** Adds a reader, who gets `snapshot` and a heartbeat first. The oldest is dropped beyond Mesos' 1000. Returns how to remove it. */
  subscribe(stream: RecordStream<OperatorEvent>, snapshot: OperatorEvent): () => void {
    stream.send(snapshot);
    const subscriber: Subscriber = { stream, heartbeat: { [Symbol.dispose]() {} } };
    this.#subscribers.add(subscriber);
    this.#beat(subscriber);
    const [oldest] = this.#subscribers;
    if (this.#subscribers.size > maxSubscribers && oldest !== undefined) this.#drop(oldest);
    return () => this.#drop(subscriber);
  }

  send(event: OperatorEvent): void {
    for (const { stream } of this.#subscribers) stream.send(event);
  }

  #beat(subscriber: Subscriber): void {
    subscriber.stream.send({ type: 'HEARTBEAT' });
    subscriber.heartbeat = this.#clock.timeout(() => this.#beat(subscriber), this.#heartbeatMs);
  }

  #drop(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
    subscriber.heartbeat[Symbol.dispose]();
    subscriber.stream.end();
  }
}

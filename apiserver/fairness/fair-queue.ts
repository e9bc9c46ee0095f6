/**
 * Shares a number of seats among flows (users). A request that gets no seat at once waits in its flow's queue. Free seats go to the flow that
 * has the fewest, in turns among equals: however much one flow sends, another waits at most for one request of each of the others.
 *
 *   enter ──► queue of the flow ──► seat ──► dispose
 *     │            │
 *     │            └──► waited too long, or the client has gone
 *     └──► the queue is full
 */
import type { Clock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import { type BucketLimits, TokenBucket } from './token-bucket.ts';

export interface FairQueueOptions {
  readonly seats: number;
  /** No flow has more at once, however idle the others are: they need not wait for seats when they come. */
  readonly seatsPerFlow: number;
  readonly queuedPerFlow: number;
  readonly queued: number;
  readonly waitMs: number;
  readonly rate: BucketLimits;
  readonly clock: Clock;
  /** Told how many hold a seat and how many wait, whenever that changes. */
  readonly changed?: (seated: number, waiting: number) => void;
}

/** Why a request was turned away. */
export type Rejection = 'queue-full' | 'time-out';

export class TooManyRequests extends ApiError {
  readonly rejection: Rejection;

  constructor(rejection: Rejection, retryAfterSeconds: number) {
    super('TooManyRequests', 'Too many requests, please try again later.', { details: { retryAfterSeconds } });
    this.rejection = rejection;
  }
}

interface Waiter {
  readonly admit: () => void;
}

interface Flow {
  readonly bucket: TokenBucket;
  readonly waiting: Set<Waiter>;
  seated: number;
}

const idleFlows = 1_000;

export class FairQueue {
  readonly #options: FairQueueOptions;
  readonly #flows = new Map<string, Flow>();
  /** Flows that have somebody waiting, the one whose turn it is first. */
  readonly #turns = new Set<Flow>();
  #seated = 0;
  #waiting = 0;
  #refill: Disposable | undefined;
  #sweepAt = idleFlows;

  constructor(options: FairQueueOptions) {
    this.#options = options;
  }

  /** Resolves with a seat: dispose of it to give it back. TooManyRequests if there is no room to wait, or none came free in time. */
  async enter(name: string, signal: AbortSignal): Promise<Disposable> {
    const flow = this.#flow(name);
    if (flow.waiting.size === 0 && this.#mayRun(flow)) return this.#seat(flow);
    const { queued, queuedPerFlow } = this.#options;
    if (this.#waiting >= queued || flow.waiting.size >= queuedPerFlow)
      throw new TooManyRequests('queue-full', this.#retryAfter(flow));
    return await this.#wait(flow, signal);
  }

  async #wait(flow: Flow, signal: AbortSignal): Promise<Disposable> {
    const { promise, resolve, reject } = Promise.withResolvers<Disposable>();
    using stack = new DisposableStack();
    const waiter: Waiter = { admit: () => resolve(this.#seat(flow)) };
    this.#enqueue(flow, waiter);
    stack.defer(() => this.#dequeue(flow, waiter));
    const late = () => reject(new TooManyRequests('time-out', this.#retryAfter(flow)));
    stack.use(this.#options.clock.timeout(late, this.#options.waitMs));
    const gone = () => reject(signal.reason);
    signal.addEventListener('abort', gone, { once: true });
    stack.defer(() => signal.removeEventListener('abort', gone));
    this.#admitAll();
    return await promise; // not before: what is on the stack goes when this function ends
  }

  #enqueue(flow: Flow, waiter: Waiter): void {
    flow.waiting.add(waiter);
    this.#turns.add(flow);
    this.#waiting++;
    this.#tell();
  }

  #dequeue(flow: Flow, waiter: Waiter): void {
    if (!flow.waiting.delete(waiter)) return;
    if (flow.waiting.size === 0) this.#turns.delete(flow);
    this.#waiting--;
    this.#tell();
  }

  #mayRun(flow: Flow): boolean {
    const { seats, seatsPerFlow, clock } = this.#options;
    return this.#seated < seats && flow.seated < seatsPerFlow && flow.bucket.waitMs(clock.monotonic()) === 0;
  }

  #seat(flow: Flow): Disposable {
    flow.bucket.take();
    flow.seated++;
    this.#seated++;
    this.#tell();
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        flow.seated--;
        this.#seated--;
        this.#tell();
        this.#admitAll();
      },
    };
  }

  #admitAll(): void {
    for (let flow = this.#next(); flow; flow = this.#next()) {
      const [waiter] = flow.waiting;
      this.#dequeue(flow, waiter!);
      // Behind all others of its kind.
      if (this.#turns.delete(flow)) this.#turns.add(flow);
      waiter!.admit();
    }
    this.#awaitTokens();
  }

  #next(): Flow | undefined {
    let best: Flow | undefined;
    for (const flow of this.#turns)
      if ((best === undefined || flow.seated < best.seated) && this.#mayRun(flow)) best = flow;
    return best;
  }

  /** Flows that wait for nothing but their rate are looked at again when the first of them may go on. */
  #awaitTokens(): void {
    this.#refill?.[Symbol.dispose]();
    this.#refill = undefined;
    const { clock } = this.#options;
    const waits = [...this.#turns].map((flow) => flow.bucket.waitMs(clock.monotonic())).filter((ms) => ms > 0);
    if (waits.length > 0) this.#refill = clock.timeout(() => this.#admitAll(), Math.min(...waits));
  }

  #flow(name: string): Flow {
    const known = this.#flows.get(name);
    if (known) return known;
    const { clock, rate } = this.#options;
    if (this.#flows.size >= this.#sweepAt) this.#forgetIdle();
    const flow = { bucket: new TokenBucket(rate, clock.monotonic()), waiting: new Set<Waiter>(), seated: 0 };
    this.#flows.set(name, flow);
    return flow;
  }

  /** Of those who have not been here for a while nothing is left to remember. */
  #forgetIdle(): void {
    const now = this.#options.clock.monotonic();
    for (const [name, flow] of this.#flows)
      if (flow.seated === 0 && flow.waiting.size === 0 && flow.bucket.isFull(now)) this.#flows.delete(name);
    this.#sweepAt = Math.max(idleFlows, 2 * this.#flows.size);
  }

  #retryAfter(flow: Flow): number {
    return Math.max(1, Math.ceil(flow.waiting.size / this.#options.rate.perSecond));
  }

  #tell(): void {
    this.#options.changed?.(this.#seated, this.#waiting);
  }
}

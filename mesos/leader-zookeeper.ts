/**
 * The leading master as ZooKeeper knows it. What was known stays until something else is: a session that broke or expired says nothing
 * about masters, and a master that does not lead says so itself.
 */
import { Hops } from './hops.ts';
import type { ChoiceParts, MasterChoice } from './leader.ts';
import { namesOfMaster, originOfMaster, readLeader } from './master-nodes.ts';
import type { MasterInfo } from './types.ts';
import type { ZooKeeperConnection } from './zookeeper/connection.ts';
import { keepSession } from './zookeeper/session.ts';
import { describeZooKeeper, type ZooKeeperUrl } from './zookeeper/url.ts';

export interface ZooKeeperTiming {
  /** After how long without us ZooKeeper forgets us, and without it we do as if it had. */
  readonly sessionTimeoutMs: number;
  /** How long to wait for the first leader. */
  readonly patienceMs: number;
}

/** The session as with Mesos' own detectors. */
const defaultTiming: ZooKeeperTiming = { sessionTimeoutMs: 10_000, patienceMs: 15_000 };

export class ZooKeeperMasters implements MasterChoice {
  readonly size = 1;
  readonly #url: ZooKeeperUrl;
  readonly #parts: ChoiceParts;
  readonly #timing: ZooKeeperTiming;
  readonly #hops = new Hops();
  readonly #listeners = new Set<(origin: string) => void>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #leader: MasterInfo | undefined;
  /** Who led before, as it may be called. */
  #former: readonly string[] = [];
  readonly #known = Promise.withResolvers<void>();
  #trouble = 'it has not answered yet';

  constructor(url: ZooKeeperUrl, parts: ChoiceParts) {
    this.#url = url;
    this.#parts = parts;
    this.#timing = parts.zooKeeper ?? defaultTiming;
  }

  get current(): string | undefined {
    return this.#hops.target ?? this.#origin(this.#leader);
  }

  async next(signal: AbortSignal): Promise<string> {
    this.#running ??= this.#follow();
    if (this.current === undefined) await this.#untilKnown(signal);
    signal.throwIfAborted();
    if (this.current !== undefined) return this.current;
    throw new Error(`ZooKeeper at ${describeZooKeeper(this.#url)} names no leading master: ${this.#trouble}`);
  }

  /** A redirect to whoever led before is not followed: the new leader has not heard of its own election yet. */
  redirected(location: string | undefined): void {
    const from = this.current ?? '';
    this.#hops.follow(from, location);
    const to = this.#hops.target ?? '';
    if (!this.#former.includes(to)) return;
    this.#hops.forget();
    throw new Error(`Master ${from} still names ${to}, which led before`);
  }

  failed(): void {
    this.#hops.forget();
  }

  succeeded(): void {
    this.#hops.arrived();
  }

  onChange(told: (origin: string) => void): Disposable {
    this.#listeners.add(told);
    return { [Symbol.dispose]: () => void this.#listeners.delete(told) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('No master is looked for any more'));
    await this.#running;
  }

  async #untilKnown(signal: AbortSignal): Promise<void> {
    const known = new AbortController();
    const patience = this.#parts.clock.sleep(this.#timing.patienceMs, AbortSignal.any([signal, known.signal]));
    await Promise.race([this.#known.promise, patience.catch(() => undefined)]);
    known.abort();
  }

  #follow(): Promise<void> {
    const { clock, random, log } = this.#parts;
    const options = { url: this.#url, timeoutMs: this.#timing.sessionTimeoutMs, clock, random, log };
    const work = {
      work: (connection: ZooKeeperConnection) => this.#watch(connection),
      failed: (reason: string) => {
        this.#trouble = reason;
      },
    };
    return keepSession(options, work, this.#stop.signal);
  }

  async #watch(connection: ZooKeeperConnection): Promise<never> {
    for (;;) {
      const changed = connection.changed();
      const info = await readLeader(connection, this.#url.path);
      if (info === undefined) this.#trouble = 'no master stands there';
      else this.#leads(info);
      await changed;
    }
  }

  #origin(info: MasterInfo | undefined): string | undefined {
    return info && originOfMaster(info, this.#parts.scheme ?? 'http');
  }

  /** A redirect that we followed may be newer than this; it is right when it led to the same master. */
  #leads(info: MasterInfo): void {
    if (info.id === this.#leader?.id) return;
    const before = this.current;
    this.#former = this.#leader === undefined ? [] : namesOfMaster(this.#leader);
    this.#leader = info;
    this.#hops.forget();
    this.#known.resolve();
    const origin = this.#origin(info)!;
    if (before === undefined || before === origin || namesOfMaster(info).includes(before)) return;
    this.#parts.log.info('Another master leads', { master: origin, before });
    for (const told of this.#listeners) told(origin);
  }
}

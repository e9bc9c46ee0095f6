/**
 * What is done when etcd has used up its quota and refuses writes. Most of what it holds then is history: that is forgotten, the file
 * made smaller, and the alarm, which etcd itself never lifts, put out. If objects alone fill the quota nothing gets smaller; then
 * people are told what to do, and it is tried again: deleting is possible all the time.
 */
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { EtcdCalls } from './etcd-calls.ts';
import type { EtcdEndpoint } from './etcd-grpc.ts';

export interface SpaceKeeperOptions {
  readonly calls: EtcdCalls;
  readonly endpoints: readonly EtcdEndpoint[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Watches get so long to take what is about to be forgotten. Nothing new comes in meanwhile. */
const graceMs = 2_000;
const retry = { firstMs: 5_000, maxMs: 60_000 };
const callTimeoutMs = 5_000;
/** A member rewrites its whole file: some seconds per gigabyte. */
const defragmentTimeoutMs = 120_000;
/** Putting out the alarm is of use only if there is room for more than the next few writes. */
const enoughFreed = 0.9;

export class SpaceKeeper {
  readonly #options: SpaceKeeperOptions;
  #busy = false;

  constructor(options: SpaceKeeperOptions) {
    this.#options = options;
  }

  /** A write was refused for want of space. */
  notice(): void {
    if (this.#busy) return;
    this.#busy = true;
    void this.#mend().finally(() => {
      this.#busy = false;
    });
  }

  async #mend(): Promise<void> {
    const { calls, clock, random, log } = this.#options;
    log.error('etcd has used up its quota and refuses writes: forgetting history to make room');
    let fullBytes: number | undefined;
    for (let failures = 1; !calls.closed.aborted; failures++) {
      try {
        // Several replicas do this: by chance not all at once.
        await clock.sleep(graceMs * (1 + random.next()), calls.closed);
        fullBytes ??= await this.#largest();
        if (await this.#makeRoom(fullBytes)) return;
        log.error('etcd is full of objects: delete some, or raise its --quota-backend-bytes', { bytes: fullBytes });
      } catch (error) {
        if (!calls.closed.aborted) log.warn('Cannot make room in etcd, will try again', { error });
      }
      await clock.sleep(backoffMs(failures, retry, random), calls.closed).catch(() => undefined);
    }
  }

  /** False if there is still no room to speak of. */
  async #makeRoom(fullBytes: number): Promise<boolean> {
    const { calls, endpoints, log } = this.#options;
    if ((await this.#fullMembers()).length === 0) return true;
    await calls.compact(await calls.presentRevision(), { physical: true });
    // One after the other, so that the others answer.
    for (const endpoint of endpoints) await endpoint.defragment(defragmentTimeoutMs);
    const bytes = await this.#largest();
    if (bytes > fullBytes * enoughFreed) return false;
    for (const member of await this.#fullMembers())
      await Promise.any(endpoints.map((endpoint) => endpoint.disarm(member, callTimeoutMs)));
    log.warn('Made room in etcd, it takes writes again', { bytes, before: fullBytes });
    return true;
  }

  #fullMembers(): Promise<string[]> {
    return Promise.any(this.#options.endpoints.map((endpoint) => endpoint.fullMembers(callTimeoutMs)));
  }

  async #largest(): Promise<number> {
    const statuses = await Promise.all(this.#options.endpoints.map((endpoint) => endpoint.status(callTimeoutMs)));
    return Math.max(...statuses.map(({ dbSize }) => Number(dbSize)));
  }
}

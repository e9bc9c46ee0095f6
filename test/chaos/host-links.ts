/** How executors reach each other for live migration: slowly, not at all where hosts are cut off from each other, and now and then for nothing. */

import type { ExecutorOptions } from '#executor/executor.ts';
import { MemoryNetwork } from '#executor/migration/memory-peers.ts';
import type { MigrationPeer, MigrationTarget } from '#executor/migration/peers.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import type { Life } from './life.ts';
import type { Network } from './network.ts';

/** Whoever hears nothing for so long takes the connection for broken. */
const silenceMs = 90_000;

/** What meets the moment at which the most depends on it: the source asks for its guest to be taken, or the answer is ready. */
export interface AtFinish {
  readonly when: 'asked' | 'answered';
  strike(source: Life, destination: Life): void;
}

export class HostLinks {
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #hosts: MemoryNetwork;
  /** By URL. */
  readonly #lives = new Map<string, Life>();
  /** Chance that a request, or its answer, is lost. */
  losing = 0;
  /** Once. */
  atFinish: AtFinish | undefined;

  constructor(network: Network, clock: Clock, random: Random) {
    this.#network = network;
    this.#clock = clock;
    this.#random = random;
    this.#hosts = new MemoryNetwork(random);
  }

  forLife(life: Life): NonNullable<ExecutorOptions['migrations']> {
    const plain = this.#hosts.peers();
    return {
      peers: { place: () => plain.place(), open: (target) => this.#open(life, target, plain.open(target)) },
      join: (arrivals) => {
        const joined = this.#hosts.join(arrivals);
        const { url } = joined.endpoint;
        this.#lives.set(url, life);
        life.onEnd(() => {
          this.#lives.delete(url);
          joined[Symbol.dispose]();
        });
        return joined;
      },
    };
  }

  #open(life: Life, target: MigrationTarget, peer: MigrationPeer): MigrationPeer {
    const call = <T>(work: () => Promise<T>) => life.call(() => this.#ask(life, this.#lives.get(target.url), work));
    return {
      describe: (signal) => call(() => peer.describe(signal)),
      prepare: (begun, signal) => call(() => peer.prepare(begun, signal)),
      tunnel: (to, signal) => call(() => peer.tunnel(to, signal)),
      finish: (sent, signal) =>
        call(async () => {
          const there = this.#lives.get(target.url);
          this.#meet('asked', life, there);
          const outcome = await peer.finish(sent, signal);
          this.#meet('answered', life, there);
          return outcome;
        }),
      outcome: (signal) => call(() => peer.outcome(signal)),
      refuse: (message, signal) => call(() => peer.refuse(message, signal)),
    };
  }

  #meet(when: AtFinish['when'], source: Life, destination: Life | undefined): void {
    const { atFinish } = this;
    if (atFinish?.when !== when || !destination) return;
    this.atFinish = undefined;
    atFinish.strike(source, destination);
  }

  async #ask<T>(from: Life, to: Life | undefined, work: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const late = this.#clock.timeout(() => reject(new Error('The other host does not answer')), silenceMs);
    promise.then(
      () => late[Symbol.dispose](),
      () => late[Symbol.dispose](),
    );
    this.#carry(from, to, () => {
      if (!to || to.dead) return reject(new Error('connect ECONNREFUSED'));
      to.onEnd(() => reject(new Error('connection reset')));
      to.enter(() => {
        work().then(
          (answer) => this.#carry(to, from, () => resolve(answer)),
          (error: unknown) => this.#carry(to, from, () => reject(error)),
        );
      });
    });
    return await promise;
  }

  #carry(from: Life | undefined, to: Life | undefined, deliver: () => void): void {
    const delayMs =
      1 + Math.floor(this.#random.next() * 4) + Math.floor(this.#network.slownessMs(from, to) * this.#random.next());
    const isLost = this.#random.next() < this.losing;
    this.#clock.timeout(() => {
      if (!isLost && !this.#network.isCut(from, to)) deliver();
    }, delayMs);
  }
}

/**
 * One imitated process. All that wakes it (timers, answers, connections) comes through here, so that it can be killed between any two
 * lines that touch the outside: nothing of it ever runs again, and nobody unwinds. Stopped (SIGSTOP), everything waits until it goes on.
 */
import type { Clock } from '#lib/std/clock.ts';
import { type Random, seededRandom } from '#lib/std/random.ts';
import { sleepOn } from '../virtual-clock.ts';

/** When to die or stop: at the so-many-th call to the outside from now on, before it is made or after its answer is there. */
export interface Doom {
  calls: number;
  readonly when: 'before' | 'after';
  readonly strike: () => void;
}

export class Life {
  readonly name: string;
  readonly random: Random;
  readonly clock: Clock;
  /** As what it stands for election, if it does. */
  identity = '';
  /** Since when it has run without having been stopped. */
  runningSinceMs: number;
  dead = false;
  doom: Doom | undefined;
  /** How far its wall clock is off. */
  skewMs = 0;
  #stopped = false;
  #held: (() => void)[] = [];
  readonly #ends = new Set<() => void>();

  constructor(name: string, clock: Clock, seed: number) {
    this.name = name;
    this.random = seededRandom(seed);
    this.runningSinceMs = clock.monotonic();
    const timeout = (callback: () => void, delayMs: number) => clock.timeout(() => this.enter(callback), delayMs);
    this.clock = {
      now: () => clock.now() + this.skewMs,
      monotonic: () => clock.monotonic(),
      timeout,
      sleep: (delayMs, signal) => sleepOn({ timeout }, delayMs, signal),
    };
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Runs what wakes the process: now, later, or never. */
  enter(callback: () => void): void {
    if (this.dead) return;
    if (this.#stopped) this.#held.push(callback);
    else callback();
  }

  /** An answer from outside, which a dead process never sees. */
  async answer<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(
        (value) => this.enter(() => resolve(value)),
        (error: unknown) => this.enter(() => reject(error)),
      );
    });
  }

  /** A call to the outside: the process may die or stop before it, or with its answer on the way. */
  async call<T>(work: () => Promise<T>): Promise<T> {
    const doom = this.doom !== undefined && --this.doom.calls <= 0 ? this.doom : undefined;
    if (doom) this.doom = undefined;
    if (doom?.when === 'before') doom.strike();
    if (this.dead) return await new Promise<never>(() => undefined);
    const result = work();
    if (doom?.when === 'after') void result.then(doom.strike, doom.strike);
    return await this.answer(result);
  }

  /** What it gives takes it back. */
  onEnd(ended: () => void): () => void {
    this.#ends.add(ended);
    return () => void this.#ends.delete(ended);
  }

  stop(): void {
    this.#stopped = true;
  }

  goOn(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.runningSinceMs = this.clock.monotonic();
    for (const callback of this.#held.splice(0)) this.enter(callback);
  }

  kill(): void {
    if (this.dead) return;
    this.dead = true;
    this.#held = [];
    for (const ended of this.#ends) ended();
    this.#ends.clear();
  }
}

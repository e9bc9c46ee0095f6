/** What is done to whom: how, how often and for how long, all drawn from the seed before it begins. */
import { systemClock } from '#lib/std/clock.ts';
import { isRunning, type ProcessIdentity, signalProcess } from '#lib/std/process-identity.ts';
import type { Random } from '#lib/std/random.ts';
import type { Keeper } from './keeper.ts';

export interface Blow<Kind extends string, Way extends string> {
  readonly kind: Kind;
  readonly way: Way;
}

export interface Fault<Kind extends string = string, Way extends string = string> extends Blow<Kind, Way> {
  /** How long it stands still, or is not started again. */
  readonly forMs: number;
  readonly pauseMs: number;
}

/** A process, or several that are one to whoever watches them. */
export interface Victim {
  readonly name: string;
  readonly processes: readonly ProcessIdentity[];
}

export interface Harm<Kind extends string, Way extends string, V extends Victim> {
  /** Those of a kind that are there now. */
  find(kind: Kind): Promise<readonly V[]>;
  /** Hurts it for as long as the fault says, and lets go of it. */
  hurt(fault: Fault<Kind, Way>, victim: V): Promise<void>;
}

const together = 3;
const pauseMs = 6_000;
/** So long it may take until one can be found that is whole, while others are being hurt. */
const findWithinMs = 90_000;

/** In random order, each for a random time. Some are longer than every timeout of the cluster, most not. */
export function plan<Kind extends string, Way extends string>(
  blows: readonly Blow<Kind, Way>[],
  longestMs: Readonly<Record<Way, number>>,
  random: Random,
): readonly Fault<Kind, Way>[] {
  return blows
    .map((blow) => ({ ...blow, order: random.next() }))
    .sort((a, b) => a.order - b.order)
    .map(({ kind, way }) => {
      const shortestMs = way === 'kill -9' ? 0 : 1_000;
      return {
        ...{ kind, way, pauseMs: random.next() * pauseMs },
        forMs: shortestMs + random.next() ** 1.5 * (longestMs[way] - shortestMs),
      };
    });
}

export class Striker<Kind extends string, Way extends string, V extends Victim> {
  readonly #harm: Harm<Kind, Way, V>;
  readonly #random: Random;
  readonly #together: number;
  readonly #hurt = new Set<string>();
  /** Those that were done. */
  readonly done: Fault<Kind, Way>[] = [];

  constructor(harm: Harm<Kind, Way, V>, random: Random, atOnce = together) {
    this.#harm = harm;
    this.#random = random;
    this.#together = atOnce;
  }

  /** Does them, some at a time; ends when the last one is over. Throws if there was nobody left to be hurt. */
  async strike(faults: readonly Fault<Kind, Way>[]): Promise<void> {
    const left = [...faults];
    const work = async () => {
      for (let fault = left.shift(); fault; fault = left.shift()) {
        await systemClock.sleep(fault.pauseMs);
        const victim = await this.#take(fault.kind);
        await this.#harm.hurt(fault, victim);
        this.#hurt.delete(victim.name);
        this.done.push(fault);
      }
    };
    const ended = await Promise.allSettled(Array.from({ length: this.#together }, work));
    for (const result of ended) if (result.status === 'rejected') throw result.reason;
  }

  /** One that is whole; nobody else takes it until it is whole again. */
  async #take(kind: Kind): Promise<V> {
    const deadline = systemClock.monotonic() + findWithinMs;
    for (;;) {
      const found = await this.#harm.find(kind);
      const whole = found.filter(({ name, processes }) => !this.#hurt.has(name) && processes.every(isRunning));
      const victim = whole[Math.floor(this.#random.next() * whole.length)];
      if (victim) {
        this.#hurt.add(victim.name);
        return victim;
      }
      if (systemClock.monotonic() > deadline) throw new Error(`There was no ${kind} to be hurt for ${findWithinMs} ms`);
      await systemClock.sleep(200);
    }
  }
}

/** By kill -9, or by standing still for a while. What the keeper keeps is started again after that time. */
export async function hurtProcesses(
  keeper: Keeper,
  { kind, way, forMs }: Fault,
  { name, processes }: Victim,
  print: (line: string) => void,
): Promise<void> {
  const signal = way === 'SIGSTOP' ? 'SIGSTOP' : 'SIGKILL';
  if (signal === 'SIGKILL') keeper.leaveDown(name, forMs);
  for (const { pid } of processes) signalProcess(pid, signal);
  const pids = processes.map(({ pid }) => pid).join(', ');
  print(`${signal} ${kind} ${name} (${pids}), ${(forMs / 1000).toFixed(1)} s`);
  await systemClock.sleep(forMs);
  if (signal === 'SIGSTOP')
    for (const process of processes) if (isRunning(process)) signalProcess(process.pid, 'SIGCONT');
}

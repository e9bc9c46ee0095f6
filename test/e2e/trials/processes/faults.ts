/** What is done to the processes: how, to whom, how often and for how long, all drawn from the seed before it begins. */
import { systemClock } from '#lib/std/clock.ts';
import { isRunning, type ProcessIdentity, signalProcess } from '#lib/std/process-identity.ts';
import type { Random } from '#lib/std/random.ts';
import type { ProcessCluster } from './cluster.ts';
import { type TargetKind, targets } from './targets.ts';

export const ways = ['kill -9', 'SIGSTOP'] as const;

export interface Fault {
  readonly kind: TargetKind;
  readonly way: (typeof ways)[number];
  /** How long it stands still, or is not started again. */
  readonly forMs: number;
  readonly pauseMs: number;
}

/** A process, or several that are one to whoever watches them. */
export interface Victim {
  readonly name: string;
  readonly processes: readonly ProcessIdentity[];
}

const together = 3;
const pauseMs = 6_000;
/** Some longer than every timeout of the cluster, most not. */
const longestMs = { 'kill -9': 10_000, SIGSTOP: 15_000 } as const;
const shortestMs = { 'kill -9': 0, SIGSTOP: 1_000 } as const;
/** So long it may take until one can be found that is whole, while others are being hurt. */
const findWithinMs = 90_000;

/** `each` of every way to every kind of target, shuffled. */
export function plan(kinds: readonly TargetKind[], each: number, random: Random): readonly Fault[] {
  const faults = kinds.flatMap((kind) =>
    ways.flatMap((way) => Array.from({ length: each }, () => ({ kind, way, order: random.next() }))),
  );
  return faults
    .sort((a, b) => a.order - b.order)
    .map(({ kind, way }) => ({
      ...{ kind, way, pauseMs: random.next() * pauseMs },
      forMs: shortestMs[way] + random.next() ** 1.5 * (longestMs[way] - shortestMs[way]),
    }));
}

export class Striker {
  readonly #cluster: ProcessCluster;
  readonly #random: Random;
  readonly #hurt = new Set<string>();
  readonly #print: (line: string) => void;
  /** Those that were done. */
  readonly done: Fault[] = [];

  constructor(cluster: ProcessCluster, random: Random, print: (line: string) => void) {
    this.#cluster = cluster;
    this.#random = random;
    this.#print = print;
  }

  /** Does them, up to three at a time; ends when the last one is over. Throws if there was nobody left to be hurt. */
  async strike(faults: readonly Fault[]): Promise<void> {
    const left = [...faults];
    const work = async () => {
      for (let fault = left.shift(); fault; fault = left.shift()) {
        await systemClock.sleep(fault.pauseMs);
        await this.#do(fault);
      }
    };
    const ended = await Promise.allSettled(Array.from({ length: together }, work));
    for (const result of ended) if (result.status === 'rejected') throw result.reason;
  }

  async #do(fault: Fault): Promise<void> {
    const victim = await this.#take(fault);
    const signal = fault.way === 'SIGSTOP' ? 'SIGSTOP' : 'SIGKILL';
    if (signal === 'SIGKILL') this.#cluster.keeper.leaveDown(victim.name, fault.forMs);
    for (const { pid } of victim.processes) signalProcess(pid, signal);
    const pids = victim.processes.map(({ pid }) => pid).join(', ');
    this.#print(`${signal} ${fault.kind} ${victim.name} (${pids}), ${(fault.forMs / 1000).toFixed(1)} s`);
    await systemClock.sleep(fault.forMs);
    if (signal === 'SIGSTOP')
      for (const process of victim.processes) if (isRunning(process)) signalProcess(process.pid, 'SIGCONT');
    this.#hurt.delete(victim.name);
    this.done.push(fault);
  }

  /** One that is whole; nobody else takes it until it is whole again. */
  async #take({ kind }: Fault): Promise<Victim> {
    const deadline = systemClock.monotonic() + findWithinMs;
    for (;;) {
      const found = await targets[kind](this.#cluster);
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

/**
 * Asks Mesos for the state of every task that we believe in, until each is answered: no answer is an answer that must be asked for again
 * (an agent that has not come back after a master's restart has none to give). Then asks for all that Mesos has, to find what we do not
 * know of. After every subscription, and periodically: soon at first, then less and less often.
 */
import { backoffMs } from '#lib/std/backoff.ts';
import type { World } from './world.ts';

const batch = 1_000;
const retry = { firstMs: 1_000, maxMs: 15_000 } as const;
/** Agents that come back after a master's restart tell it of tasks that the first answers did not name. */
const period = { firstMs: 60_000, maxMs: 10 * 60_000 } as const;

export interface KnownTask {
  readonly taskId: string;
  readonly agentId: string;
}

export interface Reconciliation {
  /** True once every task of this session that can be answered has been. */
  readonly done: boolean;
  /** Somebody has to answer yet. */
  readonly isBusy: boolean;
  /** A new session: all of these are to be asked for. */
  start(tasks: readonly KnownTask[]): void;
  stop(): void;
  /** Ask for one more, for instance because nothing has been heard of it for too long. */
  ask(task: KnownTask): void;
  /** Something was heard of this task. */
  heard(taskId: string): void;
  /** To be called often; does what is due. */
  look(): Promise<void>;
}

export function reconciliation(world: World, known: () => readonly KnownTask[], onDone: () => void): Reconciliation {
  const open = new Map<string, string>();
  let active = false;
  let done = false;
  let looking = false;
  let rounds = 0;
  let nextMs = 0;
  let nextPeriodMs = 0;
  let periodMs: number = period.firstMs;

  /** Tasks of agents that are not registered cannot be answered; they must not stop all others. */
  function answerable(): boolean {
    return [...open.values()].some((agentId) => world.agents.isRegistered(agentId));
  }

  async function send(tasks: readonly KnownTask[]): Promise<boolean> {
    return await world.call({
      type: 'RECONCILE',
      reconcile: {
        tasks: tasks.map(({ taskId, agentId }) => ({ task_id: { value: taskId }, agent_id: { value: agentId } })),
      },
    });
  }

  async function explicit(): Promise<void> {
    rounds++;
    // An attempt may have ended by another proof: nobody waits for an answer about it.
    const wanted = new Set(known().map(({ taskId }) => taskId));
    for (const taskId of open.keys()) if (!wanted.has(taskId)) open.delete(taskId);
    const tasks = [...open].map(([taskId, agentId]) => ({ taskId, agentId }));
    for (let at = 0; at < tasks.length; at += batch) if (!(await send(tasks.slice(at, at + batch)))) break;
    // From the last question on: with many tasks the first answers are read before it is asked.
    nextMs = world.clock.monotonic() + backoffMs(rounds, retry, world.random);
  }

  return {
    get done() {
      return done;
    },
    get isBusy() {
      return active && (!done || open.size > 0);
    },
    start(tasks) {
      active = true;
      done = false;
      rounds = 0;
      nextMs = 0;
      periodMs = period.firstMs;
      nextPeriodMs = world.clock.monotonic() + periodMs;
      open.clear();
      for (const { taskId, agentId } of tasks) open.set(taskId, agentId);
    },
    stop() {
      active = false;
      done = false;
    },
    ask({ taskId, agentId }) {
      open.set(taskId, agentId);
    },
    heard(taskId) {
      open.delete(taskId);
    },
    async look() {
      if (!active || looking) return;
      looking = true;
      try {
        await act();
      } finally {
        looking = false;
      }
    },
  };

  async function act(): Promise<void> {
    const nowMs = world.clock.monotonic();
    if (open.size > 0 && nowMs >= nextMs) await explicit();
    if (!done && active && (open.size === 0 || (rounds > 1 && !answerable()))) {
      // Once implicitly, too: its answers name tasks that we do not know.
      if (!(await send([]))) return;
      done = true;
      onDone();
    }
    if (done && nowMs >= nextPeriodMs) {
      periodMs = Math.min(2 * periodMs, period.maxMs);
      nextPeriodMs = nowMs + periodMs;
      rounds = 0;
      for (const { taskId, agentId } of known()) open.set(taskId, agentId);
      await send([]);
    }
  }
}

/**
 * What Mesos last said of each task, in memory only: derived anew by reconciliation after every restart. Answers to reconciliation may be
 * older than an update that was heard meanwhile, and have `data` and `message` erased, so they never take away what an update said.
 */
import type { Termination } from '#lib/api/launch.ts';
import { decodeData } from '#mesos/bytes.ts';
import { isTerminal, type TaskState, type TaskStatus } from '#mesos/types.ts';

export interface TaskFact {
  readonly state: TaskState;
  readonly reason: string | undefined;
  readonly message: string;
  readonly agentId: string | undefined;
  /** Monotonic: since when an executor is known to have spoken of this task; undefined: it may never have begun. */
  readonly begunMs: number | undefined;
  /** Of a terminal update that the executor itself sent. */
  readonly termination: Termination | undefined;
  /** The content of a terminal update's data, as base64. */
  readonly data: string | undefined;
  /** Monotonic: when this was heard. */
  readonly heardMs: number;
  /** Monotonic: since when the task does not live for Mesos; undefined while it may. */
  readonly deadMs: number | undefined;
}

/** An update that waits for what it says to be stored. */
export interface PendingAck {
  readonly taskId: string;
  readonly agentId: string;
  readonly uuid: string;
}

const order: readonly TaskState[] = ['TASK_STAGING', 'TASK_STARTING', 'TASK_RUNNING', 'TASK_KILLING'];

/** Mesos knows nothing (more) of a task: it says nothing of a domain. */
export function isDead(state: TaskState): boolean {
  return isTerminal(state) || state === 'TASK_UNKNOWN';
}

/** REASON_SLAVE_DRAINING is the name of the time before v1, which agents still use. */
export function isAgentDraining(reason: string | undefined): boolean {
  return reason === 'REASON_AGENT_DRAINING' || reason === 'REASON_SLAVE_DRAINING';
}

/** The agent was to give the task to an executor that it does not have. */
export function isExecutorMissing({ state, source, reason }: TaskStatus): boolean {
  return state === 'TASK_DROPPED' && source === 'SOURCE_AGENT' && reason === 'REASON_EXECUTOR_TERMINATED';
}

const executorEnds = new Set(['REASON_EXECUTOR_TERMINATED', 'REASON_EXECUTOR_REREGISTRATION_TIMEOUT']);

/** The agent says of a task that it ended with its executor. */
export function isExecutorEnded(status: TaskStatus): boolean {
  return status.source === 'SOURCE_AGENT' && !isExecutorMissing(status) && executorEnds.has(status.reason ?? '');
}

function terminationOf(status: TaskStatus): Termination | undefined {
  if (status.source !== 'SOURCE_EXECUTOR' || !isTerminal(status.state) || status.data === undefined) return undefined;
  try {
    return decodeData(status.data) as Termination;
  } catch {
    return undefined; // An executor of another version: without what it would prove, inventory has to.
  }
}

/** The fact after one more update. Pure. */
export function nextFact(old: TaskFact | undefined, status: TaskStatus, nowMs: number): TaskFact {
  if (old && isOlder(old, status)) return { ...old, heardMs: nowMs };
  const dead = isDead(status.state);
  return {
    state: status.state,
    reason: status.reason,
    message: status.message ?? old?.message ?? '',
    agentId: status.agent_id?.value ?? old?.agentId,
    begunMs: old?.begunMs ?? (hasBegun(status) ? nowMs : undefined),
    termination: terminationOf(status) ?? (dead ? old?.termination : undefined),
    data: status.data ?? (dead ? old?.data : undefined),
    heardMs: nowMs,
    deadMs: dead ? (old?.deadMs ?? nowMs) : undefined,
  };
}

function hasBegun({ source, state }: TaskStatus): boolean {
  return source === 'SOURCE_EXECUTOR' || order.indexOf(state) > 0;
}

/** Only answers to reconciliation can be older than what is known. */
function isOlder(old: TaskFact, status: TaskStatus): boolean {
  if (status.uuid !== undefined || status.reason !== 'REASON_RECONCILIATION') return false;
  if (old.termination !== undefined) return true;
  const [was, is] = [order.indexOf(old.state), order.indexOf(status.state)];
  return was >= 0 && is >= 0 && is < was;
}

export class TaskBook {
  readonly #facts = new Map<string, TaskFact>();
  readonly #acks = new Map<string, PendingAck[]>();

  get(taskId: string): TaskFact | undefined {
    return this.#facts.get(taskId);
  }

  /** All tasks that were heard of and not forgotten. */
  entries(): IterableIterator<[string, TaskFact]> {
    return this.#facts.entries();
  }

  hear(status: TaskStatus, nowMs: number): void {
    const taskId = status.task_id.value;
    this.#facts.set(taskId, nextFact(this.#facts.get(taskId), status, nowMs));
    if (status.uuid === undefined || status.agent_id === undefined) return;
    const acks = this.#acks.get(taskId) ?? [];
    if (!acks.some(({ uuid }) => uuid === status.uuid))
      acks.push({ taskId, agentId: status.agent_id.value, uuid: status.uuid });
    this.#acks.set(taskId, acks);
  }

  /** The updates of a task that were heard so far and not acknowledged. */
  pendingAcks(taskId: string): readonly PendingAck[] {
    return [...(this.#acks.get(taskId) ?? [])];
  }

  /** These were acknowledged, after what they said was stored. */
  acknowledged(acks: readonly PendingAck[]): void {
    for (const ack of acks) {
      const left = (this.#acks.get(ack.taskId) ?? []).filter(({ uuid }) => uuid !== ack.uuid);
      if (left.length > 0) this.#acks.set(ack.taskId, left);
      else this.#acks.delete(ack.taskId);
    }
  }

  /** Nothing more is to be decided about this task. */
  forget(taskId: string): void {
    this.#facts.delete(taskId);
    this.#acks.delete(taskId);
  }
}

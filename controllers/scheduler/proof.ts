/**
 * "One machine, one life": what proves that nothing of an attempt runs any more (docs/architecture.md has the table). Mesos speaks of
 * tasks; the domain belongs to libvirtd and goes on when its executor, its agent or its task is gone.
 */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { SeedSecretError } from '#lib/api/seeds.ts';
import type { ExecutorFact, InventoryFact } from './executor-book.ts';
import { isDead, type TaskFact } from './task-book.ts';

export type Attempt = NonNullable<NonNullable<VirtualMachine['status']>['attempt']>;

export type Proof =
  | 'NeverSent'
  | 'NeverRan'
  | 'ExecutorSawNoDomain'
  | 'InventoryLacksIt'
  | 'HostRebooted'
  | 'SelfFenced'
  | 'ConfirmedDead';

/** Everything that is known about an attempt besides what is stored with the machine. */
export interface Evidence {
  /** An executor once took the task: stored as condition Launched. */
  readonly began: boolean;
  /** We stored the intent, and know that no ACCEPT for it ever left us. */
  readonly neverSent: boolean;
  /** It was launched a second time under the same task id: a refusal may speak of one copy while the other runs. */
  readonly sentAgain: boolean;
  readonly task: TaskFact | undefined;
  readonly executor: ExecutorFact | undefined;
  /** Mesos' id of the agent that is registered under the host's name now. */
  readonly hostAgentId: string | undefined;
  /** Monotonic: since when that agent has that id. */
  readonly hostAgentSinceMs: number;
  /** The host must have switched it off by now (fence.ts). */
  readonly isFenced: boolean;
  /** Monotonic: when it must have done so, if nothing is heard of it. */
  readonly fencedMs?: number;
  /** Why the secrets of its seed cannot be sent to the host. */
  readonly seedProblem?: SeedSecretError | undefined;
  /** The boot id that somebody vouched for with the annotation on the Host. */
  readonly confirmedDead: string | undefined;
}

/** A message under way when the task died may tell of the time before. None is under way for longer. */
export const settleMs = 2000;

/** Reasons with TASK_DROPPED that say the task never reached an executor. REASON_EXECUTOR_TERMINATED is not one: a KILL is answered so too. */
const neverReached = new Set([
  'REASON_INVALID_OFFERS',
  'REASON_AGENT_DISCONNECTED',
  'REASON_AGENT_REMOVED',
  'REASON_RESOURCES_UNKNOWN',
  'REASON_GC_ERROR',
]);

/**
 * Monotonic: since when the attempt has no living task: Mesos said so, or the host has come back as another agent. Undefined while the
 * task may live; an unreachable agent may return with it.
 */
export function deadSince(
  attempt: Attempt,
  evidence: Pick<Evidence, 'task' | 'hostAgentId' | 'hostAgentSinceMs'>,
): number | undefined {
  if (evidence.task && isDead(evidence.task.state)) return evidence.task.deadMs;
  const otherAgent = evidence.hostAgentId !== undefined && evidence.hostAgentId !== attempt.agentID;
  return otherAgent ? evidence.hostAgentSinceMs : undefined;
}

export function proofOfEnd(uid: string, attempt: Attempt, evidence: Evidence): Proof | undefined {
  // An adopting attempt that never ran proves nothing about the domain that it was to adopt.
  if (evidence.neverSent && !attempt.adopted) return 'NeverSent';
  if (evidence.task?.termination?.domainAbsent === true) return 'ExecutorSawNoDomain';
  const firstLaunch = !attempt.adopted && !evidence.sentAgain && !evidence.began;
  if (firstLaunch && evidence.task && neverRan(evidence.task)) return 'NeverRan';
  if (attempt.bootID !== undefined && evidence.confirmedDead === attempt.bootID) return 'ConfirmedDead';
  if (evidence.isFenced) return 'SelfFenced';
  return proofByInventory(uid, attempt, evidence);
}

function neverRan(task: TaskFact): boolean {
  if (task.begunMs !== undefined) return false;
  // Taken out of a queue before it was handed to an executor (Mesos' src/slave/slave.cpp, Slave::kill).
  if (task.state === 'TASK_KILLED') return task.reason === 'REASON_TASK_KILLED_DURING_LAUNCH';
  return task.state === 'TASK_ERROR' || (task.state === 'TASK_DROPPED' && neverReached.has(task.reason ?? ''));
}

function proofByInventory(uid: string, attempt: Attempt, evidence: Evidence): Proof | undefined {
  const deadMs = deadSince(attempt, evidence);
  const { executor } = evidence;
  const inventory = executor?.inventory;
  if (deadMs === undefined || !executor || !inventory || !isNewer(inventory, deadMs)) return undefined;
  if (executor.machines.get(uid) !== undefined && executor.machines.get(uid)!.attempt >= (attempt.number ?? 0))
    return undefined;
  const domain = inventory.uids.get(uid);
  if (domain === undefined) return 'InventoryLacksIt';
  const rebooted = attempt.bootID !== undefined && inventory.content.bootId !== attempt.bootID;
  return rebooted && domain.power === 'Off' ? 'HostRebooted' : undefined;
}

/**
 * What the executor says of a task that Mesos takes for living. Untold: its last heartbeat may be older than the task. Missing: it does not
 * name the task any more. Forgotten: nor does an inventory that was taken since; its journal was lost.
 */
export type Telling = 'Told' | 'Untold' | 'Missing' | 'Forgotten';

export function tellingOf(uid: string, attempt: Attempt, { task, executor }: Evidence): Telling {
  if (task?.begunMs === undefined || isDead(task.state) || task.state === 'TASK_UNREACHABLE') return 'Told';
  if (!executor || executor.lostMs !== undefined || executor.agentId !== attempt.agentID) return 'Told';
  if (executor.machines.has(uid)) return 'Told';
  const settledMs = task.begunMs + settleMs;
  if (executor.heardMs <= settledMs) return 'Untold';
  return executor.inventory !== undefined && executor.inventory.heardMs > settledMs ? 'Forgotten' : 'Missing';
}

function isNewer(inventory: InventoryFact, deadMs: number): boolean {
  return inventory.workerHeardMs > deadMs || inventory.heardMs > deadMs + settleMs;
}

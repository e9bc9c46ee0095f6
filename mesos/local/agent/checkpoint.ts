/**
 * What an agent must remember over its own death: its id, its frameworks, executors and tasks, and the updates that no scheduler has
 * acknowledged. The state is what the records of the journal add up to; `apply` is the only thing that changes it.
 */
import {
  type AgentInfo,
  type ExecutorInfo,
  type FrameworkInfo,
  isTerminal,
  type Resource,
  type TaskStatus,
} from '#mesos/types.ts';
import type { Task } from '../protocol.ts';

export interface ExecutorRecord {
  readonly frameworkId: string;
  readonly info: ExecutorInfo;
  readonly containerId: string;
  readonly sandbox: string;
  /** Made by the agent for a task with a command: the master does not know it. */
  readonly isCommand: boolean;
  /** An update came from it, so it has had a task: then it may stay without one. */
  everUsed?: boolean;
  pid?: number;
  startTime?: string;
}

export interface TaskRecord {
  readonly task: Task;
  readonly executorId: string;
  /** Uuids of all updates taken: a repeated one is acknowledged again, never forwarded again. */
  readonly seen: Set<string>;
}

export interface Checkpoint {
  agent: AgentInfo | undefined;
  /** Dynamic reservations and volumes. */
  resources: readonly Resource[];
  readonly frameworks: Map<string, FrameworkInfo>;
  readonly executors: Map<string, ExecutorRecord>;
  readonly tasks: Map<string, TaskRecord>;
  /** Unacknowledged updates of each task, oldest first. Only the oldest is with the scheduler. */
  readonly updates: Map<string, TaskStatus[]>;
}

export type JournalRecord =
  | { readonly type: 'agent'; readonly info: AgentInfo }
  | { readonly type: 'resources'; readonly resources: readonly Resource[] }
  | { readonly type: 'framework'; readonly info: FrameworkInfo }
  | { readonly type: 'executor'; readonly record: ExecutorRecord }
  | {
      readonly type: 'started';
      readonly frameworkId: string;
      readonly executorId: string;
      readonly pid?: number;
      readonly startTime?: string;
    }
  | { readonly type: 'exited'; readonly frameworkId: string; readonly executorId: string }
  | { readonly type: 'task'; readonly task: Task; readonly executorId: string; readonly seen?: readonly string[] }
  | { readonly type: 'update'; readonly frameworkId: string; readonly status: TaskStatus }
  | { readonly type: 'acknowledged'; readonly frameworkId: string; readonly taskId: string; readonly uuid: string }
  | { readonly type: 'forgotten'; readonly frameworkId: string };

export function emptyCheckpoint(): Checkpoint {
  return {
    agent: undefined,
    resources: [],
    frameworks: new Map(),
    executors: new Map(),
    tasks: new Map(),
    updates: new Map(),
  };
}

/** The key of an executor or task: ids hold no newline (calls.ts, idProblem). */
export function keyOf(frameworkId: string, id: string): string {
  return `${frameworkId}\n${id}`;
}

export function apply(state: Checkpoint, record: JournalRecord): void {
  switch (record.type) {
    case 'agent':
      state.agent = record.info;
      break;
    case 'resources':
      state.resources = record.resources;
      break;
    case 'framework':
      state.frameworks.set(record.info.id!.value, record.info);
      break;
    case 'executor':
      state.executors.set(keyOf(record.record.frameworkId, record.record.info.executor_id.value), record.record);
      break;
    case 'started':
      applyStarted(state, record);
      break;
    case 'exited':
      state.executors.delete(keyOf(record.frameworkId, record.executorId));
      break;
    case 'task':
      state.tasks.set(keyOf(record.task.framework_id.value, record.task.task_id.value), {
        task: record.task,
        executorId: record.executorId,
        seen: new Set(record.seen),
      });
      break;
    case 'update':
      applyUpdate(state, keyOf(record.frameworkId, record.status.task_id.value), record.status);
      markUsed(state, record);
      break;
    case 'acknowledged':
      applyAcknowledged(state, keyOf(record.frameworkId, record.taskId), record.uuid);
      break;
    case 'forgotten':
      forget(state, record.frameworkId);
  }
}

function applyStarted(state: Checkpoint, record: JournalRecord & { type: 'started' }): void {
  const executor = state.executors.get(keyOf(record.frameworkId, record.executorId));
  if (executor === undefined) return;
  if (record.pid !== undefined) executor.pid = record.pid;
  if (record.startTime !== undefined) executor.startTime = record.startTime;
}

function markUsed(state: Checkpoint, { frameworkId, status }: JournalRecord & { type: 'update' }): void {
  const executor = state.executors.get(keyOf(frameworkId, status.executor_id?.value ?? ''));
  if (executor !== undefined && status.source === 'SOURCE_EXECUTOR') executor.everUsed = true;
}

function applyUpdate(state: Checkpoint, key: string, status: TaskStatus): void {
  const pending = state.updates.get(key);
  if (pending === undefined) state.updates.set(key, [status]);
  else pending.push(status);
  const known = state.tasks.get(key);
  if (known === undefined) return;
  known.seen.add(status.uuid!);
  const { task } = known;
  // What comes after the end does not bring a task back.
  if (!isTerminal(task.state)) task.state = status.state;
  const { data: _, ...kept } = status;
  if (task.statuses.at(-1)?.state === status.state) task.statuses[task.statuses.length - 1] = kept;
  else task.statuses.push(kept);
  if (pending === undefined) offerUpdate(task, status);
}

/** The scheduler is told of this update next: that is the state the master may speak of. */
function offerUpdate(task: Task, status: TaskStatus): void {
  task.status_update_state = status.state;
  task.status_update_uuid = status.uuid!;
}

function applyAcknowledged(state: Checkpoint, key: string, uuid: string): void {
  const pending = state.updates.get(key);
  if (pending?.[0]?.uuid !== uuid) return;
  pending.shift();
  const next = pending[0];
  const known = state.tasks.get(key);
  if (next !== undefined) {
    if (known !== undefined) offerUpdate(known.task, next);
    return;
  }
  state.updates.delete(key);
  if (known !== undefined && isTerminal(known.task.state)) state.tasks.delete(key);
}

function forget(state: Checkpoint, frameworkId: string): void {
  const prefix = keyOf(frameworkId, '');
  for (const map of [state.executors, state.tasks, state.updates]) {
    for (const key of [...map.keys()]) if (key.startsWith(prefix)) map.delete(key);
  }
  state.frameworks.delete(frameworkId);
}

/** Records that add up to the state: what a compacted journal begins with. */
export function* recordsOf(state: Checkpoint): Generator<JournalRecord> {
  if (state.agent !== undefined) yield { type: 'agent', info: state.agent };
  if (state.resources.length > 0) yield { type: 'resources', resources: state.resources };
  for (const info of state.frameworks.values()) yield { type: 'framework', info };
  for (const record of state.executors.values()) yield { type: 'executor', record };
  for (const { task, executorId, seen } of state.tasks.values()) {
    yield { type: 'task', task, executorId, seen: [...seen] };
  }
}

/** Unacknowledged updates are stored apart from tasks, which already show their effect. */
export function pendingOf(state: Checkpoint): [key: string, updates: readonly TaskStatus[]][] {
  return [...state.updates];
}

/** RECONCILE: what the master knows of tasks, without asking anybody. Answers carry no uuid. */
import type { TaskState, TaskStatus } from '#mesos/types.ts';
import type { Task } from '../../protocol.ts';
import { unreachableTime } from '../agent-loss.ts';
import { type Framework, isPartitionAware, type Master } from '../state.ts';
import { masterStatus, sendUpdate } from '../updates.ts';

interface Asked {
  readonly task_id: { readonly value: string };
  readonly agent_id?: { readonly value: string };
}

const reason = 'REASON_RECONCILIATION';

/** Implicit: every task the master has, whether it ended or not; unreachable ones are left out. */
export function reconcileAll(master: Master, framework: Framework): void {
  for (const task of framework.tasks.values()) sendUpdate(framework, latestStatus(master, task));
}

/** Explicit: one answer per task, or none where the master cannot know yet. */
export function reconcileTask(master: Master, framework: Framework, asked: Asked): void {
  const task = framework.tasks.get(asked.task_id.value);
  const status = task === undefined ? unknownStatus(master, framework, asked) : latestStatus(master, task);
  if (status !== undefined) sendUpdate(framework, status);
}

function latestStatus(master: Master, task: Task): TaskStatus {
  const last = task.statuses.at(-1);
  return masterStatus(master, {
    task_id: task.task_id,
    // The oldest update that was not acknowledged, not the newest state: the scheduler is told of the rest in order.
    state: task.status_update_state ?? task.state,
    message: 'Reconciliation: Latest task state',
    reason,
    agent_id: task.agent_id,
    ...(task.executor_id && { executor_id: task.executor_id }),
    ...(last?.healthy !== undefined && { healthy: last.healthy }),
    ...(last?.container_status && { container_status: last.container_status }),
  });
}

function unknownStatus(master: Master, framework: Framework, asked: Asked): TaskStatus | undefined {
  const agentId = asked.agent_id?.value;
  // An agent that was there before the master restarted may bring the task: saying anything now could be wrong.
  if (agentId === undefined ? master.recovered.size > 0 : master.recovered.has(agentId)) return undefined;
  const { state, message } = absence(master, agentId);
  const time = state === 'TASK_UNREACHABLE' && agentId !== undefined ? unreachableTime(master, agentId) : undefined;
  return masterStatus(master, {
    task_id: asked.task_id,
    state: isPartitionAware(framework) ? state : 'TASK_LOST',
    message: `Reconciliation: ${message}`,
    reason,
    ...(asked.agent_id && { agent_id: asked.agent_id }),
    ...(time && { unreachable_time: time }),
  });
}

function absence(master: Master, agentId: string | undefined): { state: TaskState; message: string } {
  if (agentId !== undefined && master.agents.has(agentId)) {
    return { state: 'TASK_GONE', message: 'Task is unknown to the agent' };
  }
  if (agentId !== undefined && master.registry.unreachableSince(agentId) !== undefined) {
    return { state: 'TASK_UNREACHABLE', message: 'Task is unreachable' };
  }
  if (agentId !== undefined && master.registry.isGone(agentId)) {
    return { state: 'TASK_GONE_BY_OPERATOR', message: 'Task is gone' };
  }
  return { state: 'TASK_UNKNOWN', message: 'Task is unknown' };
}

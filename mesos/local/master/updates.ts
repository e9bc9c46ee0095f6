/** Task states: those the agents report and those the master declares itself. */
import { isTerminal, type TaskState, type TaskStatus } from '#mesos/types.ts';
import type { AgentMessage, Task } from '../protocol.ts';
import { bagOf } from '../resources.ts';
import { recover, roleOf } from './books.ts';
import { type Agent, type Framework, type Master, removeWithin, sendEvent } from './state.ts';

const maxCompleted = 1000;

/** A status made by the master: it has no uuid, and must not be acknowledged. */
export function masterStatus(master: Master, status: Omit<TaskStatus, 'source' | 'timestamp'>): TaskStatus {
  return { ...status, source: 'SOURCE_MASTER', timestamp: master.options.clock.now() / 1000 };
}

export function sendUpdate(framework: Framework, status: TaskStatus): void {
  sendEvent(framework, { type: 'UPDATE', update: { status } });
}

/** Keeps the last status of each state, as the operator API shows; without data, which may be large. */
export function recordStatus(task: Task, status: TaskStatus): void {
  const { data: _, ...kept } = status;
  if (task.statuses.at(-1)?.state === status.state) task.statuses[task.statuses.length - 1] = kept;
  else task.statuses.push(kept);
}

/** Enters a task's new state. Its resources come back with the first terminal state, not with the acknowledgement. */
function enterState(master: Master, framework: Framework, agent: Agent, task: Task, state: TaskState): void {
  const ends = isTerminal(state) && !isTerminal(task.state);
  // A task that ended stays ended, whatever its executor says later.
  if (!isTerminal(task.state)) task.state = state;
  if (!ends) return;
  removeWithin(agent.kills, framework.id, task.task_id.value);
  recover(master, framework, agent, roleOf(task.resources), bagOf(task.resources));
}

function announce(master: Master, framework: Framework, state: TaskState, status: TaskStatus): void {
  if (!master.operators.watched) return;
  const { data: _, ...kept } = status;
  master.operators.send({
    type: 'TASK_UPDATED',
    task_updated: { framework_id: { value: framework.id }, status: kept, state },
  });
}

/** An update from an agent: entered if the task is known, forwarded in any case, as Mesos does. */
export function updateFromAgent(master: Master, agent: Agent, message: AgentMessage & { type: 'UPDATE' }): void {
  const framework = master.frameworks.get(message.framework_id.value);
  if (framework === undefined) {
    // Its framework is gone, so nobody will ever acknowledge: the agent forgets it with the framework.
    agent.session?.stream.send({ type: 'SHUTDOWN_FRAMEWORK', framework_id: message.framework_id });
    return;
  }
  const { status } = message;
  const task = agent.tasks.get(framework.id)?.get(status.task_id.value);
  if (task !== undefined) {
    enterState(master, framework, agent, task, message.latest_state);
    task.status_update_state = status.state;
    if (status.uuid !== undefined) task.status_update_uuid = status.uuid;
    recordStatus(task, status);
    announce(master, framework, message.latest_state, status);
  }
  sendUpdate(framework, status);
}

/** Forgets a task that ended and was acknowledged, or whose agent is gone. */
export function completeTask(framework: Framework, agent: Agent, task: Task): void {
  removeWithin(agent.tasks, framework.id, task.task_id.value);
  removeWithin(agent.kills, framework.id, task.task_id.value);
  framework.tasks.delete(task.task_id.value);
  framework.completed.push(task);
  if (framework.completed.length > maxCompleted) framework.completed = framework.completed.slice(-maxCompleted);
}

/** The scheduler acknowledged: a terminal task is forgotten once its own last update is acknowledged. */
export function completeIfAcknowledged(framework: Framework, agent: Agent, taskId: string, uuid: string): void {
  const task = agent.tasks.get(framework.id)?.get(taskId);
  if (task === undefined || task.status_update_uuid !== uuid) return;
  if (isTerminal(task.status_update_state ?? task.state)) completeTask(framework, agent, task);
}

/** The master declares the state of a task whose agent it cannot ask. Gives the framework the news. */
export function declare(
  master: Master,
  framework: Framework,
  agent: Agent,
  task: Task,
  news: { state: TaskState; reason: string; message: string; unreachableSince?: number },
): void {
  const status = masterStatus(master, {
    task_id: task.task_id,
    state: news.state,
    message: news.message,
    reason: news.reason,
    agent_id: { value: agent.id },
    ...(task.executor_id && { executor_id: task.executor_id }),
    ...(news.unreachableSince !== undefined && { unreachable_time: { nanoseconds: news.unreachableSince * 1e6 } }),
  });
  const wasTerminal = isTerminal(task.state);
  enterState(master, framework, agent, task, news.state);
  if (!wasTerminal && !isTerminal(news.state)) {
    // Unreachable is not terminal, but what runs out there is not this agent's until it comes back.
    recover(master, framework, agent, roleOf(task.resources), bagOf(task.resources));
  }
  task.status_update_state = news.state;
  delete task.status_update_uuid;
  recordStatus(task, status);
  announce(master, framework, news.state, status);
  sendUpdate(framework, status);
}

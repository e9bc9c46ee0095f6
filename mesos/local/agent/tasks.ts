/** What the master orders: launch, kill, shut down, pass on a message. */
import { isTerminal, type TaskInfo } from '#mesos/types.ts';
import type { MasterMessage, Task, TaskRef } from '../protocol.ts';
import { type ExecutorRecord, keyOf } from './checkpoint.ts';
import { commandExecutor, sandboxOf } from './environment.ts';
import { shutdownExecutor, shutdownIfUseless, startExecutor } from './executors.ts';
import type { Agent, Executor } from './state.ts';
import { updateFromAgent } from './updates.ts';

type RunTask = MasterMessage & { type: 'RUN_TASK' };

function drop(agent: Agent, message: RunTask, executorId: string, why: string): void {
  const isAware = message.framework.capabilities?.some((capability) => capability.type === 'PARTITION_AWARE');
  updateFromAgent(agent, message.framework.id!.value, executorId, message.task.task_id.value, {
    state: isAware ? 'TASK_DROPPED' : 'TASK_LOST',
    reason: 'REASON_EXECUTOR_TERMINATED',
    message: why,
  });
}

/**
 * Runs a task on its executor, which is started if need be. Whether it is to be started was decided by the master when it took the
 * ACCEPT; if the executor ended or appeared meanwhile, the task is dropped.
 */
export function runTask(agent: Agent, message: RunTask): void {
  const { framework, task } = message;
  const frameworkId = framework.id!.value;
  agent.journal.append({ type: 'framework', info: framework });
  const info = task.executor ?? commandExecutor(task, frameworkId);
  const executorId = info.executor_id.value;
  const executor = agent.executors.get(keyOf(frameworkId, executorId));
  if (executor !== undefined && message.launch_executor) {
    drop(agent, message, executorId, 'Master wants to launch executor, but one already exists');
    return;
  }
  if (executor === undefined && !message.launch_executor) {
    drop(agent, message, executorId, 'No executor is expected to launch and there is none running');
    return;
  }
  if (executor?.state === 'TERMINATING') {
    drop(agent, message, executorId, 'Executor terminating');
    return;
  }
  if (executor !== undefined) {
    enterTask(agent, frameworkId, executorId, task);
    hand(executor, task);
    return;
  }
  const containerId = agent.options.random.uuid();
  const record: ExecutorRecord = {
    frameworkId,
    info,
    containerId,
    sandbox: sandboxOf(agent, frameworkId, executorId, containerId),
    isCommand: task.executor === undefined,
  };
  agent.journal.append({ type: 'executor', record });
  enterTask(agent, frameworkId, executorId, task);
  startExecutor(agent, record, framework, task);
}

function enterTask(agent: Agent, frameworkId: string, executorId: string, info: TaskInfo): void {
  const task: Task = {
    name: info.name,
    task_id: info.task_id,
    framework_id: { value: frameworkId },
    agent_id: agent.info.id!,
    ...(info.executor && { executor_id: info.executor.executor_id }),
    resources: info.resources ?? [],
    ...(info.labels && { labels: info.labels }),
    ...(info.kill_policy && { kill_policy: info.kill_policy }),
    state: 'TASK_STAGING',
    statuses: [],
  };
  agent.journal.append({ type: 'task', task, executorId });
}

/** To an executor that is not connected a LAUNCH is lost, as in Mesos: its next SUBSCRIBE shows that it does not have the task. */
function hand(executor: Executor, task: TaskInfo): void {
  if (executor.state === 'REGISTERING') executor.queued.push(task);
  else executor.stream?.send({ type: 'LAUNCH', launch: { task } });
}

function executorOf(agent: Agent, frameworkId: string, taskId: string): Executor | undefined {
  const known = agent.journal.state.tasks.get(keyOf(frameworkId, taskId));
  return known && agent.executors.get(keyOf(frameworkId, known.executorId));
}

export function killTask(agent: Agent, message: MasterMessage & { type: 'KILL_TASK' }): void {
  const frameworkId = message.framework_id.value;
  const taskId = message.task_id.value;
  const key = keyOf(frameworkId, taskId);
  const known = agent.journal.state.tasks.get(key);
  if (known && isTerminal(known.task.state)) return; // Its end is on the way to the scheduler.
  const executor = executorOf(agent, frameworkId, taskId);
  if (executor === undefined) {
    dropUnknown(agent, message, 'Cannot find executor', 'REASON_EXECUTOR_TERMINATED');
    return;
  }
  if (executor.queued.some((task) => task.task_id.value === taskId)) {
    killQueued(agent, executor, taskId);
    return;
  }
  executor.stream?.send({
    type: 'KILL',
    kill: { task_id: message.task_id, ...(message.kill_policy && { kill_policy: message.kill_policy }) },
  });
}

function killQueued(agent: Agent, executor: Executor, taskId: string): void {
  executor.queued = executor.queued.filter((task) => task.task_id.value !== taskId);
  updateFromAgent(agent, executor.frameworkId, executor.id, taskId, {
    state: 'TASK_KILLED',
    reason: 'REASON_TASK_KILLED_DURING_LAUNCH',
    message: 'Killed before delivery to the executor',
  });
  shutdownIfUseless(agent, executor);
}

/** The master waits for news of a task that this agent never got, or has forgotten: it ends here. */
function dropUnknown(agent: Agent, ref: TaskRef, message: string, reason: string): void {
  const frameworkId = ref.framework_id.value;
  if (agent.journal.state.updates.has(keyOf(frameworkId, ref.task_id.value))) return; // It has ended; the news is under way.
  const framework = agent.journal.state.frameworks.get(frameworkId);
  const isAware = framework?.capabilities?.some((capability) => capability.type === 'PARTITION_AWARE') ?? true;
  updateFromAgent(agent, frameworkId, undefined, ref.task_id.value, {
    state: isAware ? 'TASK_DROPPED' : 'TASK_LOST',
    reason,
    message,
  });
}

/** After registration: the tasks that the master counts here and the agent does not have. */
export function dropMissing(agent: Agent, missing: readonly TaskRef[]): void {
  for (const ref of missing) {
    dropUnknown(agent, ref, 'Reconciliation: task unknown to the agent', 'REASON_RECONCILIATION');
  }
}

export function passMessage(agent: Agent, message: MasterMessage & { type: 'MESSAGE' }): void {
  const executor = agent.executors.get(keyOf(message.framework_id.value, message.executor_id.value));
  if (executor?.state === 'RUNNING') executor.stream?.send({ type: 'MESSAGE', message: { data: message.data } });
}

export function shutdownByScheduler(agent: Agent, message: MasterMessage & { type: 'SHUTDOWN_EXECUTOR' }): void {
  const executor = agent.executors.get(keyOf(message.framework_id.value, message.executor_id.value));
  if (executor !== undefined) shutdownExecutor(agent, executor);
}

/** Ends every task, in no more time than `maxGraceMs`. A task that comes to an end meanwhile does so because of the drain. */
export function drain(agent: Agent, maxGraceMs: number | undefined): void {
  agent.draining = { maxGraceMs };
  for (const { task } of [...agent.journal.state.tasks.values()]) {
    const own = task.kill_policy?.grace_period?.nanoseconds;
    const nanoseconds = maxGraceMs === undefined ? own : Math.min(own ?? Number.POSITIVE_INFINITY, maxGraceMs * 1e6);
    killTask(agent, {
      type: 'KILL_TASK',
      framework_id: task.framework_id,
      task_id: task.task_id,
      ...(nanoseconds !== undefined && { kill_policy: { grace_period: { nanoseconds } } }),
    });
  }
}

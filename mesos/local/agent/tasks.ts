/** What the master orders: launch, kill, shut down, pass on a message. */
import { type ExecutorInfo, type FrameworkInfo, isTerminal, type TaskInfo } from '#mesos/types.ts';
import type { MasterMessage, Task, TaskRef } from '../protocol.ts';
import { type ExecutorRecord, keyOf } from './checkpoint.ts';
import { commandExecutor, sandboxOf } from './environment.ts';
import { sendExited, shutdownExecutor, shutdownIfUseless, startExecutor } from './executors.ts';
import { type Agent, type Executor, eventOf, type Work } from './state.ts';
import { updateFromAgent } from './updates.ts';

/** An order to run something, whether one task or a group. */
interface Order extends Work {
  readonly framework: FrameworkInfo;
  readonly executor: ExecutorInfo;
  /** The executor is the agent's own, made for one command. */
  readonly isCommand: boolean;
  readonly launchExecutor: boolean;
}

function drop(agent: Agent, order: Order, why: string): void {
  const isAware = order.framework.capabilities?.some((capability) => capability.type === 'PARTITION_AWARE');
  for (const task of order.tasks)
    updateFromAgent(agent, order.framework.id!.value, order.executor.executor_id.value, task.task_id.value, {
      state: isAware ? 'TASK_DROPPED' : 'TASK_LOST',
      reason: 'REASON_EXECUTOR_TERMINATED',
      message: why,
    });
}

export function runTask(agent: Agent, message: MasterMessage & { type: 'RUN_TASK' }): void {
  const { framework, task } = message;
  const isCommand = task.executor === undefined;
  const executor = task.executor ?? commandExecutor(task, framework.id!.value);
  const what = { tasks: [task], isGroup: false, isCommand };
  run(agent, { framework, executor, ...what, launchExecutor: message.launch_executor });
}

export function runTaskGroup(agent: Agent, message: MasterMessage & { type: 'RUN_TASK_GROUP' }): void {
  const { framework, executor, tasks } = message;
  const what = { tasks, isGroup: true, isCommand: false };
  run(agent, { framework, executor, ...what, launchExecutor: message.launch_executor });
}

/**
 * Runs tasks on their executor, which is started if need be. Whether it is to be started was decided by the master when it took the
 * ACCEPT; if the executor ended or appeared meanwhile, the tasks are dropped.
 */
function run(agent: Agent, order: Order): void {
  const { framework, executor: info } = order;
  const [frameworkId, executorId] = [framework.id!.value, info.executor_id.value];
  agent.journal.append({ type: 'framework', info: framework });
  const executor = agent.executors.get(keyOf(frameworkId, executorId));
  const problem = mismatch(executor, order.launchExecutor);
  if (problem !== undefined) {
    drop(agent, order, problem);
    // The master has entered an executor that there is not: it must forget it again.
    if (order.launchExecutor && executor?.state === 'TERMINATED') sendExited(agent, frameworkId, executorId, -1);
    return;
  }
  if (executor !== undefined) {
    for (const task of order.tasks) enterTask(agent, frameworkId, info, order.isCommand, task);
    hand(executor, order);
    return;
  }
  const containerId = agent.options.random.uuid();
  const { isCommand } = order;
  const sandbox = sandboxOf(agent, frameworkId, executorId, containerId);
  const record: ExecutorRecord = { frameworkId, info, containerId, sandbox, isCommand };
  agent.journal.append({ type: 'executor', record });
  for (const task of order.tasks) enterTask(agent, frameworkId, info, isCommand, task);
  startExecutor(agent, record, framework, order);
}

/** Why master and agent do not agree about the executor, in Mesos' words; undefined if they do. */
function mismatch(executor: Executor | undefined, launchExecutor: boolean): string | undefined {
  if (launchExecutor) return executor && 'Master wants to launch executor, but one already exists';
  if (executor === undefined) return 'No executor is expected to launch and there is none running';
  if (executor.state === 'TERMINATING') return 'Executor terminating';
  return executor.state === 'TERMINATED' ? 'Executor terminated' : undefined;
}

function enterTask(
  agent: Agent,
  frameworkId: string,
  executor: ExecutorInfo,
  isCommand: boolean,
  info: TaskInfo,
): void {
  const task: Task = {
    name: info.name,
    task_id: info.task_id,
    framework_id: { value: frameworkId },
    agent_id: agent.info.id!,
    ...(!isCommand && { executor_id: executor.executor_id }),
    resources: info.resources ?? [],
    ...(info.labels && { labels: info.labels }),
    ...(info.kill_policy && { kill_policy: info.kill_policy }),
    state: 'TASK_STAGING',
    statuses: [],
  };
  agent.journal.append({ type: 'task', task, executorId: executor.executor_id.value });
}

/** To an executor that is not connected a LAUNCH is lost, as in Mesos: its next SUBSCRIBE shows that it does not have the task. */
function hand(executor: Executor, work: Work): void {
  if (executor.state === 'REGISTERING') executor.queued.push(work);
  else executor.stream?.send(eventOf(work));
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
  if (executor === undefined || executor.state === 'TERMINATED') {
    dropUnknown(agent, message, 'Cannot find executor', 'REASON_EXECUTOR_TERMINATED');
    return;
  }
  const queued = executor.queued.find(({ tasks }) => tasks.some((task) => task.task_id.value === taskId));
  if (queued !== undefined) {
    killQueued(agent, executor, queued);
    return;
  }
  executor.stream?.send({
    type: 'KILL',
    kill: { task_id: message.task_id, ...(message.kill_policy && { kill_policy: message.kill_policy }) },
  });
}

/** Of a group that the executor has not got, killing one is killing all. */
function killQueued(agent: Agent, executor: Executor, work: Work): void {
  executor.queued = executor.queued.filter((other) => other !== work);
  for (const { task_id } of work.tasks)
    updateFromAgent(agent, executor.frameworkId, executor.id, task_id.value, {
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

/**
 * The life of an executor:
 *
 *   start -> REGISTERING -> subscribed -> RUNNING -> shutdown -> TERMINATING -> its process ends -> gone
 *                |                          ^  |__________________________________^
 *                |  the agent died          |
 *                +--- recovered ------------+  (or killed, when it does not come back in time)
 *
 * Only the end of the process ends an executor; a closed connection alone means nothing, as in Mesos.
 */
import { type FrameworkInfo, isTerminal, type TaskState } from '#mesos/types.ts';
import { durationText } from '../version.ts';
import { type ExecutorRecord, keyOf, type TaskRecord } from './checkpoint.ts';
import { environmentOf, gracePeriodMs, ownCommand } from './environment.ts';
import type { Handle } from './launcher.ts';
import { LaunchError, prepareSandbox } from './sandbox.ts';
import { type Agent, type Executor, noTimer, type Work } from './state.ts';
import { stopForwarding, updateFromAgent } from './updates.ts';

type Verdict = NonNullable<Executor['verdict']>;

function newExecutor(record: ExecutorRecord): Executor {
  return {
    record,
    id: record.info.executor_id.value,
    frameworkId: record.frameworkId,
    state: 'REGISTERING',
    stream: undefined,
    handle: undefined,
    queued: [],
    timer: noTimer,
    verdict: undefined,
    settled: Promise.withResolvers(),
  };
}

/** Tasks of the executor that have not ended. */
export function liveTasks(agent: Agent, executor: Executor): TaskRecord[] {
  return [...agent.journal.state.tasks.values()].filter(
    ({ task, executorId }) =>
      executorId === executor.id && task.framework_id.value === executor.frameworkId && !isTerminal(task.state),
  );
}

/** Starts an executor whose record is in the journal. Its tasks wait until it subscribes. */
export function startExecutor(agent: Agent, record: ExecutorRecord, framework: FrameworkInfo, first: Work): void {
  const executor = newExecutor(record);
  executor.queued.push(first);
  agent.executors.set(keyOf(executor.frameworkId, executor.id), executor);
  let handle: Handle;
  try {
    prepareSandbox(record.sandbox, record.info.command, record.containerId);
    handle = agent.options.launcher.launch(
      record.info.command ?? ownCommand,
      environmentOf(agent, record, framework),
      record.sandbox,
    );
  } catch (error) {
    agent.options.log.warn('Executor not started', { executor: executor.id, error });
    executor.verdict = launchVerdict(error);
    executorExited(agent, executor, error instanceof LaunchError ? error.status : -1);
    return;
  }
  const { pid, startTime } = handle;
  agent.journal.append({
    type: 'started',
    frameworkId: executor.frameworkId,
    executorId: executor.id,
    ...(pid !== undefined && { pid }),
    ...(startTime !== undefined && { startTime }),
  });
  agent.options.log.info('Executor started', { executor: executor.id, framework: executor.frameworkId, pid });
  attach(agent, executor, handle);
  const timeout = agent.options.executorRegistrationTimeoutMs;
  killAfter(agent, executor, timeout, {
    state: 'TASK_FAILED',
    reason: 'REASON_EXECUTOR_REGISTRATION_TIMEOUT',
    message: `Executor did not register within ${durationText(timeout)}`,
  });
}

function launchVerdict(error: unknown): Verdict {
  if (error instanceof LaunchError) return { state: error.state, reason: error.reason, message: error.message };
  const message = `Failed to launch container: ${String(error)}`;
  return { state: 'TASK_FAILED', reason: 'REASON_CONTAINER_LAUNCH_FAILED', message };
}

function attach(agent: Agent, executor: Executor, handle: Handle): void {
  executor.handle = handle;
  void handle.exited.then((status) => executorExited(agent, executor, status));
}

function killAfter(agent: Agent, executor: Executor, ms: number, verdict?: Verdict): void {
  executor.timer[Symbol.dispose]();
  executor.timer = agent.options.clock.timeout(() => {
    executor.verdict ??= verdict;
    agent.options.log.warn('Executor killed', {
      executor: executor.id,
      why: verdict?.message ?? 'shut down too slowly',
    });
    executor.handle?.kill();
  }, ms);
}

/** An executor of an earlier agent process. Returns false if it does not run any more; its tasks' ends are stored then. */
export function recoverExecutor(agent: Agent, record: ExecutorRecord): boolean {
  const executor = newExecutor(record);
  const framework = agent.journal.state.frameworks.get(record.frameworkId);
  const handle = agent.options.launcher.adopt?.(record);
  if (!framework?.checkpoint) {
    // Nobody waits for it: without checkpointing its tasks were lost with the agent.
    handle?.kill();
    agent.journal.append({ type: 'exited', frameworkId: executor.frameworkId, executorId: executor.id });
    return false;
  }
  agent.executors.set(keyOf(executor.frameworkId, executor.id), executor);
  if (handle === undefined) {
    executorExited(agent, executor, -1);
    return false;
  }
  attach(agent, executor, handle);
  const timeout = agent.options.executorReregistrationTimeoutMs;
  killAfter(agent, executor, timeout, {
    state: 'TASK_GONE',
    reason: 'REASON_EXECUTOR_REREGISTRATION_TIMEOUT',
    message: `Executor did not reregister within ${durationText(timeout)}`,
  });
  return true;
}

/** The process ended: so did its tasks. Their updates are stored before the executor is forgotten. */
function executorExited(agent: Agent, executor: Executor, status: number): void {
  if (executor.state === 'TERMINATED') return;
  executor.state = 'TERMINATED';
  executor.timer[Symbol.dispose]();
  executor.stream?.end();
  executor.stream = undefined;
  const { frameworkId, id } = executor;
  agent.options.log.info('Executor ended', { executor: id, framework: frameworkId, status });
  // What it left in its process group goes with it, as with Mesos' containers.
  executor.handle?.kill();
  sendExited(agent, frameworkId, id, status);
  const { state, reason, message } = executor.verdict ?? {
    state: 'TASK_FAILED' as TaskState,
    reason: 'REASON_EXECUTOR_TERMINATED',
    message: 'Executor terminated',
  };
  for (const { task } of liveTasks(agent, executor)) {
    updateFromAgent(agent, frameworkId, id, task.task_id.value, { state, reason, message });
  }
  agent.journal.append({ type: 'exited', frameworkId, executorId: id });
  executor.settled.resolve();
  forgetIfSettled(agent, executor);
}

export function sendExited(agent: Agent, frameworkId: string, executorId: string, status: number): void {
  const ids = { framework_id: { value: frameworkId }, executor_id: { value: executorId } };
  agent.link.send({ type: 'EXITED_EXECUTOR', ...ids, status });
}

/** An executor that ended is remembered until the scheduler has all news of its tasks: no other can take its id before. */
export function forgetIfSettled(agent: Agent, executor: Executor): void {
  if (executor.state !== 'TERMINATED') return;
  const { frameworkId, id } = executor;
  for (const { task, executorId } of agent.journal.state.tasks.values())
    if (executorId === id && task.framework_id.value === frameworkId) return;
  agent.executors.delete(keyOf(frameworkId, id));
}

/** An executor that never got a task and will get none has no reason to stay (MESOS-8411). */
export function shutdownIfUseless(agent: Agent, executor: Executor): void {
  if (!executor.record.everUsed && liveTasks(agent, executor).length === 0) shutdownExecutor(agent, executor);
}

/** Asks the executor to end; after its grace period it is ended. */
export function shutdownExecutor(agent: Agent, executor: Executor): void {
  if (executor.state === 'TERMINATING' || executor.state === 'TERMINATED') return;
  executor.state = 'TERMINATING';
  executor.stream?.send({ type: 'SHUTDOWN' });
  killAfter(agent, executor, gracePeriodMs(executor.record.info) ?? agent.options.executorShutdownGracePeriodMs);
}

/** The framework is gone: nobody will hear of its tasks again, so their updates are dropped and its executors shut down. */
export function shutdownFramework(agent: Agent, frameworkId: string): void {
  if (!agent.journal.state.frameworks.has(frameworkId)) return;
  for (const executor of [...agent.executors.values()]) {
    if (executor.frameworkId === frameworkId) shutdownExecutor(agent, executor);
  }
  stopForwarding(agent, frameworkId);
  agent.journal.append({ type: 'forgotten', frameworkId });
  for (const executor of [...agent.executors.values()]) forgetIfSettled(agent, executor);
}

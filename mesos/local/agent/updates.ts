/**
 * The status update manager: every update is stored, acknowledged to the executor, and forwarded until the scheduler acknowledges it.
 * Per task only the oldest unacknowledged update is under way; it is sent again after ten seconds, then with doubled delays, and at
 * once when the agent registers.
 */
import { isTerminal, type TaskState, type TaskStatus } from '#mesos/types.ts';
import { uuidBytes } from '../calls.ts';
import { keyOf } from './checkpoint.ts';
import { type Agent, type Executor, statusNow } from './state.ts';

const maxRetryMs = 600_000;

/** An update from an executor, with what only the agent knows filled in. */
export function updateFromExecutor(agent: Agent, executor: Executor, status: TaskStatus): void {
  const key = keyOf(executor.frameworkId, status.task_id.value);
  const { state } = agent.journal;
  const pending = state.updates.get(key) ?? [];
  const isRepeat = state.tasks.get(key)?.seen.has(status.uuid!) || pending.some((other) => other.uuid === status.uuid);
  const isKnown = state.frameworks.has(executor.frameworkId);
  if (!isRepeat && isKnown) store(agent, executor.frameworkId, completed(agent, executor, key, status));
  // Only now: the executor forgets the update on this.
  executor.stream?.send({ type: 'ACKNOWLEDGED', acknowledged: { task_id: status.task_id, uuid: status.uuid! } });
}

function completed(agent: Agent, executor: Executor, key: string, status: TaskStatus): TaskStatus {
  const task = agent.journal.state.tasks.get(key)?.task;
  const { handle, record } = executor;
  const given = (status.container_status ?? {}) as {
    readonly network_infos?: readonly object[];
    readonly container_id?: object;
    readonly executor_pid?: number;
  };
  const pid = given.executor_pid ?? handle?.pid;
  const isDrained = agent.draining !== undefined && ['TASK_KILLING', 'TASK_KILLED'].includes(status.state);
  const ip = [{ ip_addresses: [{ protocol: 'IPv4', ip_address: agent.options.host }] }];
  return {
    ...status,
    ...(isDrained && { reason: 'REASON_AGENT_DRAINING' }),
    agent_id: agent.info.id!,
    executor_id: { value: executor.id },
    timestamp: status.timestamp ?? agent.options.clock.now() / 1000,
    // Of a task that ended, or was never there, the container is not known any more.
    ...(task &&
      !isTerminal(task.state) && {
        container_status: {
          ...given,
          container_id: given.container_id ?? { value: record.containerId },
          network_infos: given.network_infos ?? ip,
          ...(pid !== undefined && { executor_pid: pid }),
        },
      }),
  };
}

/** An update that the agent makes: the task was dropped, or its executor ended. */
export function updateFromAgent(
  agent: Agent,
  frameworkId: string,
  executorId: string | undefined,
  taskId: string,
  news: { state: TaskState; reason: string; message: string },
): void {
  const status = statusNow(agent, {
    task_id: { value: taskId },
    ...news,
    source: 'SOURCE_AGENT',
    agent_id: agent.info.id!,
    ...(executorId !== undefined && { executor_id: { value: executorId } }),
    uuid: uuidBytes(agent.options.random.uuid()),
  });
  store(agent, frameworkId, status);
}

function store(agent: Agent, frameworkId: string, status: TaskStatus): void {
  const key = keyOf(frameworkId, status.task_id.value);
  agent.journal.append({ type: 'update', frameworkId, status });
  if (agent.journal.state.updates.get(key)?.length === 1) forward(agent, frameworkId, key);
}

/** Sends the oldest update of a task, and sees to it that it is sent again. */
function forward(agent: Agent, frameworkId: string, key: string, delayMs = agent.options.updateRetryMs): void {
  cancelRetry(agent, key);
  const status = agent.journal.state.updates.get(key)?.[0];
  if (status === undefined) return;
  const latest = agent.journal.state.tasks.get(key)?.task.state ?? status.state;
  agent.link.send({ type: 'UPDATE', framework_id: { value: frameworkId }, status, latest_state: latest });
  const timer = agent.options.clock.timeout(
    () => forward(agent, frameworkId, key, Math.min(delayMs * 2, maxRetryMs)),
    delayMs,
  );
  agent.retries.set(key, { timer, delayMs });
}

function cancelRetry(agent: Agent, key: string): void {
  agent.retries.get(key)?.timer[Symbol.dispose]();
  agent.retries.delete(key);
}

/** The scheduler has it: on to the next one. Any other uuid than that of the oldest is passed over, as in Mesos. */
export function acknowledge(agent: Agent, frameworkId: string, taskId: string, uuid: string): void {
  const key = keyOf(frameworkId, taskId);
  if (agent.journal.state.updates.get(key)?.[0]?.uuid !== uuid) return;
  agent.journal.append({ type: 'acknowledged', frameworkId, taskId, uuid });
  forward(agent, frameworkId, key);
}

export function forwardAll(agent: Agent): void {
  for (const key of agent.journal.state.updates.keys()) forward(agent, key.slice(0, key.indexOf('\n')), key);
}

export function stopForwarding(agent: Agent, frameworkId?: string): void {
  const prefix = frameworkId === undefined ? '' : keyOf(frameworkId, '');
  for (const key of [...agent.retries.keys()]) if (key.startsWith(prefix)) cancelRetry(agent, key);
}

/** POST /api/v1/executor: calls of executors, checked and answered as recorded. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutorCall, ExecutorEvent } from '#mesos/types.ts';
import { checkUuid, converted, requireFields, typedCall } from '../calls.ts';
import { checkAccept, HttpError, openStream, type RecordStream, readCall, replyEmpty } from '../http.ts';
import { keyOf } from './checkpoint.ts';
import { liveTasks, shutdownIfUseless } from './executors.ts';
import { type Agent, type Executor, eventOf, noTimer } from './state.ts';
import { updateFromAgent, updateFromExecutor } from './updates.ts';

const api = 'Executor::Call';
type Subscribe = (ExecutorCall & { type: 'SUBSCRIBE' })['subscribe'];
type Update = ExecutorCall & { type: 'UPDATE' };

const bodies: Readonly<Record<ExecutorCall['type'], string | undefined>> = {
  SUBSCRIBE: 'subscribe',
  UPDATE: 'update',
  MESSAGE: 'message',
  HEARTBEAT: undefined,
};

function validated(body: unknown): ExecutorCall {
  const call = typedCall(body, Object.keys(bodies), api);
  requireFields(call, [
    'executor_id',
    'executor_id.value',
    'framework_id',
    'framework_id.value',
    'update.status',
    'update.status.task_id',
    'update.status.state',
    'message.data',
  ]);
  const name = bodies[call.type as ExecutorCall['type']];
  if (name !== undefined && (call[name] ?? undefined) === undefined) {
    throw new HttpError(400, `Failed to validate ${api}: Expecting '${name}' to be present`);
  }
  // Mesos finds its own words for what an update must have beyond its message: they come before the schema's.
  if (call.type === 'UPDATE') checkStatus(call as unknown as Update);
  return converted('executorCall', call) as unknown as ExecutorCall;
}

function checkStatus(call: Update): void {
  const { status } = call.update;
  const executorId = call.executor_id.value;
  const refuse = (why: string) => new HttpError(400, `Failed to validate ${api}: ${why}`);
  if ((status.uuid ?? undefined) === undefined) throw refuse(`Expecting 'uuid' to be present`);
  checkUuid(status.uuid, api);
  if ((status.executor_id ?? undefined) !== undefined && status.executor_id?.value !== executorId) {
    throw refuse(
      `ExecutorID in Call: ${executorId} does not match ExecutorID in TaskStatus: ${status.executor_id?.value}`,
    );
  }
  const from = `from executor ${executorId} of framework ${call.framework_id.value}`;
  if (status.source !== 'SOURCE_EXECUTOR') {
    throw refuse(`Received Call ${from} with invalid source, expecting 'SOURCE_EXECUTOR'`);
  }
  if (status.state === 'TASK_STAGING') throw refuse(`Received TASK_STAGING ${from} which is not allowed`);
}

export async function executorApi(agent: Agent, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const call = validated(await readCall(request, response));
  const executor = find(agent, call);
  if (call.type === 'SUBSCRIBE') {
    checkAccept(request);
    return subscribe(agent, executor, call.subscribe, response);
  }
  if (executor.state === 'REGISTERING') throw new HttpError(403, 'Executor is not subscribed');
  if (call.type === 'UPDATE') updateFromExecutor(agent, executor, call.update.status);
  if (call.type === 'MESSAGE') {
    agent.link.send({
      type: 'MESSAGE',
      framework_id: call.framework_id,
      executor_id: call.executor_id,
      data: call.message.data,
    });
  }
  replyEmpty(response, 202);
}

function find(agent: Agent, call: ExecutorCall): Executor {
  const executor = agent.executors.get(keyOf(call.framework_id.value, call.executor_id.value));
  if (executor !== undefined && executor.state !== 'TERMINATED') return executor;
  const isKnown = agent.journal.state.frameworks.has(call.framework_id.value);
  throw new HttpError(400, isKnown ? 'Executor cannot be found' : 'Framework cannot be found');
}

/** A new stream takes the place of an old one, which just ends. */
function subscribe(agent: Agent, executor: Executor, call: Subscribe, response: ServerResponse): void {
  executor.stream?.end();
  const stream: RecordStream<ExecutorEvent> = openStream(response, () => {
    if (executor.stream === stream) executor.stream = undefined;
  });
  executor.stream = stream;
  const framework = agent.journal.state.frameworks.get(executor.frameworkId);
  if (framework === undefined || executor.state === 'TERMINATING') {
    stream.send({ type: 'SHUTDOWN' });
    return;
  }
  executor.timer[Symbol.dispose]();
  executor.timer = noTimer;
  executor.state = 'RUNNING';
  executor.settled.resolve();
  stream.send({
    type: 'SUBSCRIBED',
    subscribed: {
      executor_info: executor.record.info,
      framework_info: framework,
      agent_info: agent.info,
      container_id: { value: executor.record.containerId },
    },
  });
  for (const { status } of call.unacknowledged_updates ?? []) updateFromExecutor(agent, executor, status);
  dropUnknownToExecutor(agent, executor, call);
  for (const work of executor.queued.splice(0)) stream.send(eventOf(work));
  shutdownIfUseless(agent, executor);
}

/** A task that was handed over and that the executor does not name never reached it: the agent or the connection broke first. */
function dropUnknownToExecutor(agent: Agent, executor: Executor, call: Subscribe): void {
  const named = new Set((call.unacknowledged_tasks ?? []).map((task) => task.task_id.value));
  for (const task of executor.queued.flatMap(({ tasks }) => tasks)) named.add(task.task_id.value);
  for (const { task } of liveTasks(agent, executor)) {
    if (task.state !== 'TASK_STAGING' || named.has(task.task_id.value)) continue;
    const isAware = agent.journal.state.frameworks
      .get(executor.frameworkId)
      ?.capabilities?.some((capability) => capability.type === 'PARTITION_AWARE');
    updateFromAgent(agent, executor.frameworkId, executor.id, task.task_id.value, {
      state: isAware ? 'TASK_DROPPED' : 'TASK_LOST',
      reason: 'REASON_AGENT_RESTARTED',
      message: 'Task launched during agent restart',
    });
  }
}

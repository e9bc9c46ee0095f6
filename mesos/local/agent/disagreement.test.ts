/** Master and agent that do not agree on whether an executor runs: the agent against a scripted master. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ExecutorInfo, TaskInfo, TaskStatus } from '#mesos/types.ts';
import { encodeRecord } from '../../recordio.ts';
import { answer, type ReceivedCall, startScriptedServer, stream } from '../../testing/scripted-server.ts';
import type { AgentMessage, MasterMessage } from '../protocol.ts';
import { parseResources } from '../resources.ts';
import { eventually, temporaryDirectory } from '../testing/cluster.ts';
import { executorOf, labCommand, labFramework } from '../testing/scheduler.ts';
import { startAgent } from './agent.ts';

const framework = { ...labFramework, id: { value: 'fw' } };

/** An agent and the master that it has registered with, which says what the test says. */
async function agentOf(): Promise<
  AsyncDisposable & {
    order(message: MasterMessage): void;
    updates(task: string): TaskStatus[];
    messages(type: string): AgentMessage[];
  }
> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(temporaryDirectory());
  const messages: AgentMessage[] = [];
  let registration: ReceivedCall | undefined;
  const server = stack.use(
    await startScriptedServer((received) => {
      if (received.call.type === 'CALLS') {
        messages.push(...(received.call.messages as AgentMessage[]));
        return answer(received.response, 202);
      }
      registration = received;
      const id = { agent_id: { value: 'a1' }, session: 's1', reconcile: [] };
      stream(received.response, [{ type: 'REGISTERED', ...id }]);
    }),
  );
  const options = { port: 0, master: server.origin, workDir: join(directory.path, 'a'), hostname: 'h1.lab' };
  stack.use(await startAgent({ ...options, resources: parseResources('cpus:4;mem:4096') }));
  await eventually('the registration', () => registration);
  const running = stack.move();
  return {
    order: (message) => void registration!.response.write(encodeRecord(message)),
    updates: (task) =>
      messages.flatMap((one) => (one.type === 'UPDATE' && one.status.task_id.value === task ? [one.status] : [])),
    messages: (type) => messages.filter((one) => one.type === type),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function task(id: string, executor: ExecutorInfo): TaskInfo {
  return { name: id, task_id: { value: id }, agent_id: { value: 'a1' }, resources: [], executor };
}

function run(id: string, launch_executor: boolean, command = labCommand): MasterMessage {
  return { type: 'RUN_TASK', framework, task: task(id, executorOf('ex', command)), launch_executor };
}

function acknowledge({ task_id, uuid }: TaskStatus): MasterMessage {
  return { type: 'ACKNOWLEDGE', framework_id: framework.id, task_id, uuid: uuid! };
}

const dropped = (message: string) => ({
  state: 'TASK_DROPPED',
  source: 'SOURCE_AGENT',
  reason: 'REASON_EXECUTOR_TERMINATED',
  message,
});

test('a task for an executor that is not there is dropped', async () => {
  await using agent = await agentOf();
  agent.order(run('t', false));
  const status = await eventually('the update', () => agent.updates('t')[0]);
  expect(status).toMatchObject(dropped('No executor is expected to launch and there is none running'));
});

test('a task that is to bring an executor which is there already is dropped', async () => {
  await using agent = await agentOf();
  agent.order(run('first', true));
  await eventually('the first task', () => agent.updates('first')[0]);
  agent.order(run('t', true));
  const status = await eventually('the update', () => agent.updates('t')[0]);
  expect(status).toMatchObject(dropped('Master wants to launch executor, but one already exists'));
});

test('an executor that ended keeps its id until the last update of its tasks is acknowledged', async () => {
  await using agent = await agentOf();
  agent.order(run('first', true, 'exit 1'));
  const failed = await eventually('the end', () => agent.updates('first')[0]);
  expect(failed.state).toBe('TASK_FAILED');
  const exits = agent.messages('EXITED_EXECUTOR').length;

  agent.order(run('early', true));
  const early = await eventually('the update', () => agent.updates('early')[0]);
  expect(early).toMatchObject(dropped('Master wants to launch executor, but one already exists'));
  // The master has entered an executor for it, and must be told to forget it.
  await eventually('EXITED_EXECUTOR', () => agent.messages('EXITED_EXECUTOR').length === exits + 1);

  agent.order(acknowledge(failed));
  agent.order(run('late', true));
  expect((await eventually('the update', () => agent.updates('late')[0])).state).toBe('TASK_STARTING');
});

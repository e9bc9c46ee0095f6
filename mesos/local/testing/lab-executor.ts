/** Does what the recorded executor did: STARTING and RUNNING at once, `finish TASK`, `exit N`, `pong:` to anything else. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeRecords } from '#mesos/recordio.ts';
import type { ExecutorCall, ExecutorEvent, TaskState, TaskStatus } from '#mesos/types.ts';
import { uuidBytes } from '../calls.ts';

const url = `http://${process.env.MESOS_AGENT_ENDPOINT}/api/v1/executor`;
const ids = {
  framework_id: { value: process.env.MESOS_FRAMEWORK_ID! },
  executor_id: { value: process.env.MESOS_EXECUTOR_ID! },
};
const tasks = new Set<string>();

function post(call: ExecutorCall): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify(call),
  });
}

async function update(task: string, state: TaskState, rest: Partial<TaskStatus> = {}): Promise<void> {
  const status: TaskStatus = {
    task_id: { value: task },
    executor_id: ids.executor_id,
    source: 'SOURCE_EXECUTOR',
    state,
    timestamp: Date.now() / 1000,
    uuid: uuidBytes(randomUUID()),
    ...rest,
  };
  const response = await post({ type: 'UPDATE', ...ids, update: { status } });
  if (response.status !== 202) process.stderr.write(`UPDATE: ${response.status} ${await response.text()}\n`);
}

async function message(text: string): Promise<void> {
  const [verb, argument = ''] = text.split(' ');
  if (verb === 'exit') process.exit(Number(argument));
  if (verb === 'finish') return update(argument, 'TASK_FINISHED', { message: 'lab: done' });
  await post({ type: 'MESSAGE', ...ids, message: { data: Buffer.from(`pong:${text}`).toString('base64') } });
}

async function run(task: string): Promise<void> {
  tasks.add(task);
  await update(task, 'TASK_STARTING', { message: 'lab: starting' });
  await update(task, 'TASK_RUNNING', {
    message: 'lab: running',
    healthy: true,
    data: Buffer.from('{"vm":"running"}').toString('base64'),
    labels: { labels: [{ key: 'k', value: 'v' }] },
    container_status: { network_infos: [{ ip_addresses: [{ protocol: 'IPv4', ip_address: '10.1.2.3' }] }] },
  });
}

async function handle(event: ExecutorEvent): Promise<void> {
  if (event.type === 'LAUNCH') await run(event.launch.task.task_id.value);
  if (event.type === 'MESSAGE') await message(Buffer.from(event.message.data, 'base64').toString());
  if (event.type === 'KILL') {
    const task = event.kill.task_id.value;
    await update(task, 'TASK_KILLING');
    await update(task, 'TASK_KILLED', { message: 'lab: killed on request' });
  }
  if (event.type === 'SHUTDOWN') {
    for (const task of tasks) await update(task, 'TASK_KILLED', { message: 'lab: shutdown' });
    process.exit(0);
  }
}

/** Comes back like the recorded one: every so often, and only for as long as a test may last. */
for (const end = Date.now() + 120_000; Date.now() < end; await sleep(50)) {
  try {
    const subscribe = { unacknowledged_tasks: [], unacknowledged_updates: [] };
    const response = await post({ type: 'SUBSCRIBE', ...ids, subscribe });
    if (!response.ok || response.body === null) continue;
    for await (const event of decodeRecords(response.body)) await handle(event as ExecutorEvent);
  } catch {
    // The agent is away: the next round tries again.
  }
}

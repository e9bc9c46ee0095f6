/**
 * The executor of tasks that have a command and no executor of their own: runs it, reports how it ended, ends with it. A program of its
 * own that speaks the v1 executor API like any other; the words of its updates are those of Mesos' command executor, as recorded.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeRecords } from '#mesos/recordio.ts';
import type { ExecutorCall, ExecutorEvent, FrameworkInfo, TaskInfo, TaskState, TaskStatus } from '#mesos/types.ts';
import { uuidBytes } from '../calls.ts';

const { MESOS_AGENT_ENDPOINT, MESOS_EXECUTOR_ID = '', MESOS_FRAMEWORK_ID = '', MESOS_CHECKPOINT } = process.env;
const url = `http://${MESOS_AGENT_ENDPOINT}/api/v1/executor`;
const ids = { framework_id: { value: MESOS_FRAMEWORK_ID }, executor_id: { value: MESOS_EXECUTOR_ID } };
const defaultGraceMs = 3000;
const recoveryMs = 900_000;
const retryMs = 500;

let framework: FrameworkInfo | undefined;
let task: TaskInfo | undefined;
let command: ChildProcess | undefined;
let isAcknowledged = true;
/** Updates that the agent has not said to have, oldest first. */
let unacknowledged: TaskStatus[] = [];
let sending: Promise<unknown> = Promise.resolve();
let ended = false;
let killed = false;

function post(call: ExecutorCall): Promise<Response> {
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  return fetch(url, { method: 'POST', headers, body: JSON.stringify({ ...call, ...ids }) });
}

/** Kept until the agent acknowledges it: if the call fails, the next SUBSCRIBE carries it. */
async function update(state: TaskState, message?: string): Promise<void> {
  const status: TaskStatus = {
    task_id: task!.task_id,
    executor_id: ids.executor_id,
    source: 'SOURCE_EXECUTOR',
    state,
    timestamp: Date.now() / 1000,
    uuid: uuidBytes(randomUUID()),
    ...(message !== undefined && { message }),
  };
  unacknowledged.push(status);
  // One at a time: a command that ends at once must not overtake the news that it runs.
  sending = sending
    .then(() => post({ type: 'UPDATE', ...ids, update: { status } }))
    .then(
      (response) => response.body?.cancel(),
      () => undefined,
    );
  await sending;
}

const signalNames: Readonly<Record<string, string>> = { SIGTERM: 'Terminated', SIGKILL: 'Killed', SIGINT: 'Interrupt' };

async function finish(code: number | null, signal: NodeJS.Signals | null): Promise<void> {
  const how =
    code === null
      ? `Command terminated with signal ${signalNames[signal!] ?? signal}`
      : `Command exited with status ${code}`;
  const state = code === 0 && !killed ? 'TASK_FINISHED' : killed ? 'TASK_KILLED' : 'TASK_FAILED';
  await update(state, how);
  ended = true;
  endIfDone();
}

async function launch(info: TaskInfo): Promise<void> {
  task = info;
  isAcknowledged = false;
  await update('TASK_STARTING');
  const { value = '', shell = true, arguments: argv = [] } = info.command ?? {};
  command = shell
    ? spawn('/bin/sh', ['-c', value], { stdio: ['ignore', 'inherit', 'inherit'], detached: true })
    : spawn(value, argv.slice(1), { argv0: argv[0] ?? value, stdio: ['ignore', 'inherit', 'inherit'], detached: true });
  command.once('error', () => void finish(127, null));
  command.once('exit', (code, signal) => void finish(code, signal));
  await update('TASK_RUNNING');
}

function signalCommand(signal: NodeJS.Signals): void {
  try {
    if (command?.pid !== undefined) process.kill(-command.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function kill(graceMs: number): Promise<void> {
  if (killed || ended || command === undefined) return;
  killed = true;
  if (framework?.capabilities?.some((capability) => capability.type === 'TASK_KILLING_STATE')) {
    await update('TASK_KILLING');
  }
  signalCommand('SIGTERM');
  setTimeout(() => signalCommand('SIGKILL'), graceMs).unref();
}

function endIfDone(): void {
  if (ended && unacknowledged.length === 0) process.exit(0);
}

async function handle(event: ExecutorEvent): Promise<void> {
  if (event.type === 'SUBSCRIBED') framework = event.subscribed.framework_info;
  if (event.type === 'LAUNCH') await launch(event.launch.task);
  if (event.type === 'KILL') {
    const policy = event.kill.kill_policy ?? task?.kill_policy;
    const nanoseconds = policy?.grace_period?.nanoseconds;
    await kill(nanoseconds === undefined ? defaultGraceMs : nanoseconds / 1e6);
  }
  if (event.type === 'SHUTDOWN') {
    // Ends with the command; the agent ends both when that takes too long.
    if (command === undefined || ended) process.exit(0);
    await kill(defaultGraceMs);
  }
  if (event.type === 'ACKNOWLEDGED') {
    isAcknowledged = true;
    unacknowledged = unacknowledged.filter((status) => status.uuid !== event.acknowledged.uuid);
    endIfDone();
  }
}

/** One connection to the agent, until it ends. */
async function subscribe(): Promise<void> {
  const response = await post({
    type: 'SUBSCRIBE',
    ...ids,
    subscribe: {
      unacknowledged_tasks: task !== undefined && !isAcknowledged ? [task] : [],
      unacknowledged_updates: unacknowledged.map((status) => ({ status })),
    },
  });
  if (!response.ok || response.body === null) throw new Error(`SUBSCRIBE was answered with ${response.status}`);
  for await (const event of decodeRecords(response.body)) await handle(event as ExecutorEvent);
}

let lastSeen = Date.now();
while (Date.now() - lastSeen < (MESOS_CHECKPOINT === '1' ? recoveryMs : retryMs)) {
  try {
    await subscribe();
    lastSeen = Date.now();
  } catch (error) {
    process.stderr.write(`Not connected to the agent: ${String(error)}\n`);
  }
  if (MESOS_CHECKPOINT !== '1') break;
  await sleep(retryMs);
}
signalCommand('SIGKILL');
process.exit(1);

/**
 * The executor of tasks that have a command and no executor of their own: runs it, reports how it ended, ends with it. A program of its
 * own that speaks the v1 executor API like any other; the words of its updates are those of Mesos' command executor, as recorded.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { systemClock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { jsonLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { ExecutorConnection } from '#mesos/executor.ts';
import { readExecutorEnvironment } from '#mesos/executor-environment.ts';
import type { ExecutorEvent, FrameworkInfo, TaskInfo, TaskState, TaskStatus } from '#mesos/types.ts';
import { uuidBytes } from '../calls.ts';

const environment = readExecutorEnvironment(process.env);
const log = jsonLog('mesos-local-command-executor', 'warn');
const connection = new ExecutorConnection({ environment, clock: systemClock, log });
const defaultGraceMs = 3000;

let framework: FrameworkInfo | undefined;
let task: TaskInfo | undefined;
let command: ChildProcess | undefined;
let isAcknowledged = true;
/** Updates that the agent has not said to have, oldest first. */
let unacknowledged: TaskStatus[] = [];
let ended = false;
let killed = false;

/** Kept until the agent acknowledges it: if it cannot be sent, the next SUBSCRIBE carries it. */
async function update(state: TaskState, message?: string): Promise<void> {
  const status: TaskStatus = {
    task_id: task!.task_id,
    executor_id: { value: environment.executorId },
    source: 'SOURCE_EXECUTOR',
    state,
    timestamp: systemClock.now() / 1000,
    uuid: uuidBytes(systemRandom.uuid()),
    ...(message !== undefined && { message }),
  };
  unacknowledged.push(status);
  await connection.update(status);
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
  systemClock.timeout(() => signalCommand('SIGKILL'), graceMs);
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

const unacknowledgedNow = () => ({
  tasks: task !== undefined && !isAcknowledged ? [task] : [],
  updates: unacknowledged,
});

try {
  await connection.run({ unacknowledged: unacknowledgedNow, onEvent: handle }, new AbortController().signal);
} catch (error) {
  // The agent has been away for longer than it said: Mesos takes the task for lost by now.
  process.stderr.write(`${messageOf(error)}\n`);
}
signalCommand('SIGKILL');
process.exit(1);

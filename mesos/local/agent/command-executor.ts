/**
 * The agent's own executor: of a task that has a command and no executor (Mesos' command executor), and of task groups (its default
 * executor). Runs commands, reports how they ended, ends with the last of them. A program of its own that speaks the v1 executor API like
 * any other; the words of its updates are those that were recorded.
 */
import { systemClock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { jsonLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { ExecutorConnection } from '#mesos/executor.ts';
import { readExecutorEnvironment } from '#mesos/executor-environment.ts';
import type { ExecutorEvent, FrameworkInfo, TaskInfo, TaskState, TaskStatus } from '#mesos/types.ts';
import { uuidBytes } from '../calls.ts';
import { type RunningCommand, runCommand } from './running-command.ts';

interface Task {
  readonly info: TaskInfo;
  /** Those it was launched with, itself included: when one of them fails or is killed, all end. */
  readonly group: readonly TaskInfo[];
  /** Of a task in a group; the container of a single command is the executor's own. */
  readonly container: object | undefined;
  command: RunningCommand | undefined;
  isAcknowledged: boolean;
  killed: boolean;
  ended: boolean;
}

const environment = readExecutorEnvironment(process.env);
const log = jsonLog('mesos-local-command-executor', 'warn');
const connection = new ExecutorConnection({ environment, clock: systemClock, log });
const defaultGraceMs = 3000;

let framework: FrameworkInfo | undefined;
let containerId = '';
const tasks = new Map<string, Task>();
/** Updates that the agent has not said to have, oldest first. */
let unacknowledged: TaskStatus[] = [];
let isShuttingDown = false;

/** Kept until the agent acknowledges it: if it cannot be sent, the next SUBSCRIBE carries it. */
async function update(task: Task, state: TaskState, message?: string): Promise<void> {
  const pid = task.command?.pid;
  const status: TaskStatus = {
    task_id: task.info.task_id,
    executor_id: { value: environment.executorId },
    source: 'SOURCE_EXECUTOR',
    state,
    timestamp: systemClock.now() / 1000,
    uuid: uuidBytes(systemRandom.uuid()),
    ...(message !== undefined && { message }),
    ...(task.container && {
      container_status: { container_id: task.container, ...(pid !== undefined && { executor_pid: pid }) },
    }),
  };
  unacknowledged.push(status);
  await connection.update(status);
}

function enter(group: readonly TaskInfo[], isGroup: boolean): Task[] {
  return group.map((info) => {
    const container = isGroup ? { value: systemRandom.uuid(), parent: { value: containerId } } : undefined;
    const flags = { isAcknowledged: false, killed: false, ended: false };
    const task: Task = { info, group, container, command: undefined, ...flags };
    tasks.set(info.task_id.value, task);
    return task;
  });
}

async function launch(group: readonly TaskInfo[], isGroup: boolean): Promise<void> {
  const entered = enter(group, isGroup);
  for (const task of entered) await update(task, 'TASK_STARTING');
  for (const task of entered) {
    task.command = runCommand(task.info.command ?? {});
    await update(task, 'TASK_RUNNING');
    void task.command.ended.then((end) => finish(task, end));
  }
}

async function finish(task: Task, { code, how }: { code: number | null; how: string }): Promise<void> {
  task.ended = true;
  const state = task.killed ? 'TASK_KILLED' : code === 0 ? 'TASK_FINISHED' : 'TASK_FAILED';
  await update(task, state, how);
  if (state !== 'TASK_FINISHED')
    for (const { task_id } of task.group) await kill(tasks.get(task_id.value), defaultGraceMs);
  endIfDone();
}

async function kill(task: Task | undefined, graceMs: number): Promise<void> {
  if (task?.command === undefined || task.killed || task.ended) return;
  task.killed = true;
  if (framework?.capabilities?.some((capability) => capability.type === 'TASK_KILLING_STATE'))
    await update(task, 'TASK_KILLING');
  task.command.signal('SIGTERM');
  systemClock.timeout(() => task.command?.signal('SIGKILL'), graceMs);
}

function endIfDone(): void {
  const isDone = [...tasks.values()].every(({ ended }) => ended) && unacknowledged.length === 0;
  if (isDone && (tasks.size > 0 || isShuttingDown)) process.exit(0);
}

async function handle(event: ExecutorEvent): Promise<void> {
  if (event.type === 'SUBSCRIBED') {
    framework = event.subscribed.framework_info;
    containerId = event.subscribed.container_id?.value ?? '';
  }
  if (event.type === 'LAUNCH') await launch([event.launch.task], false);
  if (event.type === 'LAUNCH_GROUP') await launch(event.launch_group.task_group.tasks, true);
  if (event.type === 'KILL') {
    const task = tasks.get(event.kill.task_id.value);
    const policy = event.kill.kill_policy ?? task?.info.kill_policy;
    const nanoseconds = policy?.grace_period?.nanoseconds;
    await kill(task, nanoseconds === undefined ? defaultGraceMs : nanoseconds / 1e6);
  }
  if (event.type === 'SHUTDOWN') {
    // Ends with the commands; the agent ends all of it when that takes too long.
    isShuttingDown = true;
    for (const task of tasks.values()) await kill(task, defaultGraceMs);
    if ([...tasks.values()].every(({ ended }) => ended)) process.exit(0);
  }
  if (event.type === 'ACKNOWLEDGED') {
    const { task_id, uuid } = event.acknowledged;
    const task = tasks.get(task_id.value);
    if (task) task.isAcknowledged = true;
    unacknowledged = unacknowledged.filter((status) => status.uuid !== uuid);
    endIfDone();
  }
}

const unacknowledgedNow = () => ({
  tasks: [...tasks.values()].filter(({ isAcknowledged }) => !isAcknowledged).map(({ info }) => info),
  updates: unacknowledged,
});

try {
  await connection.run({ unacknowledged: unacknowledgedNow, onEvent: handle }, new AbortController().signal);
} catch (error) {
  // The agent has been away for longer than it said: Mesos takes the tasks for lost by now.
  process.stderr.write(`${messageOf(error)}\n`);
}
for (const { command } of tasks.values()) command?.signal('SIGKILL');
process.exit(1);

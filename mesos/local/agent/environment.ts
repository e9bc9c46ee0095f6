/** What an executor is given to start with: command, environment, sandbox. */
import { join } from 'node:path';
import type { CommandInfo, ExecutorInfo, FrameworkInfo, TaskInfo } from '#mesos/types.ts';
import type { ServerTls } from '../http.ts';
import { durationText } from '../version.ts';
import type { ExecutorRecord } from './checkpoint.ts';
import type { Agent } from './state.ts';

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const recoveryTimeoutMs = 900_000;
const subscriptionBackoffMaxMs = 2000;

/** The layout that real agents use below their work directory. */
export function sandboxOf(agent: Agent, frameworkId: string, executorId: string, containerId: string): string {
  const { workDir } = agent.options;
  const path = [
    'slaves',
    agent.info.id!.value,
    'frameworks',
    frameworkId,
    'executors',
    executorId,
    'runs',
    containerId,
  ];
  return join(workDir, ...path);
}

/** The agent's own executor: that of commands, and the default one of task groups. */
export const ownCommand: CommandInfo = {
  shell: false,
  value: process.execPath,
  arguments: [process.execPath, join(import.meta.dirname, 'command-executor.ts')],
};

/** The executor that runs a task's command, with the id of the task. */
export function commandExecutor(task: TaskInfo, frameworkId: string): ExecutorInfo {
  const command: CommandInfo = {
    ...ownCommand,
    ...(task.command?.environment && { environment: task.command.environment }),
  };
  return {
    type: 'CUSTOM',
    executor_id: task.task_id,
    framework_id: { value: frameworkId },
    name: `Command Executor (Task: ${task.task_id.value})`,
    command,
  };
}

/** Exactly what a real agent gives, as recorded; `--executor-environment` below it, the command's own variables above. */
export function environmentOf(
  agent: Agent,
  record: ExecutorRecord,
  framework: FrameworkInfo,
): Readonly<Record<string, string>> {
  const { host, executorEnvironment, executorShutdownGracePeriodMs, tls } = agent.options;
  const address = `${host}:${agent.info.port}`;
  const grace = gracePeriodMs(record.info) ?? executorShutdownGracePeriodMs;
  const own = record.info.command?.environment?.variables ?? [];
  return {
    PATH: defaultPath,
    ...executorEnvironment,
    LIBPROCESS_IP: host,
    LIBPROCESS_PORT: '0',
    ...tlsEnvironment(tls),
    MESOS_AGENT_ENDPOINT: address,
    MESOS_CHECKPOINT: framework.checkpoint ? '1' : '0',
    MESOS_DIRECTORY: record.sandbox,
    MESOS_EXECUTOR_ID: record.info.executor_id.value,
    MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD: durationText(grace),
    MESOS_FRAMEWORK_ID: record.frameworkId,
    MESOS_HTTP_COMMAND_EXECUTOR: '0',
    ...(framework.checkpoint && { MESOS_RECOVERY_TIMEOUT: durationText(recoveryTimeoutMs) }),
    MESOS_SANDBOX: record.sandbox,
    MESOS_SLAVE_ID: agent.info.id!.value,
    MESOS_SLAVE_PID: `slave(1)@${address}`,
    ...(framework.checkpoint && { MESOS_SUBSCRIPTION_BACKOFF_MAX: durationText(subscriptionBackoffMaxMs) }),
    PWD: record.sandbox,
    ...Object.fromEntries(own.map(({ name, value }) => [name, value])),
  };
}

/** As the agent was told itself. */
function tlsEnvironment(tls: ServerTls | undefined): Readonly<Record<string, string>> {
  if (tls === undefined) return {};
  return {
    LIBPROCESS_SSL_ENABLED: '1',
    LIBPROCESS_SSL_CERT_FILE: tls.certFile,
    LIBPROCESS_SSL_KEY_FILE: tls.keyFile,
    ...(tls.caFile !== undefined && { LIBPROCESS_SSL_CA_FILE: tls.caFile }),
  };
}

export function gracePeriodMs(info: ExecutorInfo): number | undefined {
  const nanoseconds = info.shutdown_grace_period?.nanoseconds;
  return nanoseconds === undefined ? undefined : nanoseconds / 1e6;
}

import { parseMesosDuration } from './duration.ts';
import { type TlsFiles, tlsFromEnvironment } from './tls.ts';

/** What an agent tells the executors that it starts (Mesos' src/slave/slave.cpp, executorEnvironment). */
export interface ExecutorEnvironment {
  /** Origin of the agent's API. */
  readonly origin: string;
  /** Set if the agent serves its executors on a UNIX socket. */
  readonly socketPath?: string;
  readonly agentId: string;
  readonly frameworkId: string;
  readonly executorId: string;
  /** The executor's working directory. */
  readonly sandbox: string;
  /** How long the agent may be away; 0 without checkpointing. */
  readonly recoveryTimeoutMs: number;
  readonly shutdownGraceMs: number;
  /** Sent as bearer token. */
  readonly token?: string;
  readonly tls?: TlsFiles;
}

/**
 * Reads the MESOS_* variables. Removes the token from `environment`, so that nothing we start inherits it. Throws if a variable is
 * missing, which means that no Mesos agent started this process.
 */
export function readExecutorEnvironment(environment: NodeJS.ProcessEnv): ExecutorEnvironment {
  const need = (name: string): string => {
    const value = environment[name];
    if (!value) throw new Error(`${name} is not set: this program is started by a Mesos agent, not by hand`);
    return value;
  };
  const token = environment.MESOS_EXECUTOR_AUTHENTICATION_TOKEN;
  delete environment.MESOS_EXECUTOR_AUTHENTICATION_TOKEN;
  const tls = tlsFromEnvironment(environment);
  const socketPath = environment.MESOS_DOMAIN_SOCKET;
  return {
    origin: `${tls ? 'https' : 'http'}://${need('MESOS_AGENT_ENDPOINT')}`,
    ...(socketPath ? { socketPath } : {}),
    agentId: need('MESOS_SLAVE_ID'),
    frameworkId: need('MESOS_FRAMEWORK_ID'),
    executorId: need('MESOS_EXECUTOR_ID'),
    sandbox: need('MESOS_SANDBOX'),
    recoveryTimeoutMs:
      environment.MESOS_CHECKPOINT === '1' ? parseMesosDuration(environment.MESOS_RECOVERY_TIMEOUT ?? '15mins') : 0,
    shutdownGraceMs: parseMesosDuration(environment.MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD ?? '5secs'),
    ...(token ? { token } : {}),
    ...(tls ? { tls } : {}),
  };
}

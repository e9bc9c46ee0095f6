/** An agent as a value: `startAgent` serves until it is disposed. Executors that are processes go on running then. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { aborted } from '#lib/std/main.ts';
import type { AgentInfo } from '#mesos/types.ts';
import { replyEmpty, replyText } from '../http.ts';
import type { MasterMessage, Registration } from '../protocol.ts';
import { bagOf, contains } from '../resources.ts';
import { executorApi } from './executor-api.ts';
import { forgetIfSettled, recoverExecutor, shutdownExecutor, shutdownFramework } from './executors.ts';
import { Journal } from './journal.ts';
import { MasterLink } from './link.ts';
import { operatorApi } from './operator-api.ts';
import { type AgentOptions, agentDefaults } from './options.ts';
import type { Agent } from './state.ts';
import { drain, dropMissing, killTask, passMessage, runTask, runTaskGroup, shutdownByScheduler } from './tasks.ts';
import { acknowledge, forwardAll, stopForwarding } from './updates.ts';

export interface RunningAgent extends AsyncDisposable {
  readonly url: string;
  /** Resolves, with the reason, when the master says that this agent was declared gone: it must not be started again. */
  readonly gone: Promise<string>;
}

type Needed = 'master' | 'workDir' | 'hostname' | 'resources';

/**
 * Starts an agent; what has no default must be given. Recovers what its work directory remembers: executors that still run have
 * `executorReregistrationTimeoutMs` to subscribe again, and only then does the agent register. Throws if resources or attributes
 * differ from what is remembered by more than `reconfigurationPolicy` allows.
 */
export async function startAgent(options: Partial<AgentOptions> & Pick<AgentOptions, Needed>): Promise<RunningAgent> {
  const all: AgentOptions = { ...agentDefaults, ...options };
  await using stack = new AsyncDisposableStack();
  const journal = stack.use(new Journal(join(all.workDir, 'meta', 'agent.journal')));
  checkReconfiguration(all, journal.state.agent);
  const gone = Promise.withResolvers<string>();
  const agent: Agent = {
    options: all,
    journal,
    info: agentInfo(all, all.port, journal.state.agent),
    executors: new Map(),
    retries: new Map(),
    link: { registered: false, send() {} },
    draining: undefined,
    gone: (message) => gone.resolve(message),
  };
  const listening = stack.use(
    await all.serve(
      { host: all.host, port: all.port, tls: all.tls },
      (request, response) => route(agent, request, response),
      (error) => all.log.error('Request failed', { error }),
    ),
  );
  agent.info = agentInfo(all, listening.port, journal.state.agent);
  stack.defer(() => stop(agent));
  const stopping = new AbortController();
  const connected = recover(agent, stopping.signal).then(() => connect(agent, stopping.signal));
  stack.defer(async () => {
    stopping.abort();
    await (await connected)?.[Symbol.asyncDispose]();
  });
  const running = stack.move();
  return {
    url: `${all.tls ? 'https' : 'http'}://${all.host}:${listening.port}`,
    gone: gone.promise,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Executors that end from now on are the next agent's to find out. */
function stop(agent: Agent): void {
  stopForwarding(agent);
  for (const executor of agent.executors.values()) {
    executor.timer[Symbol.dispose]();
    executor.state = 'TERMINATED';
  }
}

function agentInfo(options: AgentOptions, port: number, remembered: AgentInfo | undefined): AgentInfo {
  return {
    hostname: options.hostname,
    port,
    resources: options.resources,
    attributes: options.attributes,
    ...(remembered?.id && { id: remembered.id }),
    checkpoint: true,
  };
}

function checkReconfiguration(options: AgentOptions, old: AgentInfo | undefined): void {
  if (old === undefined) return;
  const sameResources = isDeepStrictEqual(bagOf(old.resources), bagOf(options.resources));
  const sameAttributes = isDeepStrictEqual(old.attributes ?? [], options.attributes);
  const isMore =
    contains(bagOf(options.resources), bagOf(old.resources)) &&
    (old.attributes ?? []).every((attribute) =>
      options.attributes.some((other) => isDeepStrictEqual(attribute, other)),
    );
  const isAllowed = options.reconfigurationPolicy === 'additive' ? isMore : sameResources && sameAttributes;
  if (isAllowed && old.hostname === options.hostname) return;
  throw new Error(
    `Failed to perform recovery: Incompatible agent info detected. The work directory ${options.workDir} remembers ` +
      `${JSON.stringify(old)}; started with ${JSON.stringify(agentInfo(options, options.port, old))}. ` +
      'Use --reconfiguration-policy additive to add to it, or another work directory for a new agent',
  );
}

/** Resolves when every executor that survived has subscribed again or has been given up. */
async function recover(agent: Agent, signal: AbortSignal): Promise<void> {
  for (const record of [...agent.journal.state.executors.values()]) recoverExecutor(agent, record);
  const survivors = [...agent.executors.values()].map((executor) => executor.settled.promise);
  await Promise.race([Promise.all(survivors), aborted(signal)]);
}

function connect(agent: Agent, signal: AbortSignal): MasterLink | undefined {
  if (signal.aborted) return undefined;
  const link = new MasterLink(agent, {
    registration: () => registration(agent),
    received: (message) => receive(agent, message),
  });
  agent.link = link;
  return link;
}

function registration(agent: Agent): Registration {
  const { state } = agent.journal;
  const executors = [...agent.executors.values()].filter(
    (executor) =>
      !executor.record.isCommand && executor.state !== 'TERMINATED' && state.frameworks.has(executor.frameworkId),
  );
  return {
    agent: agent.info,
    ...(state.resources.length > 0 && { checkpointed: state.resources }),
    tasks: [...state.tasks.values()].map(({ task }) => task),
    executors: executors.map((executor) => ({
      framework_id: { value: executor.frameworkId },
      executor: executor.record.info,
    })),
    frameworks: [...state.frameworks.values()],
  };
}

function receive(agent: Agent, message: MasterMessage): void {
  switch (message.type) {
    case 'REGISTERED':
      registered(agent, message);
      break;
    case 'RUN_TASK':
      runTask(agent, message);
      break;
    case 'RUN_TASK_GROUP':
      runTaskGroup(agent, message);
      break;
    case 'KILL_TASK':
      killTask(agent, message);
      break;
    case 'ACKNOWLEDGE':
      acknowledge(agent, message.framework_id.value, message.task_id.value, message.uuid);
      for (const executor of agent.executors.values()) forgetIfSettled(agent, executor);
      break;
    case 'MESSAGE':
      passMessage(agent, message);
      break;
    case 'CHECKPOINT_RESOURCES':
      agent.journal.append({ type: 'resources', resources: message.resources });
      break;
    case 'DRAIN':
      drain(agent, message.max_grace_ms);
      break;
    case 'DRAIN_ENDED':
      agent.draining = undefined;
      break;
    case 'SHUTDOWN_EXECUTOR':
      shutdownByScheduler(agent, message);
      break;
    case 'SHUTDOWN_FRAMEWORK':
      shutdownFramework(agent, message.framework_id.value);
      break;
    case 'GONE':
      for (const executor of agent.executors.values()) shutdownExecutor(agent, executor);
      agent.gone(message.message);
      break;
    case 'PING':
      break; // Answered by the link.
  }
}

/** The id is stored before anything is done with it: it is what makes a restarted agent the same agent. */
function registered(agent: Agent, message: MasterMessage & { type: 'REGISTERED' }): void {
  const info: AgentInfo = { ...agent.info, id: message.agent_id };
  if (!isDeepStrictEqual(agent.journal.state.agent, info)) agent.journal.append({ type: 'agent', info });
  agent.info = info;
  agent.options.log.info('Registered with the master', { agent: message.agent_id.value });
  dropMissing(agent, message.reconcile);
  forwardAll(agent);
}

async function route(agent: Agent, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0]!.replace(/^\/slave\(1\)(?=\/)/, '');
  switch (path) {
    case '/api/v1/executor':
      return executorApi(agent, request, response);
    case '/api/v1':
      return operatorApi(agent, request, response);
    case '/health':
    case '/livez':
      return replyEmpty(response, 200);
    case '/readyz':
      return replyEmpty(response, agent.link.registered ? 200 : 503);
    case '/metrics':
      return replyText(response, 200, metrics(agent));
    default:
      return replyText(response, 404, '404 Not Found.');
  }
}

function metrics(agent: Agent): string {
  const gauges: [name: string, value: number][] = [
    ['mesos_local_agent_executors', agent.executors.size],
    ['mesos_local_agent_tasks', agent.journal.state.tasks.size],
    ['mesos_local_agent_unacknowledged', agent.journal.state.updates.size],
  ];
  return gauges.map(([name, value]) => `# TYPE ${name} gauge\n${name} ${value}\n`).join('');
}

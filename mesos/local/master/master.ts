/** A master as a value: `startMaster` serves until it is disposed. main.ts wraps it in a program. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { MasterInfo } from '#mesos/types.ts';
import { openStream, readCall, replyEmpty, replyJson, replyText } from '../http.ts';
import { type AgentCalls, callsPath, type MasterMessage, type Registration, registrationPath } from '../protocol.ts';
import { mesosVersion } from '../version.ts';
import { markRecoveredUnreachable } from './agent-loss.ts';
import { agentCalls, registerAgent } from './agents.ts';
import { Allocator } from './allocator.ts';
import { standForElection } from './candidate.ts';
import { sendInverseOffers } from './inverse-offers.ts';
import { isRedirected } from './leadership.ts';
import { makeOffer, OfferBatch } from './offers.ts';
import { oldState, operatorApi } from './operator-api.ts';
import { OperatorFeed } from './operator-feed.ts';
import { type MasterOptions, masterDefaults } from './options.ts';
import { Registry, RegistryLostError } from './registry.ts';
import { schedulerApi } from './scheduler-api.ts';
import type { Master } from './state.ts';

export interface RunningMaster extends AsyncDisposable {
  readonly url: string;
  readonly id: string;
  /** Resolves, with the reason, when this master led and does not any more, or another one has its registry: it must end. */
  readonly lost: Promise<string>;
}

/** Starts a master. `workDir` is required; everything else has the defaults of a real master. */
export async function startMaster(
  options: Partial<MasterOptions> & Pick<MasterOptions, 'workDir'>,
): Promise<RunningMaster> {
  const all: MasterOptions = { ...masterDefaults, ...options };
  const master = newMaster(all);
  const lost = Promise.withResolvers<string>();
  const listening = await all.serve(
    { host: all.host, port: all.port, tls: all.tls },
    (request, response) => route(master, request, response),
    (error) => {
      all.log.error('Request failed', { error });
      if (error instanceof RegistryLostError) lost.resolve(error.message);
    },
  );
  master.info = masterInfo(master.id, all.host, listening.port);
  const candidate = all.zk === undefined ? undefined : stand(master, (why) => lost.resolve(why));
  if (candidate === undefined) lead(master);
  return {
    url: `${all.tls ? 'https' : 'http'}://${all.host}:${listening.port}`,
    id: master.id,
    lost: lost.promise,
    async [Symbol.asyncDispose]() {
      await candidate?.[Symbol.asyncDispose]();
      stopTimers(master);
      await listening[Symbol.asyncDispose]();
      stopTimers(master);
    },
  };
}

/** What the leader before knew is read now: the registry, and nothing else. It can write there no more. */
function lead(master: Master): void {
  master.registry.claim(master.id);
  awaitAgentsOfRegistry(master);
}

function stand(master: Master, lost: (why: string) => void): AsyncDisposable {
  return standForElection(master, master.leadership!, {
    elected() {
      master.electedAt = master.options.clock.now();
      lead(master);
      master.options.log.info('Elected as the leading master', { id: master.id });
    },
    lost,
  });
}

/** Closing connections makes frameworks and agents disconnect, which starts timers: hence before and after. */
function stopTimers(master: Master): void {
  master.allocator[Symbol.dispose]();
  for (const agent of master.agents.values()) agent.pinger[Symbol.dispose]();
  for (const { timer } of master.recovered.values()) timer[Symbol.dispose]();
  for (const offer of master.offers.values()) offer.timeout?.[Symbol.dispose]();
  for (const framework of master.frameworks.values()) {
    framework.failover?.[Symbol.dispose]();
    framework.session?.heartbeat[Symbol.dispose]();
  }
}

function newMaster(options: MasterOptions): Master {
  const { clock, random } = options;
  const frameworks: Master['frameworks'] = new Map();
  const agents: Master['agents'] = new Map();
  const batch = new OfferBatch();
  const registry = new Registry(options.workDir);
  const allocator = new Allocator(
    {
      agents,
      frameworks,
      mayOffer: (agent) => !registry.isDeactivated(agent.id),
      get weights() {
        return registry.weights;
      },
      get quota() {
        return registry.quota;
      },
    },
    { clock, random, intervalMs: options.allocationIntervalMs, delayMs: options.allocationDelayMs },
    (framework, agent, role, bag) => batch.add(master, makeOffer(master, framework, agent, role, bag)),
    () => {
      batch.send();
      sendInverseOffers(master);
    },
  );
  const id = random.uuid();
  const master: Master = {
    id,
    info: masterInfo(id, options.host, options.port),
    options,
    startedAt: clock.now(),
    electedAt: clock.now(),
    leadership: options.zk === undefined ? options.leadership : { leader: undefined },
    frameworks,
    completed: new Map(),
    agents,
    recovered: new Map(),
    offers: new Map(),
    registry,
    allocator,
    operators: new OperatorFeed(clock, options.heartbeatIntervalMs),
    calls: new Map(),
    nextFramework: 0,
    nextAgent: 0,
    nextOffer: 0,
  };
  return master;
}

function awaitAgentsOfRegistry(master: Master): void {
  const { clock, agentReregisterTimeoutMs } = master.options;
  for (const info of master.registry.admitted) {
    const id = info.id!.value;
    const timer = clock.timeout(() => markRecoveredUnreachable(master, id), agentReregisterTimeoutMs);
    master.recovered.set(id, { info, timer });
  }
}

/** `ip` is the address in network byte order, read as a little-endian number. */
function masterInfo(id: string, host: string, port: number): MasterInfo & { readonly capabilities: readonly object[] } {
  const octets = host.split('.').map(Number);
  return {
    id,
    ip: Buffer.from(octets.length === 4 ? octets : [127, 0, 0, 1]).readUInt32LE(),
    port,
    pid: `master@${host}:${port}`,
    hostname: host,
    version: mesosVersion,
    address: { hostname: host, ip: host, port },
    capabilities: [{ type: 'AGENT_UPDATE' }, { type: 'AGENT_DRAINING' }, { type: 'QUOTA_V2' }],
  };
}

async function route(master: Master, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0]!.replace(/^\/master(?=\/)/, '');
  switch (path) {
    case '/redirect':
      isRedirected(master, '', response);
      return;
    case '/api/v1/scheduler':
      return schedulerApi(master, request, response);
    case '/api/v1':
      return operatorApi(master, request, response);
    case registrationPath:
      return isRedirected(master, path, response) ? undefined : register(master, request, response);
    case callsPath:
      if (isRedirected(master, path, response)) return;
      agentCalls(master, (await readCall(request, response)) as AgentCalls);
      return replyEmpty(response, 202);
    case '/health':
    case '/livez':
    case '/readyz':
      return replyEmpty(response, 200);
    case '/state':
      return isRedirected(master, path, response) ? undefined : replyJson(response, oldState(master));
    case '/metrics':
      return replyText(response, 200, metrics(master));
    default:
      return replyText(response, 404, '404 Not Found.');
  }
}

async function register(master: Master, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const registration = (await readCall(request, response)) as Registration;
  let closed = () => {};
  const stream = openStream<MasterMessage>(response, () => closed());
  closed = registerAgent(master, registration, stream);
}

function metrics(master: Master): string {
  const tasks = [...master.frameworks.values()].reduce((sum, framework) => sum + framework.tasks.size, 0);
  const gauges: [name: string, value: number][] = [
    ['mesos_local_agents', master.agents.size],
    ['mesos_local_frameworks', master.frameworks.size],
    ['mesos_local_tasks', tasks],
    ['mesos_local_offers', master.offers.size],
  ];
  const calls = [...master.calls].map(([type, count]) => `mesos_local_calls_total{type="${type}"} ${count}\n`);
  return [
    ...gauges.map(([name, value]) => `# TYPE ${name} gauge\n${name} ${value}\n`),
    ...['# TYPE mesos_local_calls_total counter\n', ...calls],
  ].join('');
}

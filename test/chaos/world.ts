/**
 * A whole installation in one process, under a virtual clock: API in memory, controllers, two cluster servers of which one leads, a
 * master, agents, executors, imitated hosts. No sockets, no real timers; whatever happens follows from the seed.
 */
import { createHash, type Hash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runControllers } from '#controllers/main.ts';
import { defaultLeaseTimes, lead } from '#controllers/runtime/leader.ts';
import { runClusterServer } from '#controllers/scheduler/server.ts';
import { coreKinds, Lease } from '#lib/api/core.ts';
import { Cluster, factoryKinds, Image, Subnet } from '#lib/api/generated/index.ts';
import { clusterServerLease, publicNamespace, systemNamespace } from '#lib/api/names.ts';
import { type MemoryApi, memoryClient } from '#lib/client/memory-client.ts';
import type { Clock } from '#lib/std/clock.ts';
import { type Log, silentLog } from '#lib/std/log.ts';
import { type Random, seededRandom } from '#lib/std/random.ts';
import type { Connect } from '#mesos/http.ts';
import type { Leadership } from '#mesos/local/master/leadership.ts';
import { startMaster } from '#mesos/local/master/master.ts';
import { RegistryLostError } from '#mesos/local/master/registry.ts';
import { type OperatorClient, operatorClient } from '#mesos/operator.ts';
import { applyDefaults } from '../crd-defaults.ts';
import { promisesOnly, VirtualClock } from '../virtual-clock.ts';
import { type ApiWeather, apiFor, clearSky } from './api.ts';
import { imageDigest, RealHost, type Witness } from './host.ts';
import { HostLinks } from './host-links.ts';
import { HostProcesses } from './host-processes.ts';
import { Life } from './life.ts';
import { type Ears, Network, type Tampering } from './network.ts';

const apiVersion = 'computefactory.io/v1alpha1';
/** Renewed less often than by default: leases were a third of all that happens. */
const times = { ...defaultLeaseTimes, retryMs: 5_000 };
/** For the same reason nobody collects them here. */
const collected = [...coreKinds, ...factoryKinds].filter((kind) => kind.kind !== Lease.kind);
export const tenants = ['tenant-a', 'tenant-b'] as const;
export const clusterName = 'lab';

export interface WorldOptions {
  readonly seed: number;
  readonly hosts: number;
  readonly tampering: Tampering;
  readonly ears: Ears;
  readonly witness: Witness;
}

interface MasterProcess {
  readonly life: Life;
  /** Who leads, as this one believes. */
  readonly leadership: Leadership;
}

/** The clock of a master, which ends where it learns that it may not write its registry any more. */
function untilRegistryLost({ clock, kill }: { readonly clock: Clock; readonly kill: () => void }): Clock {
  const orEnd = (callback: () => void) => () => {
    try {
      callback();
    } catch (error) {
      if (!(error instanceof RegistryLostError)) throw error;
      kill();
    }
  };
  return { ...clock, timeout: (callback, delayMs) => clock.timeout(orEnd(callback), delayMs) };
}

export class World implements Disposable {
  readonly clock = new VirtualClock(promisesOnly());
  readonly random: Random;
  readonly api: MemoryApi;
  readonly network: Network;
  readonly links: HostLinks;
  readonly directory: string;
  readonly hosts: readonly HostProcesses[];
  /** How anybody else reaches Mesos. */
  readonly connect: Connect;
  readonly operator: OperatorClient;
  readonly masterUrls = ['http://10.0.0.1:5050', 'http://10.0.0.2:5050'] as const;
  readonly weather: ApiWeather = clearSky();
  /** What went wrong that must not: the first is the news. */
  readonly failures: string[] = [];
  readonly #trace: Hash = createHash('sha256');
  readonly #lives = new Set<Life>();
  #seeds: number;
  #open = true;
  /** By index of their URL. */
  readonly masters: (MasterProcess | undefined)[] = [];
  /** Index of the master that was elected last. */
  #elected = 0;
  /** Times that a master was elected: each begins with the registry of the one before. */
  #terms = 0;
  /** Hosts that have not heard of the present leader yet, with the URL that they go to. */
  readonly #mistaken = new Map<string, string>();
  /** A master that does not know that another was elected. */
  #mistakenLeader: Life | undefined;
  readonly servers: (Life | undefined)[] = [];
  controllers: Life | undefined;
  /** Tasks whose executor lost its journal. */
  readonly forgotten = new Set<string>();

  constructor({ seed, hosts, tampering, ears, witness }: WorldOptions) {
    this.random = seededRandom(seed);
    this.#seeds = seed * 7919;
    this.directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'cf-chaos-'));
    const { clock } = this;
    this.api = memoryClient({
      ...{ clock, random: seededRandom(seed + 1), admit: applyDefaults, kinds: () => collected },
      namespaces: [systemNamespace, publicNamespace, ...tenants],
    });
    this.network = new Network(
      clock,
      seededRandom(seed + 2),
      {
        request: (from, to, path, body) => {
          this.trace(`${from} > ${to} ${path} ${body}`);
          return tampering.request(from, to, path, body);
        },
        chunk: (from, to, chunk) => {
          this.trace(`${from} > ${to} ${chunk.toString()}`);
          return tampering.chunk(from, to, chunk);
        },
      },
      ears,
    );
    this.links = new HostLinks(this.network, clock, seededRandom(seed + 3));
    this.connect = this.network.connectFrom(this.newLife('operator/1'));
    this.operator = operatorClient({ masters: this.masterUrls, clock, connect: this.connect });
    this.hosts = Array.from({ length: hosts }, (_, index) => {
      const host = new RealHost(`h${index + 1}`, clock, seededRandom(seed + 10 + index), witness);
      return new HostProcesses(this, host, `10.0.1.${index + 1}`);
    });
  }

  [Symbol.dispose](): void {
    this.#open = false;
    for (const life of [...this.#lives]) life.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Everything that is said on the network, with its time, adds up to this. */
  get traceHash(): string {
    return this.#trace.copy().digest('hex');
  }

  trace(line: string): void {
    this.#trace.update(`${this.clock.now()} ${line}\n`);
  }

  failed(what: string): void {
    this.failures.push(`${new Date(this.clock.now()).toISOString().slice(11, 23)} ${what}`);
  }

  newLife(name: string): Life {
    const life = new Life(name, this.clock, this.#seeds++);
    this.#lives.add(life);
    life.onEnd(() => this.#lives.delete(life));
    return life;
  }

  /** What a process has to say; `CF_CHAOS_LOG` shows it. */
  logOf(life: Life): Log {
    if (!process.env.CF_CHAOS_LOG) return silentLog;
    const say = (level: string) => (message: string, fields?: object) => {
      if (level === 'debug' || life.dead) return;
      console.log(
        new Date(this.clock.now()).toISOString().slice(11, 23),
        life.name,
        level,
        message,
        JSON.stringify(fields ?? {}),
      );
    };
    const log: Log = {
      debug: say('debug'),
      info: say('info'),
      warn: say('warn'),
      error: say('error'),
      child: () => log,
    };
    return log;
  }

  async start(): Promise<void> {
    await this.#objects();
    this.startMasters();
    for (const host of this.hosts) host.startAgent();
    this.startControllers();
    for (const index of [0, 1]) this.startServer(index);
  }

  async #objects(): Promise<void> {
    const { api } = this;
    await api.create(Cluster, {
      ...{ apiVersion, kind: 'Cluster', metadata: { name: clusterName } },
      spec: {
        ...{ masters: this.masterUrls, role: 'computefactory', failoverTimeout: '168h', unschedulable: false },
        executor: { command: '/usr/bin/factory-executor', cores: '0.5', memory: '512Mi' },
      },
    });
    for (const tenant of tenants) await this.#tenant(tenant);
  }

  async #tenant(namespace: string): Promise<void> {
    const { api } = this;
    const image = await api.create(Image, {
      ...{ apiVersion, kind: 'Image', metadata: { name: 'debian', namespace } },
      spec: { source: { file: { path: 'debian.qcow2' } }, osType: 'Linux' } as never,
    });
    const known = { digest: imageDigest, format: 'qcow2', virtualSize: 2 ** 30 } as const;
    await api.updateStatus(Image, {
      ...image,
      status: { phase: 'Ready', ...known, clusters: [{ name: clusterName, phase: 'Ready', ...known }] },
    });
    await api.create(Subnet, {
      ...{ apiVersion, kind: 'Subnet', metadata: { name: 'net', namespace } },
      spec: { cidr: '10.66.0.0/24', releaseCooldown: '1m' } as never,
    });
  }

  get leader(): Life | undefined {
    const life = this.masters[this.#elected]?.life;
    return life?.dead ? undefined : life;
  }

  leaderSeenBy(hostname: string): string {
    return this.#mistaken.get(hostname) ?? this.masterUrls[this.#elected]!;
  }

  /** Somebody leads, and the other one stands by. For `recoveryMs` the leader answers 503. */
  startMasters(recoveryMs = 0): void {
    if (!this.leader) this.elect(this.#elected, recoveryMs);
    const other = 1 - this.#elected;
    if (this.masters[other]?.life.dead ?? true)
      this.#startMaster(other, join(this.directory, `standby-${this.#terms}`), 0, this.#elected);
  }

  /** A new process leads from now on, with what the registry has. The one before ends, if it knows. */
  elect(index: number, recoveryMs = 0, knows = true): void {
    if (knows) this.leader?.kill();
    this.masters[index]?.life.kill();
    const [before, now] = [this.#registryOf(this.#terms), this.#registryOf(++this.#terms)];
    mkdirSync(now);
    if (existsSync(before)) cpSync(before, now, { recursive: true });
    this.#elected = index;
    this.#startMaster(index, now, recoveryMs, index);
    for (const each of this.masters) if (each !== undefined) each.leadership.leader = this.masterUrls[index];
  }

  /**
   * Another master is elected, and the old one and the hosts in `mistaken` do not know it: both lead. Until it ends: the log of the
   * registry takes nothing from an old leader, which ends by its first try to write there. Calling what this returns ends it.
   */
  splitMasters(mistaken: readonly string[]): () => void {
    const old = this.masters[this.#elected];
    if (!old || old.life.dead) return () => undefined;
    const registry = join(this.#registryOf(this.#terms), 'registry.json');
    const url = this.masterUrls[this.#elected]!;
    this.elect(1 - this.#elected, 0, false);
    writeFileSync(registry, JSON.stringify({ ...JSON.parse(readFileSync(registry, 'utf8')), owner: 'the new leader' }));
    old.leadership.leader = url;
    for (const hostname of mistaken) this.#mistaken.set(hostname, url);
    for (const { host } of this.hosts) if (!mistaken.includes(host.hostname)) this.#leaveMaster(old, host.hostname);
    old.life.onEnd(() => this.#mistaken.clear());
    this.#mistakenLeader = old.life;
    return () => old.life.kill();
  }

  /** The faults are over: whoever follows such a master hears of the other. */
  endSplit(): void {
    if (this.#mistakenLeader?.dead === false) this.#mistakenLeader.kill();
  }

  #leaveMaster({ life }: MasterProcess, hostname: string): void {
    this.network.reset(life.name.split('/', 1)[0]!, hostname);
  }

  #registryOf(term: number): string {
    return join(this.directory, `registry-${term}`);
  }

  #startMaster(index: number, workDir: string, recoveryMs: number, leader: number): void {
    const life = this.newLife(`master${index}/1`);
    const leadership: Leadership = { leader: this.masterUrls[leader] };
    this.masters[index] = { life, leadership };
    startMaster({
      ...{ host: `10.0.0.${index + 1}`, port: 5050, workDir, recoveryMs, leadership },
      ...{ serve: this.network.serveIn(life), random: life.random, log: this.logOf(life) },
      clock: untilRegistryLost({ clock: life.clock, kill: () => life.kill() }),
    }).then(
      ({ lost }) => lost.then(() => life.kill()),
      (error: unknown) => this.failed(`A master did not start: ${String(error)}`),
    );
  }

  /** One of the candidates; it is started again when it ends, as by systemd. */
  startServer(index: number): void {
    const life = this.newLife(`server${index}/1`);
    this.servers[index] = life;
    life.identity = `${life.name}-${life.random.uuid()}`;
    const client = apiFor(life, this.api, this.weather);
    const common = { client, clock: life.clock, random: life.random, log: this.logOf(life) };
    const leader = { ...common, name: clusterServerLease(clusterName), namespace: systemNamespace, times };
    const work = (signal: AbortSignal, isLeading: () => boolean) =>
      runClusterServer(
        {
          ...{ ...common, isLeading },
          ...{ cluster: clusterName, installation: 'installation-1', connect: this.network.connectFrom(life) },
        },
        signal,
      );
    this.#run(
      life,
      (signal) => lead({ ...leader, identity: life.identity }, signal, work),
      () => this.startServer(index),
    );
  }

  startControllers(): void {
    const life = this.newLife('controllers/1');
    this.controllers = life;
    const client = apiFor(life, this.api, this.weather);
    const common = { clock: life.clock, random: life.random, log: this.logOf(life) };
    const options = { client, ...common, identity: `controllers-${life.random.uuid()}`, times };
    this.#run(
      life,
      (signal) => runControllers(options, signal),
      () => this.startControllers(),
    );
  }

  #run(life: Life, program: (signal: AbortSignal) => Promise<void>, again: () => void): void {
    life.onEnd(() => this.#open && this.clock.timeout(again, 2_000));
    const ended = (error?: unknown) => {
      this.trace(`${life.name} ends: ${String(error ?? 'by itself')}`);
      life.kill();
    };
    program(new AbortController().signal).then(() => ended(), ended);
  }
}

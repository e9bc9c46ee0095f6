/**
 * A whole installation in one process, under a virtual clock: API in memory, controllers, two cluster servers of which one leads, a
 * master, agents, executors, imitated hosts. No sockets, no real timers; whatever happens follows from the seed.
 */
import { createHash, type Hash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runControllers } from '#controllers/main.ts';
import { lead } from '#controllers/runtime/leader.ts';
import { runClusterServer } from '#controllers/scheduler/server.ts';
import { subnetController } from '#controllers/subnet/controller.ts';
import { virtualMachineController } from '#controllers/virtualmachine/controller.ts';
import { vmOperationController } from '#controllers/vmoperation/controller.ts';
import { vmPoolController } from '#controllers/vmpool/controller.ts';
import { Cluster, Image, Subnet } from '#lib/api/generated/index.ts';
import { clusterServerLease, systemNamespace } from '#lib/api/names.ts';
import { type MemoryApi, memoryClient } from '#lib/client/memory-client.ts';
import { type Log, silentLog } from '#lib/std/log.ts';
import { type Random, seededRandom } from '#lib/std/random.ts';
import { startMaster } from '#mesos/local/master/master.ts';
import { applyDefaults } from '../crd-defaults.ts';
import { promisesOnly, VirtualClock } from '../virtual-clock.ts';
import { type ApiWeather, apiFor, clearSky } from './api.ts';
import { imageDigest, RealHost, type Witness } from './host.ts';
import { HostProcesses } from './host-processes.ts';
import { Life } from './life.ts';
import { Network, type Tampering } from './network.ts';

const apiVersion = 'computefactory.io/v1alpha1';
export const namespace = 'default';
export const clusterName = 'lab';

export interface WorldOptions {
  readonly seed: number;
  readonly hosts: number;
  readonly tampering: Tampering;
  readonly witness: Witness;
}

export class World implements Disposable {
  readonly clock = new VirtualClock(promisesOnly());
  readonly random: Random;
  readonly api: MemoryApi;
  readonly network: Network;
  readonly directory: string;
  readonly hosts: readonly HostProcesses[];
  readonly masterUrl = 'http://10.0.0.1:5050';
  readonly hostResources = 'cpus:8.5;mem:16384;disk:100000';
  readonly weather: ApiWeather = clearSky();
  /** What went wrong that must not: the first is the news. */
  readonly failures: string[] = [];
  readonly #trace: Hash = createHash('sha256');
  readonly #lives = new Set<Life>();
  #seeds: number;
  #open = true;
  master: Life | undefined;
  readonly servers: (Life | undefined)[] = [];
  controllers: Life | undefined;

  constructor({ seed, hosts, tampering, witness }: WorldOptions) {
    this.random = seededRandom(seed);
    this.#seeds = seed * 7919;
    this.directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'cf-chaos-'));
    const { clock } = this;
    this.api = memoryClient({ clock, random: seededRandom(seed + 1), admit: applyDefaults });
    this.network = new Network(clock, seededRandom(seed + 2), {
      request: (from, to, path, body) => {
        this.trace(`${from} > ${to} ${path} ${body}`);
        return tampering.request(from, to, path, body);
      },
      chunk: (from, to, chunk) => {
        this.trace(`${from} > ${to} ${chunk.toString()}`);
        return tampering.chunk(from, to, chunk);
      },
    });
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
    this.startMaster();
    for (const host of this.hosts) host.startAgent();
    this.startControllers();
    for (const index of [0, 1]) this.startServer(index);
  }

  async #objects(): Promise<void> {
    const { api } = this;
    await api.create(Cluster, {
      ...{ apiVersion, kind: 'Cluster', metadata: { name: clusterName } },
      spec: {
        ...{ masters: [this.masterUrl], role: 'computefactory', failoverTimeout: '168h', unschedulable: false },
        executor: { command: '/usr/bin/factory-executor', cores: '0.5', memory: '512Mi' },
      },
    });
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

  startMaster(): void {
    if (this.master && !this.master.dead) return;
    const life = this.newLife('master/1');
    this.master = life;
    startMaster({
      ...{ host: '10.0.0.1', port: 5050, workDir: join(this.directory, 'master') },
      ...{ serve: this.network.serveIn(life), clock: life.clock, random: life.random, log: this.logOf(life) },
    }).catch((error: unknown) => this.failed(`The master did not start: ${String(error)}`));
  }

  /** One of the candidates; it is started again when it ends, as by systemd. */
  startServer(index: number): void {
    const life = this.newLife(`server${index}/1`);
    this.servers[index] = life;
    const client = apiFor(life, this.api, this.weather);
    const common = { client, clock: life.clock, random: life.random, log: this.logOf(life) };
    const leader = { ...common, name: clusterServerLease(clusterName), namespace: systemNamespace };
    const work = (signal: AbortSignal) =>
      runClusterServer(
        {
          ...common,
          ...{ cluster: clusterName, installation: 'installation-1', connect: this.network.connectFrom(life) },
        },
        signal,
      );
    this.#run(
      life,
      (signal) => lead({ ...leader, identity: `${life.name}-${life.random.uuid()}` }, signal, work),
      () => this.startServer(index),
    );
  }

  startControllers(): void {
    const life = this.newLife('controllers/1');
    this.controllers = life;
    const client = apiFor(life, this.api, this.weather);
    const factories = [vmPoolController, virtualMachineController, subnetController, vmOperationController];
    const common = { clock: life.clock, random: life.random, log: this.logOf(life) };
    const options = { client, ...common, factories, identity: `controllers-${life.random.uuid()}` };
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

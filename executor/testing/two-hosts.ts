/**
 * Two imitated hosts in one process under a clock of its own, with what an executor has of live migration on each. A worker can be killed at any
 * of its steps: before and after each call of its hypervisor, each write of its journal, and each thing that it says to the other host.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { access, mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrationToken } from '#lib/api/host-endpoint.ts';
import type { MachineLaunch, Termination } from '#lib/api/launch.ts';
import type { MachineReport, MigrateOrder } from '#lib/api/messages.ts';
import { machineTaskId } from '#lib/api/names.ts';
import type { Clock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { createOpener } from '#lib/std/sealed-box.ts';
import { decodeData } from '#mesos/bytes.ts';
import { isTerminal, type TaskStatus } from '#mesos/types.ts';
import { idle, sleepOn, type VirtualClock } from '#test/virtual-clock.ts';
import type { HostDevices, Hypervisor } from '../hypervisor.ts';
import { imageStore } from '../images/store.ts';
import { Journal } from '../journal/journal.ts';
import type { MachineState } from '../machine/state.ts';
import { Machines } from '../machines.ts';
import { Arrivals } from '../migration/arrivals.ts';
import { Departures } from '../migration/departures.ts';
import { MemoryNetwork } from '../migration/memory-peers.ts';
import type { MigrationPeer } from '../migration/peers.ts';
import { Reporter } from '../reporter.ts';
import type { SimDomain } from '../sim/domain.ts';
import { openSim, type SimHypervisor } from '../sim/hypervisor.ts';
import { DiskUse } from '../snapshots/disk-use.ts';
import { digest, machineLaunch } from './world.ts';

/** A moment of a worker: `what` is done or was done a moment ago. */
export interface Moment {
  readonly host: 'source' | 'destination';
  readonly what: string;
}

/** Called at each; may kill the worker, or throw. */
export type OnMoment = (world: TwoHosts, moment: Moment, worker: Worker) => void;

const never = new Promise<never>(() => undefined);

/** What a process does ends with it: its calls do not return, its timers do not fire, nobody reaches it. */
class Life {
  isOver = false;
  readonly ended = Promise.withResolvers<never>();
  readonly #real: Clock;
  readonly clock: Clock;

  constructor(clock: Clock) {
    this.#real = clock;
    this.ended.promise.catch(() => undefined);
    this.clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      timeout: (callback, ms) => this.#real.timeout(() => this.isOver || callback(), ms),
      sleep: async (ms, signal) => await sleepOn(this.clock, ms, signal),
    };
  }

  end(): void {
    this.isOver = true;
    this.ended.reject(new Error('Connection reset by peer'));
  }
}

export class Worker {
  readonly host: TwoHost;
  readonly life: Life;
  readonly machines: Machines;
  readonly hypervisor: SimHypervisor;
  readonly endpoint: { readonly url: string; readonly token: string; readonly certificateSha256: string };
  readonly #journal: Journal;
  readonly #devices: HostDevices;
  readonly #leave: Disposable;
  readonly #departures: Departures;
  readonly #arrivals: Arrivals;

  constructor(host: TwoHost, world: TwoHosts) {
    this.host = host;
    this.life = new Life(world.clock);
    const { clock } = this.life;
    const { root } = host;
    const random = seededRandom(world.moments.length + 1);
    const sim = openSim({ root, bootMs: 10, moveMs: 800, agents: false, clock, random, log: silentLog });
    this.hypervisor = sim.hypervisor;
    this.#devices = sim.devices;
    this.#journal = new Journal(join(root, 'journal.db'), 'life-1');
    const hear = (status: TaskStatus): void => {
      host.hear(status);
      if (status.uuid) this.#journal.acknowledge(status.task_id.value, status.uuid);
    };
    for (const status of this.#journal.unacknowledged().updates) hear(status);
    const at = (what: string) => world.at({ host: host.name, what }, this);
    const call = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
      at(`before ${what}`);
      if (this.life.isOver) return await never;
      const done = await work().then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      );
      if (!this.life.isOver) at(`after ${what}`);
      if (this.life.isOver) return await never;
      if ('error' in done) throw done.error;
      return done.value;
    };
    const wrapped = <T extends object>(target: T, name: string): T =>
      new Proxy(target, {
        get: (_, key) => {
          const value = Reflect.get(target, key) as unknown;
          if (key === 'moves') return wrapped(value as object, 'moves');
          if (typeof value !== 'function' || typeof key !== 'string') return value;
          const method = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
          const work = async (...args: unknown[]) => await world.busy(key, async () => await method(...args));
          // Looks are as many as there is time.
          if (['get', 'list', 'backings', 'owners', 'find', 'places'].includes(key))
            return key === 'places' ? method : work;
          return async (...args: unknown[]) => await call(`${name}.${key}`, async () => await work(...args));
        },
      });
    const hypervisor: Hypervisor = wrapped(sim.hypervisor, 'hypervisor');
    const devices: HostDevices = wrapped({ ...sim.devices }, 'devices');
    const journal = new Proxy(this.#journal, {
      get: (target, key) => {
        const value = Reflect.get(target, key) as unknown;
        if (typeof value !== 'function') return value;
        const method = value.bind(target) as (...args: unknown[]) => unknown;
        if (key !== 'save' && key !== 'accept') return method;
        return (...args: unknown[]) => {
          const change = args.find((each) => typeof each === 'object' && each !== null && 'state' in each);
          const { name } = (change as { readonly state: MachineState }).state.phase;
          at(`before journal of ${name}`);
          if (this.life.isOver) throw new Error('Killed');
          method(...args);
          at(`after journal of ${name}`);
          if (this.life.isOver) throw new Error('Killed');
        };
      },
    });
    const reporter = new Reporter({
      ...{ journal, executorId: 'e', clock, random, changed: () => undefined },
      send: (status) => {
        if (!this.life.isOver) hear(status);
      },
    });
    const told = async (what: keyof MigrationPeer, when: string): Promise<void> => {
      at(`${when} ${what}`);
      if (this.life.isOver) await never;
    };
    const peers = world.network.peers({
      request: async (what) => await told(what, 'request'),
      answer: async (what) => await told(what, 'answer'),
    });
    const machines = () => this.machines;
    this.#arrivals = new Arrivals({ machines, peers, clock, log: silentLog });
    this.#departures = new Departures({
      ...{ moves: hypervisor.moves, peers, machines, usesDisk: () => world.isDiskUsed, clock, random, log: silentLog },
    });
    const tools = {
      ...{ hypervisor, devices, root, departures: this.#departures, use: new DiskUse() },
      images: wrapped(imageStore(world.imageStore, clock), 'images'),
      requireTime: () => {
        if (host.isFenced) throw new Error('Too little time is left');
      },
    };
    const fences = {
      ...{ begin: () => undefined, resume: () => undefined, end: () => undefined, reportOf: () => undefined },
      isOver: () => host.isFenced,
    };
    this.machines = new Machines({
      ...{ journal, reporter, tools, departures: this.#departures, opener: createOpener(), fences, clock },
      log: silentLog,
      cleaned: async () => undefined,
      fatal: (error) => {
        if (!this.life.isOver) world.problems.push(`${host.name}: ${String(error)}`);
      },
    });
    const reached = this.#reachable();
    const joined = world.network.join(reached);
    this.#leave = joined;
    this.endpoint = joined.endpoint;
    const looks = (): void => {
      for (const uid of [world.uid]) this.machines.hint(uid);
      clock.timeout(looks, 1_000);
    };
    looks();
  }

  /** Whoever waits for an answer of a process that dies hears that it is gone. */
  #reachable(): Pick<Arrivals, 'at'> {
    return {
      at: (uid, id) =>
        new Proxy(this.#arrivals.at(uid, id), {
          get:
            (peer, key) =>
            async (...args: unknown[]) =>
              await Promise.race([
                (Reflect.get(peer, key) as (...all: unknown[]) => Promise<unknown>)(...args),
                this.life.ended.promise,
              ]),
        }),
    };
  }

  /** kill -9. */
  kill(): void {
    if (this.life.isOver) return;
    this.life.end();
    this.#leave[Symbol.dispose]();
    this.#journal[Symbol.dispose]();
    // The kernel closes what it had open: what it received ends, and nothing is sent any more.
    void this.hypervisor[Symbol.asyncDispose]();
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    await this.#departures[Symbol.asyncDispose]();
    await this.machines[Symbol.asyncDispose]();
    await this.#arrivals[Symbol.asyncDispose]();
    this.kill();
  }

  report(uid: string): MachineReport | undefined {
    return this.life.isOver ? undefined : this.machines.reports().find((each) => each.uid === uid);
  }

  tasks(): readonly string[] {
    return this.#journal.tasks().map(({ taskId }) => taskId);
  }

  async owners(): Promise<readonly string[]> {
    return await this.#devices.owners();
  }
}

export class TwoHost {
  readonly name: Moment['host'];
  readonly root: string;
  isFenced = false;
  /** States that were told of each task, and how it ended. */
  readonly states = new Map<string, string[]>();
  readonly terminations = new Map<string, Termination>();

  constructor(name: Moment['host'], root: string) {
    this.name = name;
    this.root = root;
  }

  hear(status: TaskStatus): void {
    const { value } = status.task_id;
    this.states.set(value, [...(this.states.get(value) ?? []), status.state]);
    if (isTerminal(status.state) && status.data) this.terminations.set(value, decodeData(status.data) as Termination);
  }
}

export class TwoHosts implements AsyncDisposable {
  readonly clock: VirtualClock;
  readonly network = new MemoryNetwork(seededRandom(7));
  readonly uid = randomUUID();
  readonly migration = randomUUID();
  readonly moments: Moment[] = [];
  /** What must not be, as it was seen. */
  readonly problems: string[] = [];
  readonly imageStore: string;
  readonly #hosts: Readonly<Record<Moment['host'], TwoHost>>;
  readonly #workers: Partial<Record<Moment['host'], Worker>> = {};
  readonly #stack: AsyncDisposableStack;
  onMoment: OnMoment = () => undefined;
  #busy = 0;
  /** Of the source: a snapshot is being taken. */
  isDiskUsed = false;
  /** The cluster server tells nobody anything. */
  isSilent = false;

  private constructor(clock: VirtualClock, root: string, stack: AsyncDisposableStack) {
    this.clock = clock;
    this.imageStore = join(root, 'images');
    this.#stack = stack;
    this.#hosts = {
      source: new TwoHost('source', join(root, 'one')),
      destination: new TwoHost('destination', join(root, 'two')),
    };
  }

  static async open(clock: VirtualClock): Promise<TwoHosts> {
    const stack = new AsyncDisposableStack();
    const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), 'cf-')));
    const world = new TwoHosts(clock, path, stack);
    for (const directory of [world.imageStore, world.host('source').root, world.host('destination').root])
      await mkdir(directory);
    await writeFile(join(world.imageStore, digest), 'an image');
    for (const name of ['source', 'destination'] as const) world.start(name);
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of Object.values(this.#workers)) worker.kill();
    await this.clock.advance(1);
    await this.#stack.disposeAsync();
  }

  host(name: Moment['host']): TwoHost {
    return this.#hosts[name];
  }

  worker(name: Moment['host']): Worker {
    return this.#workers[name]!;
  }

  start(name: Moment['host']): void {
    this.#workers[name] = new Worker(this.#hosts[name], this);
  }

  at(moment: Moment, worker: Worker): void {
    this.moments.push(moment);
    this.#requireOneLife(moment);
    this.onMoment(this, moment, worker);
  }

  /** Work that needs files, and no time of this world. */
  async busy<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (what === 'send') return await work();
    this.#busy += 1;
    try {
      return await work();
    } finally {
      this.#busy -= 1;
    }
  }

  get lives(): readonly Moment['host'][] {
    return (['source', 'destination'] as const).filter((name) => this.domain(name)?.power === 'On');
  }

  /** As it really is. */
  domain(name: Moment['host']): SimDomain | undefined {
    const file = join(this.host(name).root, 'sim', 'domains', `${this.uid}.json`);
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as SimDomain) : undefined;
  }

  #requireOneLife(moment: Moment): void {
    if (this.#workers.source === undefined || this.#workers.destination === undefined) return;
    if (this.lives.length > 1) this.problems.push(`Two lives at ${moment.host} ${moment.what}`);
  }

  launches(): { readonly here: MachineLaunch; readonly there: MachineLaunch } {
    const here = machineLaunch(this.uid, { onGuestCrash: 'Restart' });
    const incoming = { migration: this.migration, from: 1, timeoutMs: 120_000 };
    return { here, there: { ...here, version: 7, attempt: 2, taskId: machineTaskId(this.uid, 2), incoming } };
  }

  launch(name: Moment['host'], launch: MachineLaunch): void {
    const info = { name: 'm', task_id: { value: launch.taskId }, agent_id: { value: name } };
    this.worker(name).machines.launch(info, launch);
  }

  order(): MigrateOrder {
    const { url, token, certificateSha256 } = this.worker('destination').endpoint;
    return {
      ...{ type: 'migrate', version: 1, id: this.migration, uid: this.uid, attempt: 1, timeoutMs: 60_000 },
      to: { hostname: 'two', url, certificateSha256, token: migrationToken(token, this.uid, this.migration) },
    };
  }

  /** So much time passes, in which the cluster server does what it does for a migration, and killed workers are followed by others. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 200) {
      await this.clock.advance(200);
      do {
        // Behind whatever files are being looked at now.
        await access(this.imageStore);
        await idle();
      } while (this.#busy > 0);
      for (const name of ['source', 'destination'] as const) if (this.worker(name).life.isOver) this.start(name);
      if (!this.isSilent) this.#tell();
      this.#requireOneLife({ host: 'source', what: 'while time passes' });
    }
  }

  /** What the cluster server says, by what it can know. */
  #tell(): void {
    const [source, destination] = [this.worker('source'), this.worker('destination')];
    const { here, there } = this.launches();
    const own = source.report(this.uid)?.migration;
    const other = destination.report(this.uid);
    const end = { type: 'migration-end', version: 1, id: this.migration, uid: this.uid, message: 'It failed' } as const;
    const isGone = this.host('destination').terminations.get(there.taskId)?.domainAbsent === true;
    if (isGone && own && own.state !== 'Failed') source.machines.endMigration({ ...end, gone: true });
    if (own?.state === 'Failed' && other) destination.machines.endMigration({ ...end, gone: false });
    if (other?.migration?.state === 'Receiving' && own === undefined) source.machines.migrate(this.order());
    if (other?.phase === 'Running' && source.report(this.uid)) source.machines.kill(here.taskId, 0);
  }
}

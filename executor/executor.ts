/**
 * The executor of one host: subscribes to the Mesos agent, and puts its parts together. It survives everything but a SHUTDOWN; and even
 * then the domains go on, because Mesos does not say whether an upgrade or the end is meant. What nobody wants any more is killed task
 * by task or cleaned up by order.
 */
import { basename, join } from 'node:path';
import { digestPattern } from '#lib/api/image-digests.ts';
import type { HostFacts, MachineReport, SchedulerMessage, StorageReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { createOpener, type Opener } from '#lib/std/sealed-box.ts';
import { ExecutorConnection, RecoveryTimeoutError } from '#mesos/executor.ts';
import type { ExecutorEnvironment } from '#mesos/executor-environment.ts';
import type { Connect } from '#mesos/http.ts';
import type { ExecutorEvent, TaskInfo } from '#mesos/types.ts';
import { GuestAgents } from './agent/watch-agents.ts';
import { type Claims, fileClaims } from './claim.ts';
import { cleanUp } from './cleanup.ts';
import type { ExecutorConfig } from './config.ts';
import { configuredFacts } from './configured-facts.ts';
import { startConsole } from './console/server.ts';
import { Fences } from './fence/fences.ts';
import { Heartbeats } from './heartbeat.ts';
import type { Host } from './host.ts';
import type { importImage } from './images/import.ts';
import { ImageKeeper } from './images/keeper.ts';
import { ImageTasks } from './images/tasks.ts';
import { Uploads } from './images/uploads.ts';
import { takeInventory } from './inventory.ts';
import { Journal, JournalBusyError } from './journal/journal.ts';
import { Machines } from './machines.ts';
import { parseLaunch, parseMessage } from './messages.ts';
import { Arrivals } from './migration/arrivals.ts';
import { Departures } from './migration/departures.ts';
import { refuseForgotten } from './migration/forgotten.ts';
import { httpsPeers } from './migration/https-peers.ts';
import type { MemoryEndpoint } from './migration/memory-peers.ts';
import type { MigrationPeers } from './migration/peers.ts';
import { clearSocketPlaces } from './migration/sockets.ts';
import { watchDomains } from './observer.ts';
import { Peers } from './peers.ts';
import type { Probes } from './probes/probes.ts';
import { watchHealth } from './probes/start.ts';
import { Reporter } from './reporter.ts';
import { DiskUse } from './snapshots/disk-use.ts';
import { Freezes } from './snapshots/freezes.ts';
import { DiskOrders } from './snapshots/orders.ts';
import { VolumeOrders } from './volumes/orders.ts';

export interface ExecutorOptions {
  readonly config: ExecutorConfig;
  readonly environment: ExecutorEnvironment;
  /** One life of the Mesos executor: the same for every worker that its supervisor starts. */
  readonly incarnation: string;
  /** Of the process above the worker. Those before 0.7 do not tell. */
  readonly supervisorVersion?: string | undefined;
  readonly host: Host;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly heartbeatMs?: number;
  /** How often all domains are looked at, whatever events say. */
  readonly lookMs?: number;
  /** How the agent is reached, if not over the network. */
  readonly connect?: Connect;
  /** Whose the host is. A file under the root unless told. */
  readonly claims?: Claims;
  /** How other hosts are reached, and reach this one, for live migration, if not over the network. */
  readonly migrations?: { readonly peers: MigrationPeers; join(arrivals: Arrivals): MemoryEndpoint };
  /** How images are imported, if not really. */
  readonly importImage?: typeof importImage;
  /** How what was sealed for this worker is opened, if not by a key of its own. */
  readonly opener?: Opener;
  /** Opens the journal; throws JournalBusyError while another worker has it. A file under the root unless told. */
  readonly openJournal?: (incarnation: string) => Journal;
}

const uidPattern = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** Why the executor ended by itself. */
export type End = 'Shutdown' | 'AgentGone' | 'Replaced' | 'Stopped';

/** An older worker leaves within about a second of the claim; one that is in the middle of a long step is waited for by the next try. */
const journalPatienceMs = 20_000;

/**
 * Runs until `signal` aborts, the agent orders a SHUTDOWN, or the agent stays away for longer than it promised; then not before all is off
 * that no guardian would switch off. Domains go on in each case. Throws if the journal is in use or cannot be written.
 */
export async function runExecutor(options: ExecutorOptions, signal: AbortSignal): Promise<End> {
  await using stack = new AsyncDisposableStack();
  const executor = await Executor.open(options, stack);
  return await executor.run(signal);
}

async function openJournal(options: ExecutorOptions, claims: Claims): Promise<Journal> {
  const { config, incarnation, clock } = options;
  const open = options.openJournal ?? ((life) => new Journal(join(config.root, 'journal.db'), life));
  claims.take(incarnation);
  const deadline = clock.monotonic() + journalPatienceMs;
  for (;;) {
    try {
      return open(incarnation);
    } catch (error) {
      if (!(error instanceof JournalBusyError) || clock.monotonic() > deadline) throw error;
    }
    await clock.sleep(200);
  }
}

class Executor {
  readonly #options: ExecutorOptions;
  readonly #journal: Journal;
  readonly #connection: ExecutorConnection;
  readonly #reporter: Reporter;
  readonly #machines: Machines;
  readonly #images: ImageTasks;
  readonly #imageKeeper: ImageKeeper;
  readonly #uploads: Uploads | undefined;
  readonly #agents: GuestAgents | undefined;
  readonly #probes: Probes | undefined;
  readonly #heartbeats: Heartbeats;
  readonly #fences: Fences;
  readonly #peers: Peers;
  readonly #volumes: VolumeOrders;
  readonly #disks: DiskOrders;
  readonly #end = new AbortController();
  #ended: End = 'Stopped';
  #fatal: unknown;
  #hostname: string | undefined;
  #facts: HostFacts | undefined;
  /** Clean-ups under way and waiting, and whose they are. */
  #cleaning: Promise<void> = Promise.resolve();
  readonly #toClean = new Set<string>();

  static async open(options: ExecutorOptions, stack: AsyncDisposableStack): Promise<Executor> {
    const { config, host, clock, log } = options;
    const { hypervisor } = host;
    const bootId = await host.bootId();
    const claims = options.claims ?? fileClaims(config.root, options.clock);
    const journal = stack.use(await openJournal(options, claims));
    let changed = (): void => undefined;
    const { consoleListen: listen, root, imageStore } = config;
    if (!options.migrations) await clearSocketPlaces(root);
    const peers = options.migrations?.peers ?? httpsPeers({ root, clock, log });
    const arrivals = new Arrivals({ machines: () => executor.#machines, peers, clock, log });
    // Where nobody can send, nothing comes.
    const uploads = listen
      ? stack.use(
          new Uploads({ imageStore, cluster: options.environment.frameworkId, changed: () => changed(), clock, log }),
        )
      : undefined;
    const serial =
      listen && uploads
        ? stack.use(await startConsole({ listen, root, hypervisor, uploads, arrivals, clock, log }))
        : undefined;
    const joined = options.migrations && stack.use(options.migrations.join(arrivals));
    const console = serial?.endpoint ?? joined?.endpoint;
    const parts = { options, journal, claims, bootId, console, uploads, hypervisor, peers };
    const executor = new Executor(parts, stack);
    stack.use(arrivals);
    changed = () => executor.#heartbeats.changed();
    return executor;
  }

  private constructor(
    parts: {
      options: ExecutorOptions;
      journal: Journal;
      claims: Claims;
      bootId: string;
      console: { url: string; token: string; certificateSha256: string } | undefined;
      uploads: Uploads | undefined;
      hypervisor: Host['hypervisor'];
      peers: MigrationPeers;
    },
    stack: AsyncDisposableStack,
  ) {
    const { options, journal, bootId, hypervisor } = parts;
    this.#uploads = parts.uploads;
    const { environment, clock, random, log, config } = options;
    const { devices, images } = options.host;
    this.#options = options;
    this.#journal = journal;
    const { connect } = options;
    this.#connection = new ExecutorConnection({ environment, clock, log, ...(connect ? { connect } : {}) });
    const reporter = new Reporter({
      journal,
      executorId: environment.executorId,
      clock,
      random,
      send: (status) => void this.#connection.update(status),
      changed: () => this.#heartbeats.changed(),
    });
    this.#reporter = reporter;
    const reachable = config.tunnelAddress !== undefined;
    this.#peers = stack.use(new Peers({ devices, reachable, changed: () => this.#heartbeats.changed(), clock, log }));
    this.#volumes = stack.use(
      new VolumeOrders({ volumes: devices.volumes, images, changed: () => this.#heartbeats.changed(), clock, log }),
    );
    const inUse = async () => await this.#digestsInUse();
    const changed = () => this.#heartbeats.changed();
    this.#imageKeeper = stack.use(
      new ImageKeeper({ images, cluster: environment.frameworkId, inUse, changed, clock, log }),
    );
    const opener = options.opener ?? createOpener();
    this.#fences = stack.use(
      new Fences({
        guard: options.host.guard(bootId),
        changed: () => this.#heartbeats.changed(),
        over: (uid) => this.#machines.hint(uid),
        ...{ clock, log },
      }),
    );
    const fences = this.#fences;
    const requireTime = (uid: string) => fences.requireTime(uid);
    const departures = new Departures({
      ...{ moves: hypervisor.moves, peers: parts.peers, machines: () => this.#machines },
      usesDisk: (uid) => this.#disks.uses(uid),
      ...{ clock, random, log },
    });
    const tools = {
      departures,
      hypervisor,
      devices: this.#peers.devices(),
      root: config.root,
      images,
      requireTime,
      use: new DiskUse(),
    };
    const fatal = (error: unknown) => this.#fail(error);
    const machines = () => this.#machines.reports().map((report) => this.#withGuest(report));
    this.#heartbeats = stack.use(
      new Heartbeats({
        everyMs: options.heartbeatMs ?? 10_000,
        hostname: () => this.#hostname,
        bootId,
        sealKey: opener.publicKey,
        supervisorVersion: options.supervisorVersion,
        facts: async () => await this.#askFacts(),
        machines,
        imports: () => this.#images.taskIds(),
        storage: () => this.#storage(),
        volumes: () => this.#volumes.report(),
        images: () => this.#imageKeeper.report(),
        uploads: () => parts.uploads?.report(),
        peers: () => this.#peers.inForce,
        operations: () => journal.operations(),
        inventory: async () => {
          const inventory = await takeInventory({ bootId, hypervisor, devices, images, machines, backings: inUse });
          fences.keep((uid) => this.#machines.has(uid) || inventory.domains.some((domain) => domain.uid === uid));
          return inventory;
        },
        fences,
        console: () => parts.console,
        send: async (data) => await this.#connection.message(data),
        clock,
        random,
        log,
      }),
    );
    options.host.storage?.onChange(() => this.#heartbeats.changed());
    this.#machines = stack.use(
      new Machines({
        ...{ journal, reporter, tools, departures, opener, fences, clock, log, fatal },
        cleaned: () => this.#cleaning,
      }),
    );
    stack.use(departures);
    const isExpected = (uid: string) => this.#machines.has(uid);
    stack.use(refuseForgotten({ hypervisor, isExpected, clock, log }));
    const everyMs = options.lookMs ?? 10_000;
    const freezes = new Freezes(clock);
    this.#disks = stack.use(
      new DiskOrders({
        ...{ journal, hypervisor, devices, images, imageStore: config.imageStore, use: tools.use, clock, log, fatal },
        freezes,
        machine: (uid) => this.#machines.stateOf(uid),
        changed: () => this.#heartbeats.changed(),
      }),
    );
    if (config.hypervisor === 'libvirt' || config.sim.agents) {
      const common = { hypervisor, freezes, changed: () => this.#heartbeats.changed(), clock, log };
      this.#agents = stack.use(new GuestAgents({ ...common, running: () => this.#machines.running(), everyMs }));
      const mounts = () => this.#volumes.report().mounts;
      this.#probes = stack.use(watchHealth({ ...common, devices, machines: () => this.#machines, mounts }));
    }
    this.#images = stack.use(
      new ImageTasks({
        ...{ journal, reporter, config, cluster: environment.frameworkId, clock, random, log, fatal },
        imported: () => this.#imageKeeper.lookNow(),
        ...(options.importImage ? { importImage: options.importImage } : {}),
      }),
    );
    stack.defer(async () => await this.#cleaning);
    const replaced = () => {
      log.warn('Another executor has taken this host: leaving, the domains go on');
      this.#finish('Replaced');
    };
    stack.use(parts.claims.watch(options.incarnation, replaced));
    const lost = () => this.#probes?.doubt();
    stack.use(watchDomains({ hypervisor, machines: this.#machines, lost, everyMs, clock, log }));
  }

  async run(signal: AbortSignal): Promise<End> {
    const handler = {
      unacknowledged: () => this.#journal.unacknowledged(),
      onEvent: (event: ExecutorEvent) => this.#on(event),
    };
    try {
      await this.#connection.run(handler, AbortSignal.any([signal, this.#end.signal]));
    } catch (error) {
      if (!(error instanceof RecoveryTimeoutError)) throw error;
      const { log } = this.#options;
      log.warn('The agent is gone: leaving, the domains go on', { reason: error.message });
      // Without a guardian nobody else would switch off what has to be off by then (selfFenceAfter).
      await this.#fences.relieved(AbortSignal.any([signal, this.#end.signal]));
      return 'AgentGone';
    }
    if (this.#fatal !== undefined) throw this.#fatal;
    return this.#ended;
  }

  /** Whoever runs on it is named as users know it. */
  #storage(): StorageReport | undefined {
    const report = this.#options.host.storage?.report();
    const nameOf = (uid: string) => this.#machines.nameOf(uid) ?? uid;
    return report && { ...report, message: report.message.replaceAll(uidPattern, nameOf) };
  }

  #withGuest(report: MachineReport): MachineReport {
    const [agent, readiness] = [this.#agents?.reportOf(report.uid), this.#probes?.reportOf(report.uid)];
    return { ...report, ...(agent ? { agent } : {}), ...(readiness ? { readiness } : {}) };
  }

  /** Asked of the disks, of the store for what is in it by itself, and of the journal for disks that are to be made. */
  async #digestsInUse(): Promise<readonly string[]> {
    const { devices, images } = this.#options.host;
    const [files, kept] = await Promise.all([devices.backings(), images.kept()]);
    const digests = files.map((path) => basename(path)).filter((name) => digestPattern.test(name));
    return [...new Set([...digests, ...kept, ...this.#machines.digests()])];
  }

  #finish(end: End): void {
    this.#ended = end;
    this.#end.abort();
  }

  #fail(error: unknown): void {
    this.#fatal ??= error;
    this.#end.abort();
  }

  async #askFacts(): Promise<HostFacts> {
    const { host, config } = this.#options;
    if (this.#facts) return this.#facts;
    const { migrates, ...facts } = await host.hypervisor.facts();
    // Others reach it at its endpoint.
    const isReached = config.consoleListen !== undefined || this.#options.migrations !== undefined;
    this.#facts = { ...facts, ...configuredFacts(config), ...(migrates && isReached && { migrates }) };
    return this.#facts;
  }

  #on(event: ExecutorEvent): void {
    const { log, environment } = this.#options;
    // What is still read after the decision to leave is not ours to act upon.
    if (this.#end.signal.aborted) return;
    switch (event.type) {
      case 'SUBSCRIBED':
        if (event.subscribed.agent_info.id?.value !== environment.agentId) {
          this.#leaveToOther(event.subscribed.agent_info.id?.value);
          return;
        }
        this.#hostname = event.subscribed.agent_info.hostname;
        log.info('Subscribed', { hostname: this.#hostname });
        // The agent may have lost every message since: say everything.
        this.#heartbeats.requestInventory();
        return;
      case 'LAUNCH':
        this.#launch(event.launch.task);
        return;
      case 'LAUNCH_GROUP':
        for (const task of event.launch_group.task_group.tasks) this.#refuseGroup(task);
        return;
      case 'KILL':
        this.#kill(event.kill.task_id.value, event.kill.kill_policy?.grace_period?.nanoseconds);
        return;
      case 'ACKNOWLEDGED':
        this.#journal.acknowledge(event.acknowledged.task_id.value, event.acknowledged.uuid);
        return;
      case 'MESSAGE':
        this.#message(event.message.data);
        return;
      case 'SHUTDOWN':
        log.warn('Ordered to shut down: leaving, the domains go on');
        this.#finish('Shutdown');
        return;
      case 'ERROR':
        log.error('The agent refuses us', { reason: event.error.message });
        return;
      case 'HEARTBEAT':
        return;
    }
  }

  /**
   * An agent that lost its memory has come back as another one, and takes us for the executor that it has just started under the same id.
   * What we took on here would be forgotten with this life.
   */
  #leaveToOther(agentId: string | undefined): void {
    this.#options.log.warn('The agent is another one now: leaving, the domains go on', { agentId });
    this.#finish('Replaced');
  }

  #launch(task: TaskInfo): void {
    // Said twice is heard once; what we had to say about it is sent anew by every SUBSCRIBE.
    if (this.#journal.has(task.task_id.value)) return;
    try {
      const launch = parseLaunch(task);
      if (launch.type === 'machine') this.#machines.launch(task, launch);
      else if (launch.type === 'look') this.#reporter.accept(task, { state: 'TASK_FINISHED', message: 'Looked' });
      else this.#images.launch(task, launch);
    } catch (error) {
      if (this.#journal.has(task.task_id.value)) throw error;
      this.#refuse(task, 'InvalidLaunch', `Cannot run task ${task.task_id.value}: ${messageOf(error)}`);
    }
  }

  #refuseGroup(task: TaskInfo): void {
    if (this.#journal.has(task.task_id.value)) return;
    this.#refuse(task, 'TaskGroupsUnsupported', 'This executor runs single tasks: use LAUNCH instead of LAUNCH_GROUP');
  }

  #refuse(task: TaskInfo, reason: string, message: string): void {
    this.#options.log.error('Refused a launch', { taskId: task.task_id.value, reason, message });
    this.#reporter.refuse(task, { class: 'Configuration', reason, message, terminal: true, domainAbsent: false });
  }

  #kill(taskId: string, graceNanoseconds: number | undefined): void {
    const graceMs = graceNanoseconds === undefined ? undefined : graceNanoseconds / 1e6;
    if (this.#machines.kill(taskId, graceMs) || this.#images.kill(taskId)) return;
    // It has ended: its terminal update is on its way or in the next SUBSCRIBE.
    if (this.#journal.has(taskId)) return;
    this.#options.log.warn('Told to kill a task that is not in the journal', { taskId });
    this.#reporter.disown(taskId, {
      class: 'Infrastructure',
      reason: 'TaskForgotten',
      message: 'The executor of this host knows nothing of the task: its journal was lost',
      terminal: false,
      domainAbsent: false,
    });
  }

  #message(data: string): void {
    let message: SchedulerMessage | undefined;
    try {
      message = parseMessage(data);
    } catch (error) {
      this.#options.log.warn('Ignored a message that is not JSON', { reason: messageOf(error) });
      return;
    }
    if (message) this.#obey(message);
    else this.#options.log.warn('Ignored a message of a form that this executor does not know');
  }

  #obey(message: SchedulerMessage): void {
    switch (message.type) {
      case 'operation':
        this.#machines.order(message);
        this.#heartbeats.changed();
        return;
      case 'disk':
        this.#disks.obey(message);
        return;
      case 'ack':
        this.#heartbeats.acknowledge(message);
        this.#journal.acknowledgeOperations(message.operations);
        return;
      case 'inventory':
        this.#heartbeats.requestInventory();
        return;
      case 'migrate':
        // Its disk is read: with the next repeat it may be free.
        if (!this.#disks.uses(message.uid)) this.#machines.migrate(message);
        return;
      case 'migration-end':
        this.#machines.endMigration(message);
        return;
      case 'peers':
        this.#peers.order(message);
        return;
      case 'images':
        this.#imageKeeper.order(message);
        return;
      case 'collect':
        this.#imageKeeper.collect(message);
        return;
      case 'drop-uploads':
        this.#dropUploads(message.uids);
        return;
      case 'policy':
        this.#machines.follow(message);
        return;
      case 'seed':
        this.#machines.seed(message);
        return;
      case 'volume':
        this.#volumes.obey(message);
        return;
      case 'volume-list':
        this.#volumes.lookFor(message);
        return;
      case 'cleanup':
        this.#queueCleanUp(message.uids);
        return;
    }
  }

  #dropUploads(uids: readonly string[]): void {
    const { log } = this.#options;
    void this.#uploads?.drop(uids).catch((error: unknown) => {
      log.warn('Cannot remove what was uploaded', { uids, reason: messageOf(error) });
    });
  }

  /** Orders are repeated until an inventory shows that they were carried out: what is in the queue is not queued again. */
  #queueCleanUp(ordered: readonly string[]): void {
    const uids = ordered.filter((uid) => !this.#toClean.has(uid));
    if (uids.length === 0) return;
    for (const uid of uids) this.#toClean.add(uid);
    this.#cleaning = this.#cleaning.then(async () => await this.#cleanUp(uids));
  }

  async #cleanUp(uids: readonly string[]): Promise<void> {
    const { host, log } = this.#options;
    try {
      await cleanUp({ ...host, isLive: (uid) => this.#machines.has(uid), log }, uids);
    } catch (error) {
      log.warn('Cannot clean up: the host does not answer', { reason: messageOf(error) });
    }
    for (const uid of uids) this.#toClean.delete(uid);
    this.#heartbeats.requestInventory();
  }
}

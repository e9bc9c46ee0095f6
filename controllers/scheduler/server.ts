/** The cluster server: its parts, how they wake each other, and what is done every so often. */
import { isDeepStrictEqual } from 'node:util';
import { Cluster } from '#lib/api/generated/cluster.ts';
import { Host } from '#lib/api/generated/host.ts';
import { Image } from '#lib/api/generated/image.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { VMOperation } from '#lib/api/generated/vmoperation.ts';
import { VMRestore } from '#lib/api/generated/vmrestore.ts';
import { VMSnapshot } from '#lib/api/generated/vmsnapshot.ts';
import { Volume } from '#lib/api/generated/volume.ts';
import { type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import type { Change } from '#lib/client/informer.ts';
import { createInformers, type Informers } from '#lib/client/informers.ts';
import type { Clock } from '#lib/std/clock.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { MesosAccess } from '#mesos/access.ts';
import { encodeData } from '#mesos/bytes.ts';
import type { Connect } from '#mesos/http.ts';
import { type OperatorClient, operatorClient } from '#mesos/operator.ts';
import { type FrameworkCall, SchedulerConnection } from '#mesos/scheduler.ts';
import { AgentDrains } from './agent-drains.ts';
import { AgentBook } from './agents.ts';
import { Breakers } from './breakers.ts';
import { clusterStatus } from './cluster-status.ts';
import { DiskOrderBook } from './disk-orders.ts';
import { ExecutorBook } from './executor-book.ts';
import { executorInfo, frameworkIdFor, frameworkInfo, type IdentifiedFramework, mastersOf } from './framework.ts';
import { Hosts } from './hosts.ts';
import { ImageFiles, type ImageFilesOptions } from './image-files.ts';
import { Imports } from './imports.ts';
import { type Latest, latest } from './latest.ts';
import { Ledger } from './ledger.ts';
import { Machines } from './machines.ts';
import { arrivalOf } from './migration.ts';
import { Migrations } from './migrations.ts';
import { type OfferKeeper, offerKeeper } from './offers.ts';
import { oneView } from './one-view.ts';
import { Orders } from './orders.ts';
import { defaultOrphanOptions, type OrphanOptions, Orphans } from './orphans.ts';
import { executorShare } from './overhead.ts';
import { Overlays } from './overlays.ts';
import { Placement } from './placement.ts';
import { Placing } from './placing.ts';
import { Prefetch, type PrefetchOptions } from './prefetch.ts';
import { type KnownTask, type Reconciliation, reconciliation } from './reconciliation.ts';
import { Seeds } from './seeds.ts';
import { clusterNamed, hostsOf, machinesFor, operationsFor, volumesOf } from './selections.ts';
import { sessionHandler } from './session.ts';
import { Silences } from './silences.ts';
import { Suspects } from './suspects.ts';
import { TaskBook } from './task-book.ts';
import { Ticker } from './ticker.ts';
import { Tombstones } from './tombstones.ts';
import { Uploads } from './uploads.ts';
import { straysPeriodMs, VolumeStrays } from './volume-strays.ts';
import { Volumes } from './volumes.ts';
import { Windows } from './windows.ts';
import type { World } from './world.ts';

export interface ClusterServerOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Name of the Cluster. */
  readonly cluster: string;
  /** uid of the namespace cf-system. */
  readonly installation: string;
  readonly orphans?: OrphanOptions;
  readonly imageFiles?: ImageFilesOptions;
  readonly prefetch?: PrefetchOptions;
  /** False once another one may lead, whatever has been heard of that. */
  readonly isLeading?: () => boolean;
  /** Credentials and certificates; without them everybody is let in, in clear text. */
  readonly mesos?: MesosAccess;
  /** How Mesos is reached, if not over the network. */
  readonly connect?: Connect;
}

const agentsMs = 15_000;
const silentMs = 5_000;
const tombstonesMs = 5_000;
const agentDrainsMs = 2_000;
const movesMs = 1_000;
const volumesMs = 15_000;
const uploadsMs = 5_000;
/** A launch of which nothing was heard for so long is asked for. */
const launchSilenceMs = 15_000;
const clusterPaceMs = 1_000;

/** Stores the framework's id before first contact: an id that is used and then forgotten orphans every task. */
async function prepared({ client, cluster }: ClusterServerOptions, signal: AbortSignal): Promise<Cluster> {
  const object = await client.get(Cluster, { name: cluster }, { signal });
  if (object.status?.frameworkID !== undefined) return object;
  const status = { ...object.status, frameworkID: frameworkIdFor(object) };
  return await client.updateStatus(Cluster, { ...object, status }, { signal });
}

/**
 * Works for one Cluster until `signal` aborts; then returns. Throws FrameworkError when Mesos will not have us, and whatever makes it
 * impossible to begin. Run it only while leading: a second one takes the framework over.
 */
export async function runClusterServer(options: ClusterServerOptions, signal: AbortSignal): Promise<void> {
  const cluster = await prepared(options, signal);
  await using operator = operatorClient(wayToMesos(options, cluster));
  const server = new ClusterServer(options, cluster, operator);
  await server.run(signal);
}

function wayToMesos({ clock, random, log, connect, mesos }: ClusterServerOptions, cluster: Cluster) {
  const { authentication, tls } = mesos ?? {};
  return {
    ...{ masters: mastersOf(cluster), clock, random, log },
    ...(authentication && { authentication }),
    ...(tls && { tls }),
    ...(connect && { connect }),
  };
}

class ClusterServer {
  readonly #clock: Clock;
  readonly #world: World;
  readonly #framework: IdentifiedFramework;
  readonly #informers: Informers;
  readonly #connection: SchedulerConnection;
  readonly #operator: OperatorClient;
  readonly #machines: Machines;
  readonly #placing: Placing;
  readonly #migrations: Migrations;
  readonly #imports: Imports;
  readonly #uploads: Uploads;
  readonly #imageFiles: ImageFiles;
  readonly #prefetch: Prefetch;
  readonly #volumes: Volumes;
  readonly #volumeStrays: VolumeStrays;
  readonly #orders: Orders;
  readonly #disks: DiskOrderBook;
  readonly #seeds: Seeds;
  readonly #hosts: Hosts;
  readonly #agentDrains: AgentDrains;
  readonly #orphans: Orphans;
  readonly #tombstones: Tombstones;
  readonly #offers: OfferKeeper;
  readonly #reconciliation: Reconciliation;
  readonly #silences: Silences;
  readonly #ticker: Ticker;
  #mesosVersion: string | undefined;
  #clusterWrittenMs = Number.NEGATIVE_INFINITY;
  /** What the Cluster's status said at these versions of everything is known to be stored. */
  #clusterSeen = '';
  #hostsCameOrWent = 0;

  constructor(options: ClusterServerOptions, cluster: Cluster, operator: OperatorClient) {
    const { client, clock, random, log } = options;
    this.#clock = clock;
    this.#ticker = new Ticker(clock);
    this.#operator = operator;
    this.#framework = frameworkInfo(cluster, options.installation, options.mesos?.principal);
    this.#connection = new SchedulerConnection({ ...wayToMesos(options, cluster), framework: this.#framework });
    this.#informers = createInformers({ client, clock, random, log });
    this.#world = this.#makeWorld(options, cluster);
    const world = this.#world;
    const mayLaunch = () => this.#reconciliation.done && this.#connection.connected;
    this.#placing = new Placing({
      world,
      mayLaunch,
      neverSent: (taskId, key) => this.#machines.neverSent(taskId, key),
      due: (key) => this.#machines.due(key),
    });
    this.#migrations = new Migrations({
      world,
      mayLaunch,
      neverSent: (taskId, key) => this.#machines.neverSent(taskId, key),
      due: (key) => this.#machines.due(key),
    });
    this.#orders = new Orders(world);
    this.#disks = new DiskOrderBook(world);
    this.#seeds = new Seeds(world, (uid) => this.#machines.dueByUid(uid));
    this.#machines = new Machines({
      world,
      migrations: this.#migrations,
      onUnplaced: (vm, key) => {
        this.#placing.consider(vm, key);
        // For what is to be placed, offers are to be had.
        if (this.#placing.hasWork) this.#ticker.stir();
      },
      onRepair: (vm, kind) => {
        this.#placing.repair(vm, kind);
        this.#ticker.stir();
      },
      onLive: (vm) => {
        this.#placing.repaired(keyOf(vm));
        return this.#orders.forSpec(vm);
      },
    });
    this.#imports = new Imports(world, mayLaunch);
    this.#uploads = new Uploads(world);
    this.#imageFiles = new ImageFiles(world, options.imageFiles);
    this.#prefetch = new Prefetch(world, options.prefetch);
    this.#volumes = new Volumes(world);
    this.#volumeStrays = new VolumeStrays(world);
    this.#silences = new Silences(world);
    this.#hosts = new Hosts({
      world,
      operator,
      onChanged: (hostname) => this.#hostChanged(hostname),
      onDrain: (hostname) => this.#machines.dueOnHost(hostname),
      onTouched: () => this.#ticker.stir(),
    });
    this.#agentDrains = new AgentDrains({
      world,
      operator,
      onDone: () => this.#refreshAgents(),
      onRefusal: (hostname) => this.#hosts.touch(hostname),
    });
    this.#orphans = new Orphans(world, options.orphans ?? defaultOrphanOptions);
    this.#tombstones = new Tombstones(world);
    this.#offers = offerKeeper({
      world,
      onOffers: () => {
        this.#placing.wake();
        this.#wakeImports();
      },
      onUnknownAgent: () => this.#refreshAgents(),
      onWindow: (hostname) => this.#hosts.update(hostname),
    });
    this.#reconciliation = reconciliation(
      world,
      () => this.#knownTasks(),
      () => this.#reconciled(),
    );
  }

  #makeWorld(options: ClusterServerOptions, cluster: Cluster): World {
    const { client, clock, random, log, installation, isLeading = () => true } = options;
    const executor = executorInfo(cluster);
    const share = executorShare(cluster.spec.executor);
    const ledger: Ledger = new Ledger(
      { share, id: executor.executor_id.value, startingMax: cluster.spec.launchesPerHost },
      (hostname) => {
        placement.hostChanged(hostname);
        this.#hosts.touch(hostname);
      },
    );
    const placement: Placement = new Placement(ledger);
    const { name } = cluster.metadata;
    // Off the books for a moment, its room would be given to another.
    const isOurs = ({ status }: VirtualMachine) => status?.attempt?.cluster === name;
    return {
      client,
      clock,
      random,
      log,
      installation,
      executor,
      cluster: name,
      startedMs: clock.monotonic(),
      isLeading,
      clusters: this.#follow(Cluster, [clusterNamed(name)], (_key, now, old) => this.#clusterChanged(now, old)),
      machines: this.#follow(VirtualMachine, machinesFor(name), (key, vm) => this.#machineChanged(key, vm), isOurs),
      hosts: this.#follow(Host, [hostsOf(name)], (_key, host, old) => this.#hostObjectChanged(host, old)),
      // Every image has a row for every cluster.
      images: this.#follow(Image, [undefined], () => this.#wakeImages()),
      volumes: this.#follow(Volume, [volumesOf(name)], () => this.#wakeVolumes()),
      operations: this.#follow(VMOperation, [operationsFor(name)], () => this.#wakeOrders()),
      snapshots: this.#follow(VMSnapshot, [operationsFor(name)], () => this.#wakeDisks()),
      restores: this.#follow(VMRestore, [operationsFor(name)], () => this.#wakeDisks()),
      tasks: new TaskBook(),
      sentAgain: new Set(),
      executors: new ExecutorBook(),
      agents: new AgentBook(cluster.spec.role),
      ledger,
      placement,
      suspects: new Suspects(clock),
      breakers: new Breakers(),
      windows: new Windows(),
      overlays: new Overlays(name),
      seedProblems: new Map(),
      call: (call) => this.#call(call),
      tell: (hostname, message) => this.#tell(hostname, encodeData(message)),
    };
  }

  #follow<T extends KubeObject>(
    kind: Kind<T>,
    selections: readonly (string | undefined)[],
    changed: (key: string, object: T, old: T | undefined) => void,
    stays?: (object: T) => boolean,
  ): Latest<T> {
    const informers = selections.map((selection) => this.#informers.of(kind, selection));
    const objects = latest(oneView(informers.map((informer) => informer.cache())), this.#clock, stays);
    const hear = (change: Change<T>) => {
      this.#ticker.stir();
      if (change.type === 'deleted') objects.dropped(change.object);
      else objects.heard(change.object);
      changed(keyOf(change.object), change.object, change.type === 'changed' ? change.old : undefined);
    };
    for (const informer of informers) informer.onChange(hear);
    return objects;
  }

  /** Runs until `signal` aborts, or until one of the loops fails: then all are stopped, and this throws. */
  async run(signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const running = AbortSignal.any([signal, over.signal]);
    const informing = this.#informers.start(running);
    try {
      await this.#informers.synced(running);
      this.#machines.takeStock();
      await this.#hosts.refresh().catch((error: unknown) => this.#complain('Agents not read', error));
      const loops = [
        this.#machines.run(running),
        this.#placing.run(running),
        this.#connection.run(this.#handler(), running),
        this.#ticker.run(() => this.#tick(running), running),
        this.#every(agentsMs, () => this.#hosts.refresh(), running),
        this.#every(this.#orphans.periodMs, () => this.#lookForOrphans(), running),
        this.#every(this.#imageFiles.periodMs, () => this.#lookAfterImages(), running),
        this.#every(this.#prefetch.periodMs, () => this.#prefetch.look(), running),
        this.#every(uploadsMs, () => this.#uploads.look(), running),
        this.#every(silentMs, () => this.#askForSilentLaunches(), running),
        this.#every(tombstonesMs, () => this.#lookForTombstones(), running),
        this.#every(agentDrainsMs, () => this.#agentDrains.look(), running),
        this.#every(volumesMs, () => this.#volumes.look(), running),
        this.#every(straysPeriodMs, () => this.#lookForStrays(), running),
        this.#every(movesMs, () => this.#settleMoves(), running),
        this.#watchAgents(running),
      ];
      await Promise.all(loops).finally(() => over.abort(new Error('The cluster server has ended')));
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      over.abort(new Error('The cluster server has ended'));
      await informing;
    }
  }

  #handler() {
    return sessionHandler({
      world: this.#world,
      offers: this.#offers,
      reconciliation: this.#reconciliation,
      machines: this.#machines,
      imports: this.#imports,
      knownTasks: () => this.#knownTasks(),
      refreshAgents: () => this.#refreshAgents(),
      onHost: (hostname) => this.#hostChanged(hostname),
      onSubscribed: (version) => {
        this.#mesosVersion = version;
      },
      onChange: () => {
        this.#clusterWrittenMs = Number.NEGATIVE_INFINITY;
        this.#ticker.stir();
      },
      heartbeats: {
        world: this.#world,
        orders: this.#orders,
        disks: this.#disks,
        seeds: this.#seeds,
        prefetch: this.#prefetch,
        onHost: (hostname) => this.#updateHost(hostname),
        onMachine: (uid) => this.#machines.dueByUid(uid),
        onVolumes: () => this.#wakeVolumes(),
        onUploads: () => this.#wakeUploads(),
        onUnknownAgent: () => this.#refreshAgents(),
      },
    });
  }

  async #every(periodMs: number, act: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await act();
      } catch (error) {
        if (!signal.aborted) this.#complain('A periodic step failed', error);
      }
      await this.#world.clock.sleep(periodMs, signal).catch(() => undefined);
    }
  }

  /** True while time alone may soon give it something to do. */
  async #tick(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#look();
      return this.#isBusy();
    } catch (error) {
      if (!signal.aborted) this.#complain('A periodic step failed', error);
      return true;
    }
  }

  #isBusy(): boolean {
    const { machines, clusters, cluster: name } = this.#world;
    const works = [
      this.#placing,
      this.#migrations,
      this.#imports,
      this.#volumes,
      this.#orders,
      this.#disks,
      this.#hosts,
      this.#tombstones,
      this.#uploads,
    ];
    if (works.some(({ hasWork }) => hasWork) || machines.isMoving || this.#reconciliation.isBusy) return true;
    const cluster = clusters.get(name);
    return !this.#offers.isQuiet || (cluster !== undefined && this.#clusterVersion(cluster) !== this.#clusterSeen);
  }

  async #look(): Promise<void> {
    for (const hostname of this.#silences.look()) this.#machines.dueOnHost(hostname);
    await this.#reconciliation.look();
    const askers = [this.#placing, this.#migrations, this.#imports, this.#tombstones, this.#uploads];
    await this.#offers.look(askers.some(({ hasWork }) => hasWork));
    if (this.#placing.hasWork) this.#placing.wake();
    await this.#imports.look();
    if (this.#uploads.hasWork) await this.#uploads.look();
    await this.#volumes.look();
    await this.#migrations.look();
    await this.#orders.look();
    await this.#disks.look();
    await this.#hosts.write({
      strays: (hostname) => this.#orphans.domainsOn(hostname),
      refusal: (hostname) => this.#agentDrains.refusal(hostname),
    });
    await this.#writeCluster();
  }

  /** Events say when to ask again; what they say is not trusted to be everything. */
  async #watchAgents(signal: AbortSignal): Promise<void> {
    await this.#every(
      agentsMs,
      async () => {
        for await (const { type } of this.#operator.subscribe(signal))
          if (type === 'AGENT_ADDED' || type === 'AGENT_REMOVED') this.#refreshAgents();
      },
      signal,
    );
  }

  async #lookForOrphans(): Promise<void> {
    if (this.#reconciliation.done) await this.#orphans.look();
  }

  async #lookAfterImages(): Promise<void> {
    if (this.#reconciliation.done) await this.#imageFiles.look();
  }

  async #lookForTombstones(): Promise<void> {
    if (this.#reconciliation.done) await this.#tombstones.look();
  }

  #refreshAgents(): void {
    void this.#hosts.refresh().catch((error: unknown) => this.#complain('Agents not read', error));
  }

  /**
   * A machine that one watch has lost and no other tells of may be gone, or the watches are behind. Taken for gone, the end of its task would
   * be acknowledged and stored nowhere.
   */
  async #settleMoves(): Promise<void> {
    const { client, machines } = this.#world;
    for (const vm of machines.overdue()) {
      const { name, namespace } = vm.metadata;
      const now = await client.get(VirtualMachine, { name, namespace: namespace! }).catch((error: unknown) => {
        if (isCode(error, 'NotFound', 'Forbidden')) return undefined;
        throw error;
      });
      if (now?.metadata.uid === vm.metadata.uid) machines.wrote(now);
      else machines.gone(vm);
      this.#machineChanged(keyOf(vm), vm);
    }
  }

  #updateHost(hostname: string): void {
    this.#hosts.update(hostname);
    this.#placing.wake();
  }

  #machineChanged(key: string, vm: VirtualMachine): void {
    const { uid } = vm.metadata;
    const now = this.#world.machines.byUid(uid);
    // Out of sight: gone, or another cluster's. That proves nothing about its task, but nothing else would take it off the books again.
    if (now === undefined) for (const each of [uid, arrivalOf(uid)]) this.#world.ledger.release(each);
    this.#world.overlays.machineChanged(uid, now);
    this.#migrations.machineChanged(uid, now);
    if (vm.status?.attempt?.drain) this.#hosts.touch(vm.status.attempt.host ?? '');
    // An operation, or a drain, waits for its outcome.
    if (vm.status?.attempt?.drain?.state === 'Migrating' || vm.status?.lastMigration?.operation) this.#wakeMigrations();
    this.#machines.due(key);
  }

  /** Its status is our own doing. */
  #hostObjectChanged(host: Host, old: Host | undefined): void {
    if (old === undefined) this.#hostsCameOrWent++;
    const same =
      old?.metadata.generation === host.metadata.generation &&
      isDeepStrictEqual(old?.metadata.annotations, host.metadata.annotations);
    if (!same) this.#hostChanged(host.spec.hostname);
  }

  #hostChanged(hostname: string): void {
    this.#updateHost(hostname);
    this.#offers.agentsChanged();
    this.#machines.dueOnHost(hostname);
  }

  /** Its status is our own doing, every second while anything goes on. */
  #clusterChanged({ metadata }: Cluster, old: Cluster | undefined): void {
    if (old?.metadata.generation === metadata.generation) return;
    for (const { hostname } of this.#world.agents.all()) this.#updateHost(hostname);
  }

  #reconciled(): void {
    this.#world.log.info('Reconciled');
    this.#wakeImports();
    this.#clusterWrittenMs = Number.NEGATIVE_INFINITY;
    this.#placing.wake();
  }

  #knownTasks(): readonly KnownTask[] {
    return [...this.#ownAttempts().map(({ taskId, agentId }) => ({ taskId, agentId })), ...this.#imports.knownTasks()];
  }

  #ownAttempts() {
    return this.#world.machines.list().flatMap(({ status }) => {
      const { attempt, migration } = status ?? {};
      if (attempt?.cluster !== this.#world.cluster) return [];
      return [attempt, migration].flatMap((place) => {
        if (place?.taskID === undefined) return [];
        return [{ taskId: place.taskID, agentId: place.agentID ?? '', since: place.since ?? '' }];
      });
    });
  }

  /** An ACCEPT is not answered. What came of it is heard, or asked for. */
  async #askForSilentLaunches(): Promise<void> {
    const before = this.#world.clock.now() - launchSilenceMs;
    for (const { taskId, agentId, since } of this.#ownAttempts())
      if (this.#world.tasks.get(taskId) === undefined && Date.parse(since) < before)
        this.#reconciliation.ask({ taskId, agentId });
    for (const task of this.#imports.silent(launchSilenceMs)) this.#reconciliation.ask(task);
  }

  async #writeCluster(): Promise<void> {
    const { client, clock, clusters, cluster: name, hosts, ledger, agents } = this.#world;
    const cluster = clusters.get(name);
    if (!cluster || clock.monotonic() - this.#clusterWrittenMs < clusterPaceMs) return;
    const seen = this.#clusterVersion(cluster);
    if (seen === this.#clusterSeen) return;
    const away = hosts.list().filter(({ spec }) => !agents.get(spec.hostname) && !ledger.view(spec.hostname));
    const status = clusterStatus({
      cluster,
      frameworkId: this.#framework.id.value,
      connected: this.#connection.connected,
      reconciled: this.#reconciliation.done,
      master: this.#connection.master,
      version: this.#mesosVersion,
      hosts: ledger.views(),
      hostsAway: away.length,
      executorShare: executorShare(cluster.spec.executor),
      orphanTasks: this.#orphans.taskCount,
      orphansHeld: this.#orphans.held,
      orphanVolumes: this.#volumeStrays.summary,
      offersHeld: ledger.offers().length,
      nowMs: clock.now(),
    });
    if (isDeepStrictEqual(status, cluster.status)) {
      this.#clusterSeen = seen;
      return;
    }
    this.#clusterWrittenMs = clock.monotonic();
    try {
      clusters.wrote(await client.updateStatus(Cluster, { ...cluster, status }));
    } catch (error) {
      if (!isCode(error, 'Conflict')) throw error;
    }
  }

  /** Changes with anything that the Cluster's status is made of: adding up all hosts twice a second would cost more than all else. */
  #clusterVersion({ metadata }: Cluster): string {
    const { connected, master } = this.#connection;
    const { taskCount, held } = this.#orphans;
    const session = [connected, this.#reconciliation.done, master, this.#mesosVersion, taskCount, JSON.stringify(held)];
    const strays = JSON.stringify(this.#volumeStrays.summary);
    return [metadata.resourceVersion, this.#world.ledger.version, this.#hostsCameOrWent, ...session, strays].join(' ');
  }

  #wakeImports(): void {
    void this.#imports.look().catch((error: unknown) => this.#complain('Imports not advanced', error));
  }

  #wakeImages(): void {
    this.#wakeImports();
    this.#wakeUploads();
  }

  #wakeOrders(): void {
    void this.#orders.look();
    this.#wakeMigrations();
  }

  #wakeMigrations(): void {
    void this.#migrations.look().catch((error: unknown) => this.#complain('Migrations not looked after', error));
  }

  #wakeUploads(): void {
    void this.#uploads.look().catch((error: unknown) => this.#complain('Uploads not looked after', error));
  }

  #wakeVolumes(): void {
    void this.#volumes.look().catch((error: unknown) => this.#complain('Volumes not advanced', error));
  }

  async #lookForStrays(): Promise<void> {
    const before = this.#volumeStrays.summary;
    await this.#volumeStrays.look();
    if (!isDeepStrictEqual(before, this.#volumeStrays.summary)) this.#ticker.stir();
  }

  #wakeDisks(): void {
    void this.#disks.look().catch((error: unknown) => this.#complain('Orders about disks not sent', error));
  }

  async #call(call: FrameworkCall): Promise<boolean> {
    try {
      return await this.#connection.call(call);
    } catch (error) {
      this.#world.log.error('Mesos refuses a call as wrong', { call: call.type, reason: messageOf(error) });
      return false;
    }
  }

  async #tell(hostname: string, data: string): Promise<boolean> {
    const agent = this.#world.agents.get(hostname);
    if (!agent) return false;
    const { executors, ledger, executor } = this.#world;
    const sent = ledger.executorOn(hostname)?.id ?? executor.executor_id.value;
    const executorId = executors.get(hostname)?.executorId ?? sent;
    return await this.#call({
      type: 'MESSAGE',
      message: { agent_id: { value: agent.agentId }, executor_id: { value: executorId }, data },
    });
  }

  #complain(what: string, error: unknown): void {
    this.#world.log.warn(what, { reason: messageOf(error) });
  }
}

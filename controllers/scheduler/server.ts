/** The cluster server: its parts, how they wake each other, and what is done every so often. */
import { isDeepStrictEqual } from 'node:util';
import { Cluster } from '#lib/api/generated/cluster.ts';
import { Host } from '#lib/api/generated/host.ts';
import { Image } from '#lib/api/generated/image.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { VMOperation } from '#lib/api/generated/vmoperation.ts';
import { type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { createInformers, type Informers } from '#lib/client/informers.ts';
import type { Clock } from '#lib/std/clock.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { encodeData } from '#mesos/bytes.ts';
import { type OperatorClient, operatorClient } from '#mesos/operator.ts';
import { type FrameworkCall, SchedulerConnection } from '#mesos/scheduler.ts';
import { AgentBook } from './agents.ts';
import { clusterStatus } from './cluster-status.ts';
import { ExecutorBook } from './executor-book.ts';
import { executorInfo, frameworkIdFor, frameworkInfo, type IdentifiedFramework } from './framework.ts';
import { Hosts } from './hosts.ts';
import { Imports } from './imports.ts';
import { type Latest, latest } from './latest.ts';
import { Ledger } from './ledger.ts';
import { Machines } from './machines.ts';
import { type OfferKeeper, offerKeeper } from './offers.ts';
import { Orders } from './orders.ts';
import { defaultOrphanOptions, type OrphanOptions, Orphans } from './orphans.ts';
import { executorShare } from './overhead.ts';
import { Placement } from './placement.ts';
import { Placing } from './placing.ts';
import { type KnownTask, type Reconciliation, reconciliation } from './reconciliation.ts';
import { sessionHandler } from './session.ts';
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
}

const tickMs = 500;
const agentsMs = 15_000;
const orphansMs = 30_000;
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
  await using operator = operatorClient({ masters: cluster.spec.masters, clock: options.clock });
  const server = new ClusterServer(options, cluster, operator);
  await server.run(signal);
}

class ClusterServer {
  readonly #world: World;
  readonly #framework: IdentifiedFramework;
  readonly #informers: Informers;
  readonly #connection: SchedulerConnection;
  readonly #operator: OperatorClient;
  readonly #machines: Machines;
  readonly #placing: Placing;
  readonly #imports: Imports;
  readonly #orders: Orders;
  readonly #hosts: Hosts;
  readonly #orphans: Orphans;
  readonly #offers: OfferKeeper;
  readonly #reconciliation: Reconciliation;
  #mesosVersion: string | undefined;
  #clusterWrittenMs = Number.NEGATIVE_INFINITY;

  constructor(options: ClusterServerOptions, cluster: Cluster, operator: OperatorClient) {
    const { client, clock, random, log } = options;
    this.#operator = operator;
    this.#framework = frameworkInfo(cluster, options.installation);
    this.#connection = new SchedulerConnection({ masters: cluster.spec.masters, framework: this.#framework, clock, random, log });
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
    this.#orders = new Orders(world);
    this.#machines = new Machines({
      world,
      onUnplaced: (vm, key) => this.#placing.consider(vm, key),
      onRepair: (vm, kind) => this.#placing.repair(vm, kind),
      onLive: (vm) => {
        this.#placing.repaired(keyOf(vm));
        void this.#orders.forSpec(vm);
      },
    });
    this.#imports = new Imports(world, mayLaunch);
    this.#hosts = new Hosts(world, operator, (hostname) => this.#hostChanged(hostname));
    this.#orphans = new Orphans(world, options.orphans ?? defaultOrphanOptions);
    this.#offers = offerKeeper(
      world,
      () => this.#placing.wake(),
      () => this.#refreshAgents(),
    );
    this.#reconciliation = reconciliation(
      world,
      () => this.#knownTasks(),
      () => this.#reconciled(),
    );
  }

  #makeWorld({ client, clock, random, log, installation }: ClusterServerOptions, cluster: Cluster): World {
    const executor = executorInfo(cluster);
    const share = executorShare(cluster.spec.executor);
    const ledger: Ledger = new Ledger({ share, id: executor.executor_id.value }, (hostname) => placement.hostChanged(hostname));
    const placement: Placement = new Placement(ledger);
    return {
      client,
      clock,
      random,
      log,
      installation,
      executor,
      cluster: cluster.metadata.name,
      startedMs: clock.monotonic(),
      // What is done about an object depends on other kinds too little to be worth a second look: the ticks are that look.
      clusters: this.#follow(Cluster, () => this.#allHostsChanged()),
      machines: this.#follow(VirtualMachine, (key) => this.#machines.due(key)),
      hosts: this.#follow(Host, (_key, host) => this.#hostChanged(host.spec.hostname)),
      images: this.#follow(Image, () => this.#wakeImports()),
      operations: this.#follow(VMOperation, () => void this.#orders.look()),
      tasks: new (TaskBookClass())(),
      executors: new ExecutorBook(),
      agents: new AgentBook(cluster.spec.role),
      ledger,
      placement,
      call: (call) => this.#call(call),
      tell: (hostname, message) => this.#tell(hostname, encodeData(message)),
    };
  }

  #follow<T extends KubeObject>(kind: Kind<T>, changed: (key: string, object: T) => void): Latest<T> {
    const informer = this.#informers.of(kind);
    const objects = latest(informer.cache());
    informer.onChange((change) => {
      if (change.type === 'deleted') objects.dropped(keyOf(change.object));
      else objects.heard(change.object);
      changed(keyOf(change.object), change.object);
    });
    return objects;
  }
}

/**
 * A master, its agents and their executors in one object, over real HTTP, with everything instant: for tests of the cluster server that
 * need to say exactly what goes wrong and when. It keeps the rules that matter here: an update waits for the acknowledgement of the
 * one before, domains outlive their executor, and reconciliation answers as a real master does.
 */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { cachedDigits, storeId } from '#lib/api/image-digests.ts';
import type { Launch, MachineLaunch, Termination } from '#lib/api/launch.ts';
import type {
  Heartbeat,
  ImagesReport,
  MachineReport,
  MigrateOrder,
  MigrationEndOrder,
  MigrationReport,
  PeersOrder,
  SchedulerMessage,
  SegmentsReport,
  StorageReport,
  VolumesReport,
} from '#lib/api/messages.ts';
import { decodeData, encodeData, encodeUuid } from '#mesos/bytes.ts';
import { encodeRecord } from '#mesos/recordio.ts';
import { sumMilli } from '#mesos/resources.ts';
import {
  answer,
  type ReceivedCall,
  type ScriptedServer,
  startScriptedServer,
  stream,
} from '#mesos/testing/scripted-server.ts';
import type { Resource, SchedulerCall, TaskInfo, TaskState, TaskStatus, Unavailability } from '#mesos/types.ts';

interface FakeTask {
  readonly info: TaskInfo;
  readonly launch: Launch;
  state: TaskState;
  readonly queue: TaskStatus[];
}

interface FakeExecutor {
  readonly workerId: string;
  readonly executorId: string;
  sequence: number;
}

export interface FakeHost {
  agentId: string;
  readonly hostname: string;
  readonly cpus: number;
  readonly mem: number;
  readonly attributes: Readonly<Record<string, string>>;
  bootId: string;
  registered: boolean;
  executor: FakeExecutor | undefined;
  /** An executor that ended without the master hearing of it: it is offered, and what is launched on it is dropped. */
  missingExecutor: string | undefined;
  /** What libvirt runs: uid -> attempt. Outlives the executor. */
  readonly domains: Map<string, number>;
  /** uids of which disks are left, and no domain. */
  readonly disks: Set<string>;
  readonly tasks: Map<string, FakeTask>;
  /** What its executor tells of guests, beside what it tells of every machine: by uid. */
  readonly guests: Map<string, Pick<MachineReport, 'agent' | 'readiness' | 'migration'>>;
  /** Its executor can hand machines over as they run, and take them over. */
  migrates?: boolean;
  /** uid -> id of the migration by which it is to come here. */
  readonly receiving: Map<string, string>;
  offer: { readonly id: string; readonly resources: readonly Resource[] } | undefined;
  maintenance: Unavailability | undefined;
  /** Where other hosts reach it, and who of them it was told of. */
  tunnelAddress: string | undefined;
  peers: PeersOrder | undefined;
  /** What its executor tells of volumes. */
  volumes?: VolumesReport;
  /** What it tells of networks of the site. */
  segments?: SegmentsReport;
  /** Digests of its store, of its cache, and of what its disks stand on; it does as it is told about them. */
  images?: { store: readonly string[]; cached: readonly string[]; backings: readonly string[]; order?: string };
  /** Of its store of images. */
  storage?: StorageReport;
  /** By an operator: no offers, and drained of its tasks or not. */
  deactivated: 'Drained' | 'Deactivated' | undefined;
  /** Registered, and not connected at the moment. */
  disconnected: boolean;
}

function imagesReport({ store, cached, order }: NonNullable<FakeHost['images']>): ImagesReport {
  const short = cached.map((digest) => digest.slice(0, cachedDigits));
  return { store: storeId(store), cached: short, ...(order && { order }) };
}

function consoleOf({ hostname, bootId }: FakeHost): NonNullable<Heartbeat['console']> {
  return { url: `https://${hostname}:1`, token: `secret-${bootId}`, certificateSha256: 'c'.repeat(64) };
}

function receivingReport({ receiving }: FakeHost, { uid, attempt, taskId }: MachineLaunch): MachineReport {
  const migration = { id: receiving.get(uid)!, state: 'Receiving', message: '' } as const;
  return { uid, attempt, taskId, phase: 'Provisioning', power: 'Paused', restarts: 0, migration };
}

const masterInfo = { id: 'm', ip: 0, port: 1, version: '1.12.0' };
const absent: Termination = { class: 'User', reason: 'Killed', message: 'Killed', terminal: false, domainAbsent: true };

export class FakeMesos implements AsyncDisposable {
  readonly hosts: FakeHost[] = [];
  /** uid -> every host on which a domain of it was ever started (not adopted). */
  readonly starts = new Map<string, string[]>();
  readonly messages: SchedulerMessage[] = [];
  /** ACCEPTs are swallowed while this is set, as if lost. */
  loseAccepts = false;
  /** DRAIN_AGENT is answered 403. */
  refuseDrains = false;
  /** ACKNOWLEDGEs are swallowed while this is set. */
  loseAcknowledgements = false;
  /** KILLs are swallowed while this is set. */
  loseKills = false;
  /** Executors lose their journals while they import: the tasks run for ever. */
  forgetImports = false;
  /** What is to be sent to another host is there at once. */
  movesAtOnce = true;
  #server!: ScriptedServer;
  #stream: ServerResponse | undefined;
  #offers = 0;
  #agents = 0;

  static async start(): Promise<FakeMesos> {
    const mesos = new FakeMesos();
    mesos.#server = await startScriptedServer((received) => mesos.#answer(received));
    return mesos;
  }

  get origin(): string {
    return this.#server.origin;
  }

  calls(type: string): readonly ReceivedCall['call'][] {
    return this.#server.calls.map(({ call }) => call).filter((call) => call.type === type);
  }

  addHost(hostname: string, cpus: number, mem: number, attributes: Record<string, string> = {}): FakeHost {
    const host: FakeHost = {
      ...{ agentId: `S${this.#agents++}`, hostname, cpus, mem, attributes, bootId: randomUUID(), registered: true },
      ...{
        executor: undefined,
        missingExecutor: undefined,
        domains: new Map(),
        disks: new Set(),
        tasks: new Map(),
        guests: new Map(),
        receiving: new Map(),
        offer: undefined,
      },
      ...{ maintenance: undefined, tunnelAddress: undefined, peers: undefined, deactivated: undefined },
      disconnected: false,
    };
    this.hosts.push(host);
    this.#makeOffers();
    return host;
  }

  /** Executor and supervisor die; what libvirt runs goes on. The agent tells the master, unless it was down with them. */
  loseExecutor(host: FakeHost, untold = false): void {
    const executorId = host.executor?.executorId ?? '';
    host.executor = undefined;
    for (const [taskId, task] of host.tasks) {
      this.#update(host, task, { state: 'TASK_FAILED', source: 'SOURCE_AGENT', reason: 'REASON_EXECUTOR_TERMINATED' });
      host.tasks.delete(taskId);
    }
    const ids = { agent_id: { value: host.agentId }, executor_id: { value: executorId } };
    if (!untold) this.#send({ type: 'FAILURE', failure: { ...ids, status: 9 } });
    this.#makeOffers();
  }

  /** The host is switched off and on: no domains, no executor, another boot, another agent. */
  reboot(host: FakeHost): void {
    host.domains.clear();
    host.tasks.clear();
    host.executor = undefined;
    host.bootId = randomUUID();
    host.agentId = `S${this.#agents++}`;
    host.offer = undefined;
    this.#makeOffers();
  }

  /** The operators plan maintenance of a host, or none: offers say so, and inverse offers where something runs. */
  plan(host: FakeHost, maintenance: Unavailability | undefined): void {
    host.maintenance = maintenance;
    this.#rescind(host);
    this.#makeOffers();
    if (maintenance) this.askForHost(host);
  }

  /** An inverse offer; its id is `inverse-HOSTNAME`. */
  askForHost(host: FakeHost): void {
    const ids = { id: { value: `inverse-${host.hostname}` }, framework_id: { value: 'f' } };
    const inverse = { ...ids, agent_id: { value: host.agentId }, unavailability: host.maintenance };
    this.#send({ type: 'INVERSE_OFFERS', inverse_offers: { inverse_offers: [inverse] } });
  }

  /** By an operator, or by DRAIN_AGENT: tasks are ended as an agent does it. */
  drainAgent(host: FakeHost): void {
    host.deactivated = 'Drained';
    this.#rescind(host);
    for (const task of [...host.tasks.values()]) {
      host.domains.delete(task.launch.uid);
      this.#end(host, task, 'TASK_KILLED', absent, 'REASON_AGENT_DRAINING');
    }
  }

  /** An operator says that the agent never comes back. */
  markGone(host: FakeHost): void {
    this.#remove(host, 'TASK_GONE_BY_OPERATOR', 'REASON_SLAVE_REMOVED_BY_OPERATOR');
  }

  /** The master does not reach the agent any more. All goes on there. */
  partition(host: FakeHost): void {
    this.#remove(host, 'TASK_UNREACHABLE', 'REASON_SLAVE_REMOVED');
  }

  /** The agent is back with all that it had. Under another id it has no tasks and no executors any more: only libvirt goes on. */
  heal(host: FakeHost, isAnother = false): void {
    host.registered = true;
    if (isAnother) {
      host.agentId = `S${this.#agents++}`;
      host.executor = undefined;
      host.tasks.clear();
    }
    for (const task of host.tasks.values()) this.#tell(host, task, task.state, 'REASON_SLAVE_REREGISTERED');
    this.heartbeat(host);
    this.#makeOffers();
  }

  #remove(host: FakeHost, state: TaskState, reason: string): void {
    host.registered = false;
    this.#rescind(host);
    for (const task of host.tasks.values()) this.#tell(host, task, state, reason);
    this.#send({ type: 'FAILURE', failure: { agent_id: { value: host.agentId } } });
  }

  /** The master's own word, which is not to be acknowledged. */
  #tell(host: FakeHost, { launch }: FakeTask, state: TaskState, reason: string): void {
    const ids = { task_id: { value: launch.taskId }, agent_id: { value: host.agentId } };
    this.#send({ type: 'UPDATE', update: { status: { ...ids, state, source: 'SOURCE_MASTER', reason } } });
  }

  #rescind(host: FakeHost): void {
    if (host.offer) this.#send({ type: 'RESCIND', rescind: { offer_id: { value: host.offer.id } } });
    host.offer = undefined;
  }

  /** The session breaks; offers are void. */
  dropSession(): void {
    this.#stream?.destroy();
    this.#stream = undefined;
    for (const host of this.hosts) host.offer = undefined;
  }

  /** Another worker begins, as when the host's configuration was changed: what it tells may be something else. */
  restartWorker(host: FakeHost): void {
    if (host.executor) host.executor = { ...host.executor, workerId: randomUUID(), sequence: 0 };
    this.heartbeat(host, true);
  }

  heartbeat(host: FakeHost, inventory = false): void {
    const { executor } = host;
    if (!executor) return;
    executor.sequence++;
    const heartbeat: Heartbeat = {
      ...{ type: 'heartbeat', version: 1, hostname: host.hostname, bootId: host.bootId },
      ...{
        sequence: executor.sequence,
        workerId: executor.workerId,
        executorVersion: '2',
        supervisorVersion: '1',
        since: '2026-01-01T00:00:00Z',
      },
      facts: {
        ...{ hypervisor: 'sim', kvm: false, cpuModel: 'none' },
        ...(host.tunnelAddress ? { tunnelAddress: host.tunnelAddress } : {}),
        ...(host.segments ? { segments: host.segments } : {}),
        ...(host.migrates ? { migrates: true as const } : {}),
      },
      ...(host.migrates ? { console: consoleOf(host) } : {}),
      ...(host.peers ? { peers: host.peers.id } : {}),
      ...(host.volumes ? { volumes: host.volumes } : {}),
      ...(host.images ? { images: imagesReport(host.images) } : {}),
      ...(host.storage ? { storage: host.storage } : {}),
      machines: [...host.tasks.values()].flatMap(({ launch }) =>
        launch.type !== 'machine'
          ? []
          : host.receiving.has(launch.uid)
            ? [receivingReport(host, launch)]
            : !host.domains.has(launch.uid)
              ? []
              : [
                  {
                    uid: launch.uid,
                    attempt: launch.attempt,
                    taskId: launch.taskId,
                    phase: 'Running',
                    power: 'On',
                    restarts: 0,
                    ...host.guests.get(launch.uid),
                  },
                ],
      ),
      imports: this.forgetImports
        ? []
        : [...host.tasks].filter(([, { launch }]) => launch.type !== 'machine').map(([taskId]) => taskId),
      ...(inventory ? { inventory: this.#inventory(host) } : {}),
      operations: [],
    };
    const ids = { agent_id: { value: host.agentId }, executor_id: { value: executor.executorId } };
    this.#send({ type: 'MESSAGE', message: { ...ids, data: encodeData(heartbeat) } });
  }

  #inventory(host: FakeHost): NonNullable<Heartbeat['inventory']> {
    const domains = [...host.domains].map(([uid, attempt]) => ({ uid, attempt, power: 'On' as const }));
    const { store: images = [], backings } = host.images ?? {};
    const found = { bootId: host.bootId, domains, foreign: { count: 0, cores: 0, memoryMiB: 0 }, images };
    return { ...found, disks: [...host.domains.keys(), ...host.disks], ...(backings && { backings }) };
  }

  #answer({ call, response }: ReceivedCall): void {
    const json = (body: object) => answer(response, 200, JSON.stringify(body));
    if (call.type === 'GET_AGENTS') json({ get_agents: this.#agentsAnswer() });
    else if (call.type === 'GET_MAINTENANCE_SCHEDULE')
      json({ get_maintenance_schedule: { schedule: this.#schedule() } });
    else if (call.type === 'DRAIN_AGENT' || call.type === 'REACTIVATE_AGENT') this.#operate(call, response);
    else if (call.type === 'SUBSCRIBE' && !('subscribe' in call))
      stream(response, [{ type: 'SUBSCRIBED', subscribed: { heartbeat_interval_seconds: 15 } }]);
    else {
      if (call.type !== 'SUBSCRIBE') answer(response, 202);
      this.#handle(call as unknown as SchedulerCall, response);
    }
  }

  #handle(call: SchedulerCall, response: ServerResponse): void {
    switch (call.type) {
      case 'SUBSCRIBE':
        this.#stream = response;
        stream(response, [
          {
            type: 'SUBSCRIBED',
            subscribed: { framework_id: call.framework_id, heartbeat_interval_seconds: 15, master_info: masterInfo },
          },
        ]);
        for (const host of this.hosts) host.offer = undefined;
        this.#makeOffers();
        return;
      case 'ACCEPT':
        this.#accept(call.accept);
        return;
      case 'DECLINE':
        this.#returnOffers(call.decline.offer_ids.map(({ value }) => value));
        return;
      case 'ACKNOWLEDGE':
        if (!this.loseAcknowledgements) this.#acknowledged(call.acknowledge.task_id.value, call.acknowledge.uuid);
        return;
      case 'RECONCILE':
        this.#reconcile(call.reconcile.tasks);
        return;
      case 'KILL':
        if (!this.loseKills) this.#kill(call.kill.task_id.value, call.kill.agent_id?.value ?? '');
        return;
      case 'MESSAGE':
        this.#message(call.message.agent_id.value, decodeData(call.message.data) as SchedulerMessage);
        return;
      default:
    }
  }

  #schedule(): object {
    const windows = this.hosts.flatMap(({ hostname, maintenance }) =>
      maintenance ? [{ machine_ids: [{ hostname }], unavailability: maintenance }] : [],
    );
    return { windows };
  }

  #operate(call: ReceivedCall['call'], response: ServerResponse): void {
    const { agent_id } = (call.drain_agent ?? call.reactivate_agent) as { agent_id: { value: string } };
    const host = this.hosts.find(({ agentId }) => agentId === agent_id.value)!;
    const isDrain = call.type === 'DRAIN_AGENT';
    const isRefused = isDrain && this.refuseDrains;
    answer(response, isRefused ? 403 : 200, isRefused ? 'Not authorized' : '');
    if (isRefused) return;
    if (isDrain) this.drainAgent(host);
    else host.deactivated = undefined;
    this.#makeOffers();
  }

  #agentsAnswer(): object {
    const scalar = (name: string, value: number) => ({ name, type: 'SCALAR', scalar: { value }, role: '*' });
    const agents = this.hosts.filter(({ registered }) => registered);
    return {
      agents: agents.map(({ agentId, hostname, cpus, mem, attributes, deactivated, disconnected }) => ({
        agent_info: {
          id: { value: agentId },
          hostname,
          attributes: Object.entries(attributes).map(([name, value]) => ({ name, type: 'TEXT', text: { value } })),
        },
        active: deactivated === undefined && !disconnected,
        deactivated: deactivated !== undefined,
        ...(deactivated === 'Drained' ? { drain_info: { state: 'DRAINED' } } : {}),
        total_resources: [scalar('cpus', cpus), scalar('mem', mem)],
      })),
    };
  }

  /** As an agent does it after a while: what is not acknowledged is sent again. The answer is how many updates those are. */
  sendAgain(): number {
    const oldest = [...this.#queues.values()].flatMap((queue) => queue[0] ?? []);
    for (const status of oldest) this.#send({ type: 'UPDATE', update: { status } });
    return oldest.length;
  }

  #makeOffers(): void {
    if (!this.#stream) return;
    for (const host of this.hosts) {
      if (host.offer || !host.registered || host.deactivated) continue;
      host.offer = { id: `O${this.#offers++}`, resources: this.#free(host) };
      const offer = {
        id: { value: host.offer.id },
        framework_id: { value: 'f' },
        agent_id: { value: host.agentId },
        hostname: host.hostname,
        resources: host.offer.resources,
        ...(host.maintenance ? { unavailability: host.maintenance } : {}),
        executor_ids: [host.missingExecutor, host.executor?.executorId].flatMap((value) => (value ? [{ value }] : [])),
      };
      this.#send({ type: 'OFFERS', offers: { offers: [offer] } });
    }
  }

  #free(host: FakeHost): Resource[] {
    const used = [...host.tasks.values()].flatMap(({ info }) => info.resources ?? []);
    const executor = host.executor ? [...host.tasks.values()][0]?.info.executor?.resources : [];
    const left = (name: string, total: number) => total - (sumMilli(used, name) + sumMilli(executor, name)) / 1000;
    const scalar = (name: string, value: number): Resource => ({
      ...{ name, type: 'SCALAR', scalar: { value } },
      allocation_info: { role: 'computefactory' },
    });
    return [scalar('cpus', left('cpus', host.cpus)), scalar('mem', left('mem', host.mem))];
  }

  #returnOffers(ids: readonly string[]): void {
    for (const host of this.hosts) if (host.offer && ids.includes(host.offer.id)) host.offer = undefined;
    // As the allocator: not at once, or a declined offer would come back for ever in one turn of the loop.
    setTimeout(() => this.#makeOffers(), 20).unref();
  }

  #accept({ offer_ids, operations }: Extract<SchedulerCall, { type: 'ACCEPT' }>['accept']): void {
    const ids = offer_ids.map(({ value }) => value);
    const host = this.hosts.find(({ offer }) => offer && ids.includes(offer.id));
    const infos = operations.flatMap((operation) =>
      operation.type === 'LAUNCH'
        ? (operation as { launch: { task_infos: readonly TaskInfo[] } }).launch.task_infos
        : [],
    );
    if (this.loseAccepts) {
      this.#returnOffers(ids);
      return;
    }
    for (const info of infos) {
      if (!host) this.#drop(info, 'SOURCE_MASTER', 'REASON_INVALID_OFFERS');
      else if (host.missingExecutor !== info.executor?.executor_id.value) this.#launch(host, info);
      else this.#drop(info, 'SOURCE_AGENT', 'REASON_EXECUTOR_TERMINATED');
    }
    this.#returnOffers(ids);
  }

  #drop({ task_id, agent_id }: TaskInfo, source: NonNullable<TaskStatus['source']>, reason: string): void {
    const status: TaskStatus = { task_id, agent_id, state: 'TASK_DROPPED', source, reason };
    this.#send({ type: 'UPDATE', update: { status } });
  }

  #launch(host: FakeHost, info: TaskInfo): void {
    const launch = decodeData(info.data!) as Launch;
    const task: FakeTask = { info, launch, state: 'TASK_STAGING', queue: [] };
    host.tasks.set(launch.taskId, task);
    const first = host.executor === undefined;
    const executorId = info.executor!.executor_id.value;
    host.executor ??= { workerId: randomUUID(), executorId, sequence: 0 };
    if (first) this.heartbeat(host, true);
    if (launch.type !== 'machine') {
      if (this.forgetImports) this.#update(host, task, { state: 'TASK_RUNNING' });
      else this.#finishImport(host, task, launch.uid);
      return;
    }
    this.#update(host, task, { state: 'TASK_STARTING' });
    if (launch.incoming) {
      host.receiving.set(launch.uid, launch.incoming.migration);
      this.heartbeat(host);
      return;
    }
    if (launch.adopt && !host.domains.has(launch.uid)) {
      this.#end(host, task, 'TASK_FAILED', { ...absent, class: 'Infrastructure', reason: 'NothingToAdopt' });
      return;
    }
    if (!launch.adopt) this.starts.set(launch.uid, [...(this.starts.get(launch.uid) ?? []), host.hostname]);
    host.domains.set(launch.uid, launch.attempt);
    this.#update(host, task, { state: 'TASK_RUNNING' });
    this.heartbeat(host);
  }

  #finishImport(host: FakeHost, task: FakeTask, uid: string): void {
    const result = {
      digest: uid.replaceAll('-', '').padEnd(64, '0'),
      format: 'qcow2',
      size: 1000,
      virtualSize: 2 ** 30,
    };
    this.#update(host, task, { state: 'TASK_FINISHED', data: encodeData(result) });
    host.tasks.delete(task.launch.taskId);
  }

  #kill(taskId: string, agentId: string): void {
    const host = this.hosts.find((candidate) => candidate.agentId === agentId);
    const task = host?.tasks.get(taskId);
    if (!host || !task) {
      this.#reconcile([{ task_id: { value: taskId }, agent_id: { value: agentId } }]);
      return;
    }
    if (host.receiving.has(task.launch.uid)) {
      this.refuse(host, task.launch.uid);
      return;
    }
    host.domains.delete(task.launch.uid);
    this.#end(host, task, 'TASK_KILLED', absent);
  }

  #end(host: FakeHost, task: FakeTask, state: TaskState, termination: Termination, reason?: string): void {
    this.#update(host, task, { state, data: encodeData(termination), ...(reason === undefined ? {} : { reason }) });
    host.tasks.delete(task.launch.taskId);
    // A master offers what has become free beside what is held; here a host has one offer.
    this.#rescind(host);
    this.#makeOffers();
  }

  readonly #queues = new Map<string, TaskStatus[]>();

  #update(host: FakeHost, task: FakeTask, change: Partial<TaskStatus> & { state: TaskState }): void {
    task.state = change.state;
    const status: TaskStatus = {
      task_id: { value: task.launch.taskId },
      agent_id: { value: host.agentId },
      source: 'SOURCE_EXECUTOR',
      uuid: encodeUuid(randomUUID()),
      ...change,
    };
    const queue = this.#queues.get(task.launch.taskId) ?? [];
    this.#queues.set(task.launch.taskId, queue);
    queue.push(status);
    if (queue.length === 1) this.#send({ type: 'UPDATE', update: { status } });
  }

  #acknowledged(taskId: string, uuid: string): void {
    const queue = this.#queues.get(taskId);
    if (queue?.[0]?.uuid !== uuid) return;
    queue.shift();
    if (queue[0]) this.#send({ type: 'UPDATE', update: { status: queue[0] } });
  }

  #reconcile(tasks: Extract<SchedulerCall, { type: 'RECONCILE' }>['reconcile']['tasks']): void {
    const all = this.hosts.flatMap((host) => [...host.tasks.values()].map((task) => ({ host, task })));
    const asked = tasks.length === 0 ? all.map(({ task }) => task.info) : tasks;
    for (const { task_id, agent_id } of asked) {
      const found = all.find(({ task }) => task.launch.taskId === task_id.value);
      const registered = this.hosts.some((host) => host.registered && host.agentId === agent_id?.value);
      const state = found?.task.state ?? (registered ? 'TASK_GONE' : 'TASK_UNKNOWN');
      const ids = { task_id, ...(agent_id ? { agent_id } : {}) };
      this.#send({
        type: 'UPDATE',
        update: { status: { ...ids, state, source: 'SOURCE_MASTER', reason: 'REASON_RECONCILIATION' } },
      });
    }
  }

  #message(agentId: string, message: SchedulerMessage): void {
    this.messages.push(message);
    const host = this.hosts.find((candidate) => candidate.agentId === agentId);
    if (!host?.executor) return;
    if (message.type === 'peers') host.peers = message;
    if (message.type === 'images' && host.images)
      host.images = { ...host.images, order: message.id, cached: message.digests };
    if (message.type === 'collect' && message.store && host.images)
      host.images = { ...host.images, store: host.images.store.filter((each) => !message.digests.includes(each)) };
    if (message.type === 'cleanup')
      for (const uid of message.uids) {
        host.domains.delete(uid);
        host.disks.delete(uid);
      }
    if (message.type === 'inventory') this.heartbeat(host, true);
    if (message.type === 'migrate') this.#beginMove(host, message);
    if (message.type === 'migration-end') this.#endMove(host, message);
  }

  #beginMove(host: FakeHost, { uid, id }: MigrateOrder): void {
    if (!host.domains.has(uid) || host.guests.get(uid)?.migration?.id === id) return;
    this.saysOfMove(host, uid, { id, state: 'Sending', message: '' });
    const there = this.hosts.find(({ receiving }) => receiving.get(uid) === id);
    if (this.movesAtOnce && there) this.handOver(host, there, uid);
  }

  #endMove(host: FakeHost, { uid, id, gone, message }: MigrationEndOrder): void {
    if (host.receiving.get(uid) === id) this.refuse(host, uid, message);
    const said = host.guests.get(uid)?.migration;
    if (said?.id === id && (said.state === 'Sending' || (said.state === 'Undecided' && gone)))
      this.saysOfMove(host, uid, { id, state: 'Failed', message });
  }

  /** What the source tells of a migration from now on. */
  saysOfMove(host: FakeHost, uid: string, migration: MigrationReport): void {
    host.guests.set(uid, { ...host.guests.get(uid), migration });
    this.heartbeat(host);
  }

  /** The destination takes it over, and the source hears of it. */
  handOver(from: FakeHost, to: FakeHost, uid: string): void {
    this.take(to, uid);
    this.letGo(from, uid);
  }

  take(host: FakeHost, uid: string): void {
    const task = this.#taskOf(host, uid);
    host.receiving.delete(uid);
    host.domains.set(uid, (task.launch as MachineLaunch).attempt);
    this.#update(host, task, { state: 'TASK_RUNNING' });
    this.heartbeat(host);
  }

  letGo(host: FakeHost, uid: string): void {
    host.domains.delete(uid);
    host.guests.delete(uid);
    const migrated = { ...absent, class: 'Infrastructure', reason: 'Migrated', message: 'Moved' } as const;
    this.#end(host, this.#taskOf(host, uid), 'TASK_FINISHED', migrated);
    this.heartbeat(host);
  }

  refuse(host: FakeHost, uid: string, message = 'The memory did not come in time'): void {
    host.receiving.delete(uid);
    const refused = { ...absent, class: 'Infrastructure', reason: 'MigrationRefused', message } as const;
    this.#end(host, this.#taskOf(host, uid), 'TASK_FAILED', refused);
    this.heartbeat(host);
  }

  #taskOf(host: FakeHost, uid: string): FakeTask {
    const task = [...host.tasks.values()].find(({ launch }) => launch.uid === uid);
    if (!task) throw new Error(`Host ${host.hostname} has no task of ${uid}`);
    return task;
  }

  #send(event: object): void {
    this.#stream?.write(encodeRecord(event));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

/**
 * Sees everything as it is (hypervisors, store, what is said on the network) and says at once when a promise is broken
 * (docs/architecture.md): one machine, one life; nothing wanted is stopped; acknowledged means stored; intent before launch.
 */
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { parseTaskId } from '#lib/api/names.ts';
import { kindId } from '#lib/client/kind-id.ts';
import { decodeData } from '#mesos/bytes.ts';
import type { Operation, SchedulerCall, SchedulerEvent } from '#mesos/types.ts';
import type { RealHost, Witness } from './host.ts';
import type { World } from './world.ts';

type Accept = Extract<SchedulerCall, { type: 'ACCEPT' }>['accept'];

export class Observer implements Witness {
  #world!: World;
  /** Uuids of updates that prove the end of a task, with the task. */
  readonly #proofs = new Map<string, string>();
  /** Offers of the present session, by cluster server. */
  readonly #offers = new Map<string, Set<string>>();
  readonly #agentOf = new Map<string, string>();
  /** By uid: operations that may cut the power. */
  readonly mayCut = new Set<string>();

  watch(world: World): void {
    this.#world = world;
  }

  machines(): readonly VirtualMachine[] {
    return this.#world.api.store.list(kindId(VirtualMachine)) as readonly VirtualMachine[];
  }

  machine(uid: string): VirtualMachine | undefined {
    return this.machines().find(({ metadata }) => metadata.uid === uid);
  }

  started(host: RealHost, uid: string): void {
    const elsewhere = this.#world.hosts.find((each) => each.host !== host && each.host.live().includes(uid));
    if (elsewhere) this.#fail(`Machine ${uid} starts on ${host.hostname} while it lives on ${elsewhere.host.hostname}`);
    if (this.machine(uid) === undefined) this.#fail(`Machine ${uid} starts on ${host.hostname} and does not exist`);
  }

  cut(host: RealHost, uid: string, how: string): void {
    const vm = this.machine(uid);
    if (how === 'undefine' || !vm || vm.metadata.deletionTimestamp || this.mayCut.has(uid)) return;
    if (vm.spec.runPolicy === 'Halted' || vm.status?.requestedPower === 'Off') return;
    this.#fail(`Machine ${uid} (${vm.metadata.name}) is wanted, and gets a ${how} on ${host.hostname}`);
  }

  /** A call that reaches the master. */
  called(from: string, body: string): void {
    if (body.includes('"ACKNOWLEDGE"')) this.#acknowledged(JSON.parse(body) as SchedulerCall);
    if (body.includes('"ACCEPT"')) this.#accepted(from, (JSON.parse(body) as { accept: Accept }).accept);
  }

  /** An event on its way to a cluster server. */
  told(to: string, chunk: Buffer): void {
    const text = chunk.toString();
    if (!/"type":"(UPDATE|OFFERS|SUBSCRIBED)"/.test(text)) return;
    const event = JSON.parse(text.slice(text.indexOf('\n') + 1)) as SchedulerEvent;
    // The feed of the operator API begins with a SUBSCRIBED as well, which is no session of the framework.
    if (event.type === 'SUBSCRIBED' && event.subscribed.framework_id) this.#offers.set(to, new Set());
    if (event.type === 'OFFERS') for (const { id } of event.offers.offers) this.#offers.get(to)?.add(id.value);
    if (event.type !== 'UPDATE') return;
    const { uuid, data, task_id } = event.update.status;
    if (uuid && data && (decodeData(data) as { domainAbsent?: boolean }).domainAbsent)
      this.#proofs.set(uuid, task_id.value);
  }

  /** What must hold at every moment and shows in no single event. */
  check(): void {
    const addresses = new Map<string, string>();
    for (const { metadata, status } of this.machines())
      for (const { ip } of status?.networks ?? []) {
        const other = ip === undefined ? undefined : addresses.get(ip);
        if (other) this.#fail(`Machines ${other} and ${metadata.name} both have the address ${ip}`);
        if (ip) addresses.set(ip, metadata.name);
      }
    for (const { host } of this.#world.hosts) {
      const cores = host.live().reduce((sum, uid) => sum + host.domains.get(uid)!.spec.cores, 0);
      if (cores > 8) this.#fail(`Host ${host.hostname} has 8 cores, and machines with ${cores} live there`);
    }
  }

  #acknowledged(call: SchedulerCall): void {
    if (call.type !== 'ACKNOWLEDGE') return;
    const taskId = this.#proofs.get(call.acknowledge.uuid);
    const uid = taskId && parseTaskId(taskId)?.uid;
    if (uid && this.machine(uid)?.status?.attempt?.taskID === taskId)
      this.#fail(`The end of ${taskId} is acknowledged and not stored`);
  }

  #accepted(from: string, accept: Accept): void {
    for (const { value } of accept.offer_ids)
      if (!this.#offers.get(from)?.has(value))
        this.#fail(`${from} accepts offer ${value}, which is of no present session`);
    for (const operation of accept.operations ?? [])
      for (const task of operation.type === 'LAUNCH'
        ? (operation as Extract<Operation, { type: 'LAUNCH' }>).launch.task_infos
        : [])
        this.#launched(task.task_id.value, task.agent_id.value);
  }

  #launched(taskId: string, agentId: string): void {
    const known = this.#agentOf.get(taskId);
    if (known !== undefined && known !== agentId)
      this.#fail(`Task ${taskId} was launched on ${known}, now on ${agentId}`);
    this.#agentOf.set(taskId, agentId);
    const parsed = parseTaskId(taskId);
    const vm = parsed && this.machine(parsed.uid);
    if (!vm || parsed.type !== 'machine') return;
    const numbers = [vm.status?.attempt?.number, ...(vm.status?.attempts ?? []).map(({ number }) => number)];
    if (!numbers.some((number) => taskId.endsWith(`-${number}`)))
      this.#fail(`Task ${taskId} is launched, and no such attempt is stored`);
  }

  #fail(what: string): void {
    this.#world.failed(what);
  }
}

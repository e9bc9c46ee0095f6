/**
 * Sees everything as it is, hypervisors and store, and says at once when a promise is broken (docs/architecture.md): one machine, one
 * life; nothing wanted is stopped; nothing runs that nobody has; addresses are one machine's; specs are the users'. What is said on
 * the network is listened to in sessions.ts and executor-sessions.ts.
 */
import { isDeepStrictEqual } from 'node:util';
import { tombstoneOf } from '#lib/api/forgotten.ts';
import { Host, VirtualMachine } from '#lib/api/generated/index.ts';
import { type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import { hostObjectName } from '#lib/api/names.ts';
import { kindId } from '#lib/client/kind-id.ts';
import { ExecutorSessions } from './executor-sessions.ts';
import type { RealHost, Witness } from './host.ts';
import type { Ears } from './network.ts';
import { Sessions } from './sessions.ts';
import { clusterName, type World } from './world.ts';

interface Wish {
  readonly kind: Kind;
  /** As the API acknowledged it. */
  readonly object: KubeObject;
}

export class Observer implements Witness {
  #world!: World;
  sessions!: Sessions;
  /** All that listen to the network. */
  listeners: readonly Ears[] = [];
  /** What users last wrote and were told is stored, by kind and key. */
  readonly #wishes = new Map<string, Wish>();
  /** By uid: operations that may cut the power. */
  readonly mayCut = new Set<string>();

  watch(world: World): void {
    this.#world = world;
    this.sessions = new Sessions(world, (uid) => this.machine(uid));
    this.listeners = [this.sessions, new ExecutorSessions(world)];
  }

  machines(): readonly VirtualMachine[] {
    return this.#world.api.store.list(kindId(VirtualMachine)) as readonly VirtualMachine[];
  }

  machine(uid: string): VirtualMachine | undefined {
    return this.machines().find(({ metadata }) => metadata.uid === uid);
  }

  /** A user's write was acknowledged. */
  wished<T extends KubeObject>(kind: Kind<T>, object: T): void {
    this.#wishes.set(`${kindId(kind)} ${keyOf(object)}`, { kind, object });
  }

  /** A user has asked for it to go. */
  renounced(kind: Kind, key: string): void {
    this.#wishes.delete(`${kindId(kind)} ${key}`);
  }

  started(host: RealHost, uid: string): void {
    this.#isAlone(host, uid, 'starts');
    if (!host.disks.has(uid)) this.#fail(`Machine ${uid} starts on ${host.hostname} without its disk`);
    this.#isOwned(host, uid);
    this.#hasRoom(host, uid);
    this.#hasAddress(host, uid);
  }

  took(host: RealHost, uid: string): void {
    this.#isAlone(host, uid, 'is taken over');
    if (!host.disks.has(uid)) this.#fail(`Machine ${uid} is taken over by ${host.hostname} without its disk`);
    this.#isOwned(host, uid);
    this.#hasRoom(host, uid);
  }

  stayed(host: RealHost, uid: string): void {
    this.#isAlone(host, uid, 'goes on');
    this.#isOwned(host, uid);
  }

  #isAlone(host: RealHost, uid: string, what: string): void {
    const elsewhere = this.#world.hosts.find((each) => each.host !== host && each.host.live().includes(uid));
    if (elsewhere)
      this.#fail(`Machine ${uid} ${what} on ${host.hostname} while it lives on ${elsewhere.host.hostname}`);
  }

  cut(host: RealHost, uid: string, how: string): void {
    const vm = this.machine(uid);
    if (how === 'undefine' || !vm || vm.metadata.deletionTimestamp || this.mayCut.has(uid)) return;
    // A drain may be taken back while the order that it gave is on its way.
    if (this.sessions.killed.has(vm.status?.attempt?.taskID ?? '')) return;
    if (vm.status?.attempt?.drain || vm.spec.runPolicy === 'Halted' || vm.status?.requestedPower === 'Off') return;
    this.#fail(`Machine ${uid} (${vm.metadata.name}) is wanted, and gets a ${how} on ${host.hostname}`);
  }

  fenced(host: RealHost, uid: string): void {
    const vm = this.machine(uid);
    if (vm && vm.spec.disconnect?.selfFenceAfter === undefined)
      this.#fail(`Machine ${uid} (${vm.metadata.name}) is switched off by ${host.hostname}, and nobody asked for that`);
  }

  erased(host: RealHost, uid: string): void {
    if (host.live().includes(uid)) this.#fail(`The disk of machine ${uid} goes while it runs on ${host.hostname}`);
  }

  /** What must hold at every moment and shows in no single event. */
  check(): void {
    const machines = this.machines();
    this.#uniqueAddresses(machines);
    for (const { host } of this.#world.hosts) for (const uid of host.live()) this.#isOwned(host, uid);
    this.#keptWishes();
    this.sessions.check(machines);
  }

  /** An attempt is closed only on proof, and an object goes only after its attempt: what draws power has both. */
  #isOwned(host: RealHost, uid: string): void {
    const vm = this.machine(uid);
    const where = vm?.status?.attempt?.host;
    const isLetGo = !vm || (where === undefined && vm.metadata.deletionTimestamp !== undefined);
    if (isLetGo && this.#isForgotten(host, uid)) return;
    if (!vm) this.#fail(`Machine ${uid} runs on ${host.hostname} and does not exist`);
    // On its way to there it may have been taken over already.
    else if (where !== host.hostname && vm.status?.migration?.host !== host.hostname)
      this.#fail(`Machine ${uid} runs on ${host.hostname}, and its attempt is on ${where ?? 'no host'}`);
  }

  /** It was deleted, and its host did not answer: that it may run is noted. */
  #isForgotten({ hostname }: RealHost, uid: string): boolean {
    const object = this.#world.api.store.get(kindId(Host), hostObjectName(clusterName, hostname)) as Host | undefined;
    return tombstoneOf(object, uid) !== undefined;
  }

  #hasRoom(host: RealHost, starting: string): void {
    const specs = [...new Set([...host.live(), starting])].map((uid) => host.domains.get(uid)!.spec);
    const cores = specs.reduce((sum, spec) => sum + spec.cores, 0);
    const memory = specs.reduce((sum, { memoryMiB }) => sum + memoryMiB, 0);
    if (cores > host.cores || memory > host.memoryMiB)
      this.#fail(`Host ${host.hostname} has ${host.cores} cores, and machines with ${cores} and ${memory} MiB there`);
  }

  #hasAddress(host: RealHost, uid: string): void {
    for (const { vni, ip, subnetUID } of host.nics.get(uid) ?? [])
      for (const each of this.#world.hosts)
        for (const other of each.host.live())
          for (const network of other === uid ? [] : (each.host.nics.get(other) ?? [])) {
            if (network.vni !== vni) continue;
            if (network.subnetUID !== subnetUID) this.#fail(`Machines ${uid} and ${other} of two subnets share ${vni}`);
            if (network.ip === ip) this.#fail(`Machine ${uid} starts with address ${ip}, which machine ${other} has`);
          }
  }

  #uniqueAddresses(machines: readonly VirtualMachine[]): void {
    const holders = new Map<string, string>();
    for (const { metadata, status } of machines)
      for (const { ip, mac, subnetUID } of status?.networks ?? [])
        for (const address of [ip, mac].filter((each) => each !== undefined)) {
          const other = holders.get(`${subnetUID} ${address}`);
          if (other) this.#fail(`Machines ${other} and ${metadata.name} both have the address ${address}`);
          holders.set(`${subnetUID} ${address}`, metadata.name);
        }
  }

  #keptWishes(): void {
    for (const { kind, object } of this.#wishes.values()) {
      const now = this.#world.api.store.get(kindId(kind), keyOf(object));
      const name = `${kind.kind} ${keyOf(object)}`;
      if (now?.metadata.uid !== object.metadata.uid) this.#fail(`${name} is gone, and nobody deleted it`);
      else if (!isDeepStrictEqual(specOf(now), specOf(object)))
        this.#fail(`${name} is not as its user left it: ${JSON.stringify(specOf(now))}`);
    }
  }

  #fail(what: string): void {
    this.#world.failed(what);
  }
}

function specOf(object: KubeObject): unknown {
  return { spec: (object as { spec?: unknown }).spec, labels: object.metadata.labels };
}

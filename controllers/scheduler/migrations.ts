/**
 * Moves machines that run from host to host: those that a Migrate operation names, and those with evictionStrategy LiveMigrateIfPossible whose host
 * is drained. Finds the destination as for any machine, stores the intent, launches, and tells both hosts what they are to do until they say that they
 * know. What becomes of it is decided in migration.ts, and stored with the machine by machines.ts.
 */

import { parseDuration } from '#lib/api/duration.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { VMOperation } from '#lib/api/generated/vmoperation.ts';
import { migrationToken } from '#lib/api/host-endpoint.ts';
import type { SchedulerMessage } from '#lib/api/messages.ts';
import { keyOf } from '#lib/api/meta.ts';
import { migrationTries, whyNotMovable } from '#lib/api/migrations.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { type Eviction, type HostDrain, holdingBack } from './drain.ts';
import { drainOf } from './drains.ts';
import { isAlive } from './executor-book.ts';
import { launchOn } from './launcher.ts';
import { lookWork } from './look-task.ts';
import { memberOf } from './member.ts';
import { arrivalOf, asAttempt, type Migration, moving, type Telling, toBeTold, type Wish } from './migration.ts';
import { isOpenOperation, writeOperation } from './operation-status.ts';
import { osTypeOf, placeOn } from './place-on.ts';
import { placementAsk } from './placement-ask.ts';
import { type Attempt, deadSince, type Evidence } from './proof.ts';
import { askOf, incomingLaunch, sizeOf } from './tasks.ts';
import { buried } from './tombstones.ts';
import type { World } from './world.ts';

/** At once, as KubeVirt has it by default: in the cluster, and away from one host. Likewise towards one. */
export const migrationsAtOnce = { inCluster: 5, fromHost: 2, toHost: 2 } as const;

const repeatMs = 3_000;
const lookEveryMs = 60_000;
/** A drain lets a machine have so long for each GiB of its memory, and never less than the other. KubeVirt's default too. */
const perGiBMs = 150_000;
const leastMs = 5 * 60_000;
/** Less time than this before its host has to be empty is no time to begin. */
const usefulMs = 30_000;
/** A drain waits so long for a host that could take the machine over; then it is stopped, as it would be without. */
const patienceMs = 5 * 60_000;
/** After the first failure a drain tries again after this, then twice that. */
const retryMs = 15_000;

export interface MigrationsOptions {
  readonly world: World;
  /** No launches before the first reconciliation of a session is done. */
  readonly mayLaunch: () => boolean;
  readonly neverSent: (taskId: string, key: string) => void;
  readonly due: (key: string) => void;
}

interface Wanted {
  readonly vm: VirtualMachine;
  readonly wish: Omit<Wish, 'id'>;
  /** Why not now, for whoever asked. */
  readonly onRefusal: (why: string) => Promise<void>;
}

export class Migrations {
  readonly #world: World;
  readonly #options: MigrationsOptions;
  /** Order and host -> (monotonic) when it was sent last. */
  readonly #sentMs = new Map<string, number>();
  readonly #lookedMs = new Map<string, number>();
  /** uid -> (monotonic) since when its drain finds no host for it. */
  readonly #homelessMs = new Map<string, number>();
  /** uids of machines that are on their way, or are to be. */
  readonly #moving = new Set<string>();
  /** Keys of machines whose intent is being stored. */
  readonly #busy = new Set<string>();
  #looking = false;
  #wants = false;

  constructor(options: MigrationsOptions) {
    this.#options = options;
    this.#world = options.world;
  }

  /** Offers are wanted, and time may give it something to do. */
  get hasWork(): boolean {
    return this.#wants;
  }

  /** `vm` as it is now; undefined: it is gone, or no longer this cluster's. Looking at all machines every second would cost too much. */
  machineChanged(uid: string, vm: VirtualMachine | undefined): void {
    if (vm?.status?.migration || vm?.status?.attempt?.drain?.state === 'Migrating') this.#moving.add(uid);
    else this.#moving.delete(uid);
  }

  /** To be called every second or so. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      await this.#lookOnce();
    } finally {
      this.#looking = false;
    }
  }

  async #lookOnce(): Promise<void> {
    this.#forgetOld();
    const wanted = [...(await this.#operations()), ...this.#drained()];
    const isBlind = await this.#lookAtBlind();
    this.#wants = wanted.length > 0 || isBlind;
    if (!this.#options.mayLaunch()) return;
    for (const one of wanted) {
      try {
        const refusal = await this.#begin(one);
        if (refusal !== undefined) await one.onRefusal(refusal);
      } catch (error) {
        if (!isCode(error, 'Conflict', 'NotFound'))
          this.#world.log.warn('Migration not begun', { machine: keyOf(one.vm), reason: messageOf(error) });
      }
    }
  }

  #forgetOld(): void {
    const nowMs = this.#world.clock.monotonic();
    for (const [known, sentMs] of this.#sentMs) if (nowMs - sentMs >= repeatMs) this.#sentMs.delete(known);
    for (const [known, lookedMs] of this.#lookedMs) if (nowMs - lookedMs >= lookEveryMs) this.#lookedMs.delete(known);
    for (const uid of this.#homelessMs.keys())
      if (this.#world.machines.byUid(uid)?.status?.attempt?.drain === undefined) this.#homelessMs.delete(uid);
  }

  /** Ends those that are done, and gives those that want a host. */
  async #operations(): Promise<readonly Wanted[]> {
    const wanted: Wanted[] = [];
    for (const operation of this.#world.operations.list()) {
      if (operation.spec.type !== 'Migrate' || !isOpenOperation(operation)) continue;
      try {
        wanted.push(...(await this.#advance(operation)));
      } catch (error) {
        if (!isCode(error, 'Conflict', 'NotFound'))
          this.#world.log.warn('Operation not advanced', { operation: keyOf(operation), reason: messageOf(error) });
      }
    }
    return wanted;
  }

  async #advance(operation: VMOperation): Promise<readonly Wanted[]> {
    const { clock, cluster, machines } = this.#world;
    const vm = machines.byUid(operation.status?.vmUID ?? '');
    const { attempt, migration, lastMigration: last } = vm?.status ?? {};
    const { uid, creationTimestamp } = operation.metadata;
    if (!vm) return [];
    const nowMs = clock.now();
    const finish = async (phase: 'Completed' | 'Failed', message: string) =>
      await writeOperation(this.#world, operation, { phase, message, finishedAt: timestamp(nowMs) });
    if (last?.operation === uid) {
      if (last.outcome === 'Completed') await finish('Completed', `Moved to host ${last.host} as it ran`);
      else await finish('Failed', `Not moved to host ${last.host}: ${last.message}`);
      return [];
    }
    if (attempt?.cluster !== cluster) return [];
    const startedAt = operation.status?.startedAt ?? creationTimestamp;
    const deadlineMs = Date.parse(startedAt) + parseDuration(operation.spec.timeout);
    if (migration) {
      if (migration.operation === uid && operation.status?.phase === 'Pending')
        await writeOperation(this.#world, operation, {
          ...{ phase: 'InProgress', startedAt: migration.since },
          message: `Moves from host ${attempt.host} to host ${migration.host}`,
        });
      return [];
    }
    const said = operation.status?.message ?? '';
    if (nowMs >= deadlineMs) await finish('Failed', `Not begun within ${operation.spec.timeout}: ${said}`);
    const refusal = nowMs >= deadlineMs ? undefined : this.#whyNever(vm);
    if (refusal !== undefined) await finish('Failed', refusal);
    if (nowMs >= deadlineMs || refusal !== undefined || this.#isTooSoon(last)) return [];
    const onRefusal = async (why: string) => {
      if (why !== said) await writeOperation(this.#world, operation, { phase: 'Pending', message: why });
    };
    return [{ vm, wish: { reason: 'Operation', operation: uid, deadlineMs }, onRefusal }];
  }

  #drained(): readonly Wanted[] {
    const { clock, cluster } = this.#world;
    return this.#onTheirWay().flatMap((vm): Wanted[] => {
      const { attempt, migration, lastMigration } = vm.status ?? {};
      if (attempt?.cluster !== cluster || attempt.drain?.state !== 'Migrating' || migration) return [];
      if (this.#isTooSoon(lastMigration)) return [];
      const drain = drainOf(this.#world, attempt.host ?? '');
      if (!drain || !this.#mayTry(vm, attempt, drain)) return [];
      const nowMs = clock.now();
      const ownMs = Math.max(leastMs, Math.ceil(sizeOf(vm).memoryMiB / 1024) * perGiBMs);
      const deadlineMs = Math.min(nowMs + ownMs, lastCallMs(vm, drain));
      const onRefusal = async () => {
        const { metadata } = vm;
        if (!this.#homelessMs.has(metadata.uid)) this.#homelessMs.set(metadata.uid, clock.monotonic());
        this.#options.due(keyOf(vm));
      };
      return [{ vm, wish: { reason: 'Drain', deadlineMs }, onRefusal }];
    });
  }

  #onTheirWay(): readonly VirtualMachine[] {
    return [...this.#moving].flatMap((uid) => this.#world.machines.byUid(uid) ?? []);
  }

  #isTooSoon(last: NonNullable<VirtualMachine['status']>['lastMigration']): boolean {
    if (last?.outcome !== 'Failed') return false;
    return this.#world.clock.now() < Date.parse(last.ended) + retryMs * 2 ** Math.min(4, (last.failures ?? 1) - 1);
  }

  /** Why it cannot be moved at all, however long one waits. */
  #whyNever(vm: VirtualMachine): string | undefined {
    const { executors, restores } = this.#world;
    const { host = '', number } = vm.status?.attempt ?? {};
    const machine = `Machine ${vm.metadata.name}`;
    const restored = restores
      .list()
      .find(
        ({ spec, status }) =>
          spec.target.newVM === undefined && status?.vmUID === vm.metadata.uid && status.attempt === number,
      );
    if (restored?.status?.phase === 'Completed' || restored?.status?.phase === 'InProgress')
      return `${machine} has a disk that was restored from a snapshot (${restored.metadata.name}), and does not stand on its image: it cannot be moved as it runs`;
    const executor = executors.get(host);
    if (executor && !executor.heartbeat.facts.migrates)
      return `Host ${host} cannot hand over machines that run: its executor is too old, or its hypervisor has no such thing`;
    return whyNotMovable(vm);
  }

  /** Why not now. */
  #whyWaits(vm: VirtualMachine): string | undefined {
    const { clock, executors, machines, operations, snapshots } = this.#world;
    const { uid } = vm.metadata;
    const source = vm.status?.attempt?.host ?? '';
    const executor = executors.get(source);
    if (!isAlive(executor, clock.monotonic())) return `Host ${source} does not answer`;
    const report = executor.machines.get(uid);
    if (report?.attempt !== vm.status?.attempt?.number) return `Host ${source} has not told of it yet`;
    const { migration: said } = report ?? {};
    if (said && said.state !== 'Failed') return `Host ${source} has not ended its last migration yet`;
    const isBusy = (status: { readonly vmUID?: string; readonly phase?: string } | undefined) =>
      status?.vmUID === uid && status.phase === 'InProgress';
    const other = operations.list().find(({ spec, status }) => spec.type !== 'Migrate' && isBusy(status));
    if (other) return `Operation ${other.metadata.name} goes on`;
    const snapshot = snapshots.list().find(({ status }) => isBusy(status));
    if (snapshot) return `Snapshot ${snapshot.metadata.name} is being taken`;
    const open = machines.list().flatMap(({ status }) => (status?.migration && status.attempt ? [status] : []));
    if (open.length >= migrationsAtOnce.inCluster)
      return `As many machines are being moved in the cluster as may at once (${migrationsAtOnce.inCluster})`;
    if (open.filter(({ attempt }) => attempt?.host === source).length >= migrationsAtOnce.fromHost)
      return `As many machines leave host ${source} as may at once (${migrationsAtOnce.fromHost})`;
    return undefined;
  }

  /** Why it was not begun; undefined if it was, or if somebody else wrote meanwhile. */
  async #begin({ vm: seen, wish }: Wanted): Promise<string | undefined> {
    const { client, clock, cluster, installation, ledger, log, machines, random } = this.#world;
    const vm = machines.byUid(seen.metadata.uid);
    if (!vm?.status?.attempt || vm.status.migration || vm.metadata.deletionTimestamp) return undefined;
    if (vm.status.attempt.cluster !== cluster || this.#busy.has(keyOf(vm))) return undefined;
    const waits = this.#whyNever(vm) ?? this.#whyWaits(vm);
    if (waits !== undefined) return waits;
    const found = this.#choose(vm);
    const place = found.host === undefined ? undefined : placeOn(this.#world, found.host);
    if (!place) return (await this.#rouse(vm)) ?? found.refusal ?? `Host ${found.host} has just gone`;
    this.#homelessMs.delete(vm.metadata.uid);
    this.#busy.add(keyOf(vm));
    try {
      ledger.occupy(arrivalOf(vm.metadata.uid), place.hostname, askOf(vm), memberOf(vm), 'Arriving');
      const status = moving(vm, place, { id: random.uuid(), ...wish }, clock.now());
      const stored = await client.updateStatus(VirtualMachine, { ...vm, status });
      machines.wrote(stored);
      log.info('Moving', { machine: keyOf(vm), from: vm.status.attempt.host, to: place.hostname });
      const timeoutMs = leftMs(wish.deadlineMs, clock.now());
      const launch = incomingLaunch(stored, osTypeOf(this.#world, stored), installation, timeoutMs);
      const sent = await launchOn(this.#world, place.hostname, [{ launch, ask: askOf(stored) }]);
      if (sent === 'NotSent') this.#options.neverSent(status.migration!.taskID, keyOf(vm));
    } finally {
      this.#busy.delete(keyOf(vm));
      // It is in the books there in advance; the next look takes it off if the intent was not stored.
      this.#options.due(keyOf(vm));
    }
    return undefined;
  }

  /** By the rules of placement, as if it ran nowhere now. */
  #choose(
    vm: VirtualMachine,
    suited = new Set(this.#suited(vm)),
  ): { readonly host: string | undefined; readonly refusal?: string } {
    const { cluster, ledger, placement } = this.#world;
    const { uid } = vm.metadata;
    const ask = { ...placementAsk(vm, cluster), suits: (hostname: string) => suited.has(hostname) };
    const own = ledger.placeOf(uid);
    ledger.release(uid);
    try {
      const host = placement.choose(ask);
      return host === undefined ? { host, refusal: `${cluster}: ${placement.explain(ask).message}` } : { host };
    } finally {
      if (own) ledger.occupy(uid, own.hostname, own.ask, own.member, own.standing);
    }
  }

  /**
   * An executor is started with a task: where none runs, as on hosts that had no machine yet, nobody could say what the host can. One is started where
   * the machine would fit. What is waited for then; undefined: there is no such host.
   */
  async #rouse(vm: VirtualMachine): Promise<string | undefined> {
    const { agents, clock, executors } = this.#world;
    const nowMs = clock.monotonic();
    const mute = agents.all().filter(({ active, hostname }) => active && !isAlive(executors.get(hostname), nowMs));
    const roused = mute.map(({ hostname }) => hostname).find((hostname) => this.#lookedMs.has(hostname));
    const host = roused ?? this.#choose(vm, new Set(mute.map(({ hostname }) => hostname))).host;
    if (host === undefined) return undefined;
    if (roused === undefined) {
      const note = { namespace: vm.metadata.namespace!, name: vm.metadata.name };
      if ((await launchOn(this.#world, host, [lookWork(this.#world, note)])) === 'NotSent') return undefined;
      this.#lookedMs.set(host, nowMs);
    }
    return `Host ${host} is asked whether it can take it over`;
  }

  /** Hosts that could take it over, were there room. */
  #suited(vm: VirtualMachine): readonly string[] {
    const { clock, executors, machines } = this.#world;
    const { uid } = vm.metadata;
    const source = executors.get(vm.status?.attempt?.host ?? '');
    if (!source || buried(this.#world).has(uid)) return [];
    const arriving = machines.list().flatMap(({ status }) => status?.migration?.host ?? []);
    const { hypervisor, kvm, cpuModel } = source.heartbeat.facts;
    return executors
      .alive(clock.monotonic())
      .filter(({ hostname, heartbeat: { facts, console }, inventory, machines: told }) => {
        const isSame = facts.hypervisor === hypervisor && facts.kvm === kvm && facts.cpuModel === cpuModel;
        const isClean = !told.has(uid) && !inventory?.uids.has(uid) && !inventory?.content.disks.includes(uid);
        const isBusy = arriving.filter((host) => host === hostname).length >= migrationsAtOnce.toHost;
        return hostname !== source.hostname && facts.migrates && isSame && console && isClean && !isBusy;
      })
      .map(({ hostname }) => hostname);
  }

  /** What a drain means for a machine that wants to be moved as it runs. */
  evictionOf(vm: VirtualMachine, attempt: Attempt, drain: HostDrain, eviction: Eviction): Eviction {
    const { migration, phase } = vm.status ?? {};
    if (vm.spec.evictionStrategy !== 'LiveMigrateIfPossible' && !migration) return eviction;
    if (attempt.drain?.state === 'Evicting') return eviction;
    if (migration) return holdingBack(drain, `it is moved to host ${migration.host} as it runs`, undefined);
    const leftMs = lastCallMs(vm, drain) - this.#world.clock.now();
    if (phase === 'Unreachable' && leftMs > usefulMs)
      return holdingBack(drain, 'it waits for its host to answer, to be moved as it runs', leftMs);
    if (!this.#mayTry(vm, attempt, drain)) return eviction;
    const againMs = Math.min(repeatMs, Math.max(1, leftMs - usefulMs));
    return holdingBack(drain, 'it is to be moved to another host as it runs', againMs);
  }

  #mayTry(vm: VirtualMachine, attempt: Attempt, drain: HostDrain): boolean {
    const { clock } = this.#world;
    const last = vm.status?.lastMigration;
    if (vm.spec.evictionStrategy !== 'LiveMigrateIfPossible') return false;
    // Mesos ends what is there by itself, and waits for nobody.
    if (drain.cause === 'MesosAgent' || this.#whyNever(vm) !== undefined) return false;
    if (last?.outcome === 'Failed' && last.from === attempt.number && (last.failures ?? 0) >= migrationTries)
      return false;
    if (lastCallMs(vm, drain) - clock.now() < usefulMs) return false;
    const homelessMs = this.#homelessMs.get(vm.metadata.uid);
    return homelessMs === undefined || clock.monotonic() - homelessMs < patienceMs;
  }

  /** Why nobody wants it any more. */
  cancelOf({ metadata }: VirtualMachine, { operation, host }: Migration): string | undefined {
    const { operations } = this.#world;
    const asked = operation === undefined ? undefined : operations.byUid(operation);
    if (operation !== undefined && (!asked || !isOpenOperation(asked)))
      return 'The operation that asked for it is gone, or was given up';
    const stop = operations
      .list()
      .find((each) => each.spec.type === 'Stop' && each.status?.vmUID === metadata.uid && isOpenOperation(each));
    if (stop) return `It is to be stopped (operation ${stop.metadata.name})`;
    return drainOf(this.#world, host) ? `Host ${host} is drained itself` : undefined;
  }

  /** `telling`: of an open migration; without one, what the source may wait for. */
  async tell(vm: VirtualMachine, source: Evidence, telling: Telling | undefined): Promise<void> {
    const { attempt, migration } = vm.status ?? {};
    if (migration && telling) return await this.#tellOpen(vm, attempt!, migration, telling);
    const last = toBeTold(vm, source);
    if (last) await this.#end(attempt?.host ?? '', vm, last.id, true, last.message ?? '');
  }

  async #tellOpen(vm: VirtualMachine, attempt: Attempt, migration: Migration, telling: Telling): Promise<void> {
    const { id, ending = '' } = migration;
    if (telling.endSource) await this.#end(attempt.host ?? '', vm, id, false, ending);
    if (telling.endDestination) await this.#end(migration.host, vm, id, false, ending);
    if (telling.send) await this.#migrate(vm, attempt, migration);
  }

  async #migrate(vm: VirtualMachine, attempt: Attempt, { id, host, deadline }: Migration): Promise<void> {
    const { clock, executors } = this.#world;
    const { uid } = vm.metadata;
    const endpoint = executors.get(host)?.heartbeat.console;
    if (!endpoint) return;
    const { url, certificateSha256, token } = endpoint;
    await this.#send(attempt.host ?? '', {
      ...{ type: 'migrate', version: 1, id, uid, attempt: attempt.number ?? 1 },
      to: { hostname: host, url, certificateSha256, token: migrationToken(token, uid, id) },
      timeoutMs: leftMs(Date.parse(deadline), clock.now()),
    });
  }

  async #end(hostname: string, vm: VirtualMachine, id: string, gone: boolean, message: string): Promise<void> {
    await this.#send(hostname, { type: 'migration-end', version: 1, id, uid: vm.metadata.uid, gone, message });
  }

  async #send(
    hostname: string,
    order: Extract<SchedulerMessage, { type: 'migrate' | 'migration-end' }>,
  ): Promise<void> {
    const nowMs = this.#world.clock.monotonic();
    const sending = `${order.type} ${order.id} ${hostname}`;
    if (nowMs - (this.#sentMs.get(sending) ?? Number.NEGATIVE_INFINITY) < repeatMs) return;
    this.#sentMs.set(sending, nowMs);
    await this.#world.tell(hostname, order);
  }

  /**
   * Destinations whose task is dead, and where nobody is who could say what is left: Mesos starts an executor with a task. True while one of them waits
   * for an offer.
   */
  async #lookAtBlind(): Promise<boolean> {
    const { agents, clock, executors, tasks } = this.#world;
    let isWanted = false;
    for (const vm of this.#onTheirWay()) {
      const { migration } = vm.status ?? {};
      if (!migration || migration.cluster !== this.#world.cluster) continue;
      const { host, taskID } = migration;
      const agent = agents.get(host);
      const evidence = { task: tasks.get(taskID), hostAgentId: agent?.agentId, hostAgentSinceMs: agent?.sinceMs ?? 0 };
      if (!agent?.active || isAlive(executors.get(host), clock.monotonic())) continue;
      if (deadSince(asAttempt(migration), evidence) === undefined || this.#lookedMs.has(host)) continue;
      const note = { namespace: vm.metadata.namespace!, name: vm.metadata.name };
      const isSent =
        this.#options.mayLaunch() && (await launchOn(this.#world, host, [lookWork(this.#world, note)])) === 'Sent';
      if (isSent) this.#lookedMs.set(host, clock.monotonic());
      else isWanted = true;
    }
    return isWanted;
  }
}

/** Whole milliseconds, and some: hosts take nothing else. */
function leftMs(deadlineMs: number, nowMs: number): number {
  return Math.max(1_000, Math.ceil(deadlineMs - nowMs));
}

/** In milliseconds since 1970: when its host's drain would stop it at the latest, for its grace to end in time. */
function lastCallMs({ spec }: VirtualMachine, { deadlineMs }: HostDrain): number {
  return (deadlineMs ?? Number.POSITIVE_INFINITY) - parseDuration(spec.terminationGracePeriod);
}

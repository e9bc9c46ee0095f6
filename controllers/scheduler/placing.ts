/**
 * Gives machines a host: plans in one go without waiting for anything, stores every intent, and only then asks Mesos. Two kinds of work:
 * machines that wait in phase Scheduling, and repairs, which are bound to the host where they are.
 */
import { isDeepStrictEqual } from 'node:util';
import { conditionOf } from '#lib/api/conditions.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { keyOf } from '#lib/api/meta.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { adopting, enter, intended, type MachineStatus, sentOnceMore } from './attempt.ts';
import { GangRoom } from './gang-room.ts';
import { gangsOf } from './gangs.ts';
import { Holes, nominatedHost } from './holes.ts';
import { type JointLaunch, jointLaunches } from './joint-launch.ts';
import { limitOn } from './launch-limits.ts';
import { launchOn } from './launcher.ts';
import { MakingRoom } from './making-room.ts';
import { osTypeOf, placeOn } from './place-on.ts';
import type { Refusal } from './placement.ts';
import { planRound } from './round.ts';
import { askOf, machineLaunch } from './tasks.ts';
import { dominantShare, inFairOrder, waitsFor } from './waiting.ts';
import type { World } from './world.ts';

/** Machines placed in one go; the next go follows at once. Bounds the time that the event loop is busy with it. */
const atOnce = 500;
/** A message about missing room is written again after this, not whenever a number in it changes. */
const refusalPaceMs = 20_000;
/** A repair that came to nothing is tried again later each time: an adoption is an attempt of its own, and a write. */
const repairRetry = { firstMs: 3_000, maxMs: 60_000 } as const;

interface Repair {
  readonly kind: 'again' | 'adopt';
  readonly host: string;
}

/** Of one machine, as long as they come to nothing. */
interface RepairTries {
  readonly failures: number;
  /** Monotonic: not before. */
  readonly nextMs: number;
}

export interface PlacingOptions {
  readonly world: World;
  /** No launches before the first reconciliation of a session is done. */
  readonly mayLaunch: () => boolean;
  readonly neverSent: (taskId: string, key: string) => void;
  readonly due: (key: string) => void;
}

export class Placing {
  readonly #world: World;
  readonly #options: PlacingOptions;
  readonly #waiting = new Set<string>();
  readonly #repairs = new Map<string, Repair>();
  readonly #tries = new Map<string, RepairTries>();
  readonly #refusedMs = new Map<string, number>();
  /** Keys whose intent is being stored. */
  readonly #busy = new Set<string>();
  readonly #gangRoom: GangRoom;
  readonly #holes: Holes;
  readonly #makingRoom: MakingRoom;
  #wake = Promise.withResolvers<void>();

  constructor(options: PlacingOptions) {
    this.#options = options;
    this.#world = options.world;
    this.#gangRoom = new GangRoom(options.world.ledger, options.world.clock);
    this.#holes = new Holes(options.world.ledger, options.world.clock);
    this.#makingRoom = new MakingRoom(options.world, options.due);
  }

  get hasWork(): boolean {
    return this.#waiting.size > 0 || this.#repairs.size > 0;
  }

  /** Looks at this machine: it waits for a place, or no longer. */
  consider(vm: VirtualMachine | undefined, key: string): void {
    this.#repairs.delete(key);
    this.#tries.delete(key);
    if (vm && waitsFor(vm, this.#world.cluster)) {
      this.#waiting.add(key);
      this.wake();
    } else {
      this.#waiting.delete(key);
      this.#refusedMs.delete(key);
    }
  }

  repair(vm: VirtualMachine, kind: Repair['kind']): void {
    this.#waiting.delete(keyOf(vm));
    this.#repairs.set(keyOf(vm), { kind, host: vm.status!.attempt!.host! });
    this.wake();
  }

  repaired(key: string): void {
    this.#repairs.delete(key);
  }

  /** Something changed that may give a machine its place, if one waits for it. */
  wake(): void {
    if (this.hasWork) this.#wake.resolve();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#world;
    signal.addEventListener('abort', () => this.#wake.resolve(), { once: true });
    while (!signal.aborted) {
      await this.#wake.promise;
      // What arrives together is planned together: one ACCEPT per host instead of one per machine.
      await clock.sleep(20, signal).catch(() => undefined);
      this.#wake = Promise.withResolvers<void>();
      if (signal.aborted) return;
      try {
        if (this.#options.mayLaunch()) await this.#round();
      } catch (error) {
        log.error('A round of placing failed', { error });
      }
    }
  }

  async #round(): Promise<void> {
    const { ledger, placement } = this.#world;
    const strays = this.#strays();
    const isHeld = ({ metadata }: VirtualMachine) => strays.has(metadata.uid);
    const total = ledger.total();
    const pending = this.#pending();
    const gangs = gangsOf(pending, () => this.#live());
    this.#gangRoom.look(gangs);
    this.#holes.look(pending);
    const { planned, together, refused, more } = planRound({
      waiting: inFairOrder(pending, (tenant) => dominantShare(ledger.usageOf(tenant), total)),
      ...{ cluster: this.#world.cluster, ledger, placement, isHeld, atOnce },
      limitOn: (member) => limitOn(member, this.#world),
      gangs: { waiting: gangs, room: this.#gangRoom },
      holes: this.#holes,
    });
    const joint = jointLaunches(together, planned, this.#world);
    await Promise.all([
      ...[...this.#repairsByHost()].map(([host, keys]) => this.#repairHost(host, keys)),
      ...[...planned].map(([host, keys]) => this.#launchHost(host, keys, joint)),
    ]);
    for (const [key, refusal] of refused) await this.#tellRefusal(key, refusal);
    await this.#makingRoom.takeBack(gangs.values());
    await this.#makingRoom.preempt(refused, () => this.#live(), this.#holes);
    if (more) this.wake();
  }

  #live(): readonly VirtualMachine[] {
    const { machines, cluster } = this.#world;
    return machines
      .list()
      .filter(({ status }) => status?.attempt?.cluster === cluster || status?.phase === 'Succeeded');
  }

  #pending(): readonly VirtualMachine[] {
    const machines = [...this.#waiting].flatMap((key) => this.#world.machines.get(key) ?? []);
    return machines.filter((vm) => waitsFor(vm, this.#world.cluster) && !this.#busy.has(keyOf(vm)));
  }

  /** uids of which a domain was seen: without a live attempt, it must be gone before another begins. */
  #strays(): ReadonlySet<string> {
    const uids = new Set<string>();
    for (const { inventory } of this.#world.executors.alive(this.#world.clock.monotonic()))
      for (const uid of inventory?.uids.keys() ?? []) uids.add(uid);
    return uids;
  }

  async #launchHost(host: string, keys: readonly string[], joint: ReadonlyMap<string, JointLaunch>): Promise<void> {
    const intents = await Promise.all(keys.map((key) => this.#storeLaunch(key, host, joint.get(key))));
    const stored = intents.filter((vm) => vm !== undefined);
    const ready: VirtualMachine[] = [];
    for (const vm of stored) {
      const isOn = (await joint.get(keyOf(vm))?.decided) ?? true;
      if (isOn) ready.push(vm);
      else this.#options.neverSent(vm.status!.attempt!.taskID!, keyOf(vm));
    }
    await this.#send(host, ready);
  }

  async #storeLaunch(key: string, host: string, joint: JointLaunch | undefined): Promise<VirtualMachine | undefined> {
    const place = placeOn(this.#world, host);
    let stored: VirtualMachine | undefined;
    try {
      stored = await this.#storeIntent(
        key,
        (vm) => place && intended(vm, place, this.#world.clock.now(), joint?.launch),
      );
    } finally {
      joint?.stored(stored !== undefined);
    }
    return stored;
  }

  async #repairHost(host: string, keys: readonly string[]): Promise<void> {
    const place = placeOn(this.#world, host);
    const room = this.#world.ledger.offeredOn(host);
    if (!place || !room) return;
    const ready: VirtualMachine[] = [];
    let left = room;
    for (const key of keys) {
      const vm = this.#world.machines.get(key);
      const repair = this.#repairs.get(key);
      if (!vm?.status?.attempt || !repair || this.#busy.has(key)) continue;
      const ask = askOf(vm);
      if (ask.cpu > left.cpu || ask.mem > left.mem) continue;
      left = { cpu: left.cpu - ask.cpu, mem: left.mem - ask.mem };
      this.#tries.set(key, this.#nextTry(key));
      this.#repairs.delete(key);
      const before = vm.status.attempt.taskID;
      const isAgain = repair.kind === 'again';
      if (isAgain) {
        // What Mesos said of the task's former life would be taken for news of the new one, from the moment on at which that is stored.
        this.#world.sentAgain.add(before!);
        this.#world.tasks.forget(before!);
      }
      const intent = await this.#storeIntent(key, (now) => {
        if (now.status?.attempt?.taskID !== before) return undefined;
        return isAgain ? sentOnceMore(now) : adopting(now, place, this.#world.clock.now());
      });
      if (intent) ready.push(intent);
    }
    await this.#send(host, ready);
  }

  /** The stored object with the intent in it; undefined if somebody else was faster: then nothing may be launched. */
  async #storeIntent(
    key: string,
    intent: (vm: VirtualMachine) => MachineStatus | undefined,
  ): Promise<VirtualMachine | undefined> {
    const vm = this.#world.machines.get(key);
    const status = vm && intent(vm);
    if (!vm || !status) return undefined;
    this.#busy.add(key);
    try {
      const stored = await this.#world.client.updateStatus(VirtualMachine, { ...vm, status });
      this.#world.machines.wrote(stored);
      this.#waiting.delete(key);
      this.#refusedMs.delete(key);
      return stored;
    } catch (error) {
      if (!isCode(error, 'Conflict', 'NotFound'))
        this.#world.log.warn('Intent not stored', { machine: key, reason: messageOf(error) });
      return undefined;
    } finally {
      this.#busy.delete(key);
      // The ledger has the machine on this host in advance; the next look takes it off if the intent was not stored.
      this.#options.due(key);
    }
  }

  async #send(host: string, machines: readonly VirtualMachine[]): Promise<void> {
    if (machines.length === 0) return;
    const works = machines.map((vm) => ({
      launch: machineLaunch(vm, osTypeOf(this.#world, vm), this.#world.installation),
      ask: askOf(vm),
    }));
    if ((await launchOn(this.#world, host, works)) === 'Sent') return;
    for (const vm of machines) {
      const { taskID, adopted, sends = 1 } = vm.status!.attempt!;
      if (!adopted && sends === 1) this.#options.neverSent(taskID!, keyOf(vm));
      else this.#repairs.set(keyOf(vm), { kind: 'again', host });
    }
  }

  #repairsByHost(): Map<string, string[]> {
    const byHost = new Map<string, string[]>();
    const nowMs = this.#world.clock.monotonic();
    for (const [key, { host }] of this.#repairs) {
      if (nowMs < (this.#tries.get(key)?.nextMs ?? 0)) continue;
      byHost.set(host, [...(byHost.get(host) ?? []), key]);
    }
    return byHost;
  }

  /** One that lasted was a good one: the next is the first again. */
  #nextTry(key: string): RepairTries {
    const { clock, random } = this.#world;
    const nowMs = clock.monotonic();
    const before = this.#tries.get(key);
    const failures = before === undefined || nowMs > before.nextMs + repairRetry.maxMs ? 1 : before.failures + 1;
    return { failures, nextMs: nowMs + backoffMs(failures, repairRetry, random) };
  }

  /** Says on the machine why it waits; seldom, since the numbers change all the time. */
  async #tellRefusal(key: string, { reason, message }: Refusal): Promise<void> {
    const vm = this.#world.machines.get(key);
    if (!vm || !waitsFor(vm, this.#world.cluster)) return;
    const hole = nominatedHost(vm, this.#world.clock.now());
    const made = hole === undefined ? '' : `. Room is made for it on host ${hole} until ${vm.status?.nominated?.until}`;
    const text = `${this.#world.cluster}: ${message}${made}`;
    const known = conditionOf(vm, 'Scheduled');
    if (known?.reason === reason && known.message === text) return;
    const nowMs = this.#world.clock.monotonic();
    const refusedMs = this.#refusedMs.get(key);
    // That Mesos has not offered yet, or that others start first, is no news at first: it takes seconds.
    if (refusedMs === undefined && (reason === 'NoOffers' || reason === 'LaunchLimit'))
      return void this.#refusedMs.set(key, nowMs);
    if (refusedMs !== undefined && nowMs - refusedMs < refusalPaceMs) return;
    this.#refusedMs.set(key, nowMs);
    const entered = enter(vm.status!, vm, 'Scheduling', this.#world.clock.now(), [
      { type: 'Scheduled', status: 'False', reason, message: text },
    ]);
    const status = { ...entered, displayStatus: 'NoCapacity' };
    if (isDeepStrictEqual(status, vm.status)) return;
    try {
      this.#world.machines.wrote(await this.#world.client.updateStatus(VirtualMachine, { ...vm, status }));
    } catch (error) {
      if (!isCode(error, 'Conflict', 'NotFound')) throw error;
    }
  }
}

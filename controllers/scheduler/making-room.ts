/**
 * Takes machines off their hosts for others: those of lower priority for one that may preempt them, and those of a gang that was started in
 * part. Level-triggered: what is to go is worked out anew each time, so that a crash between two steps is made good by the next look.
 */
import { conditionOf } from '#lib/api/conditions.ts';
import { parseDuration } from '#lib/api/duration.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { keyOf } from '#lib/api/meta.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isCode } from '#lib/std/errors.ts';
import type { MachineStatus } from './attempt.ts';
import { evicting } from './drain.ts';
import { type Gang, startedInPart } from './gangs.ts';
import { type Holes, nominatedHost } from './holes.ts';
import type { Refusal } from './placement.ts';
import { placementAsk } from './placement-ask.ts';
import { isLeaving, type Preemption, type PreemptionInput, preemption, preemptionOn } from './preemption.ts';
import type { World } from './world.ts';

/** A machine has to have been refused for so long: room is often only on its way. */
const patienceMs = 5_000;
/** Beside the victims' own grace: until their end is proven. */
const proofMs = 2 * 60_000;
/** A hole that came to nothing is not made again at once. */
const pauseMs = 5 * 60_000;
/** Machines that room is made for at once. */
const atOnce = 10;
/** Between two looks for one machine: each tries hosts, and rounds follow each other fast. */
const lookMs = 2_000;

/** Refusals that more room would do something about. */
const forWantOfRoom = new Set<Refusal['reason']>(['InsufficientCores', 'InsufficientMemory', 'NoMatchingHost']);

export class MakingRoom {
  readonly #world: World;
  readonly #due: (key: string) => void;
  /** Monotonic: when it was last looked for room for a machine that may preempt. */
  readonly #lookedMs = new Map<string, number>();

  constructor(world: World, due: (key: string) => void) {
    this.#world = world;
    this.#due = due;
  }

  /** Takes back gangs that were started in part and have found no room for the rest in time. */
  async takeBack(gangs: Iterable<Gang>): Promise<void> {
    for (const gang of gangs) {
      const message = `Gang ${gang.name} was started in part, and has found no room for the rest in ${gang.timeoutMs / 1000} s: all of it waits again`;
      for (const vm of startedInPart(gang, this.#world.clock.now()))
        if (!isLeaving(vm)) await this.#write(vm, evicting(vm, 'GangInPart', message, this.#world.clock.now()));
    }
  }

  /** After a round: for machines that found no place in it, in the order in which they are served. */
  async preempt(
    refused: ReadonlyMap<string, Refusal>,
    live: () => readonly VirtualMachine[],
    holes: Holes,
  ): Promise<void> {
    const nowMs = this.#world.clock.now();
    const asking = [...refused].flatMap(([key, { reason }]) => {
      const vm = this.#world.machines.get(key);
      return vm && forWantOfRoom.has(reason) && mayPreempt(vm, nowMs) ? [vm] : [];
    });
    const keys = new Set(asking.map(keyOf));
    for (const key of this.#lookedMs.keys()) if (!keys.has(key)) this.#lookedMs.delete(key);
    const due = asking.filter((vm) => this.#isDue(keyOf(vm)));
    if (due.length === 0) return;
    const liveOn = Map.groupBy(live(), ({ status }) => status?.attempt?.host ?? '');
    const isBegun = (vm: VirtualMachine) => nominatedHost(vm, nowMs) !== undefined;
    const next = [...due.filter(isBegun), ...due.filter((vm) => !isBegun(vm))].slice(0, atOnce);
    for (const vm of next) {
      this.#lookedMs.set(keyOf(vm), this.#world.clock.monotonic());
      await this.#preemptFor(vm, liveOn, holes);
    }
  }

  #isDue(key: string): boolean {
    return this.#world.clock.monotonic() - (this.#lookedMs.get(key) ?? Number.NEGATIVE_INFINITY) >= lookMs;
  }

  async #preemptFor(vm: VirtualMachine, liveOn: PreemptionInput['liveOn'], holes: Holes): Promise<void> {
    const { ledger, placement, clock, cluster } = this.#world;
    const host = nominatedHost(vm, clock.now());
    const input = { vm, ask: placementAsk(vm, cluster), liveOn, ledger, placement };
    holes.open(vm);
    const found = host === undefined ? preemption(input) : preemptionOn(input, host);
    holes.close(vm);
    if (!found || (host === undefined && found.victims.length === 0)) return;
    // The intent first: a crash between these leaves room kept for a while, and victims that the next look finds.
    if (host === undefined && !(await this.#write(vm, nominated(vm, found, clock.now())))) return;
    const message = `Makes room for ${keyOf(vm)}, whose priority is ${vm.spec.priority}`;
    for (const victim of found.victims) await this.#write(victim, evicting(victim, 'Preemption', message, clock.now()));
  }

  /** False: somebody was faster. Then the next look decides anew. */
  async #write(vm: VirtualMachine, status: MachineStatus): Promise<boolean> {
    const { client, machines, log } = this.#world;
    try {
      machines.wrote(await client.updateStatus(VirtualMachine, { ...vm, status }));
    } catch (error) {
      if (!isCode(error, 'Conflict', 'NotFound')) throw error;
      return false;
    }
    log.info('Making room', { machine: keyOf(vm), drain: status.attempt?.drain?.reason, nominated: status.nominated });
    this.#due(keyOf(vm));
    return true;
  }
}

function mayPreempt(vm: VirtualMachine, nowMs: number): boolean {
  if (vm.spec.preemption !== 'LowerPriority' || vm.spec.gang) return false;
  const { until } = vm.status?.nominated ?? {};
  const isPaused = until !== undefined && Date.parse(until) <= nowMs && Date.parse(until) + pauseMs > nowMs;
  const scheduled = conditionOf(vm, 'Scheduled');
  return !isPaused && scheduled?.status === 'False' && Date.parse(scheduled.lastTransitionTime) + patienceMs <= nowMs;
}

function nominated(vm: VirtualMachine, { host, victims }: Preemption, nowMs: number): MachineStatus {
  const graceMs = Math.max(...victims.map(({ spec }) => parseDuration(spec.terminationGracePeriod)));
  return { ...vm.status, nominated: { host, until: timestamp(nowMs + graceMs + proofMs) } };
}

/** One go of placing, decided without waiting for anything: which of the waiting machines go to which host, and why the others do not. */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { keyOf } from '#lib/api/meta.ts';
import type { GangRoom, Seat } from './gang-room.ts';
import { type Gang, gangKeyOf, missingFrom } from './gangs.ts';
import type { Holes } from './holes.ts';
import type { Ledger } from './ledger.ts';
import { memberOf } from './member.ts';
import type { Placement, PlacementAsk, Refusal } from './placement.ts';
import { placementAsk } from './placement-ask.ts';
import type { Member } from './tallies.ts';

export interface RoundInput {
  /** In the order in which they are to be served. A gang is served when the first of it is. */
  readonly waiting: Iterable<VirtualMachine>;
  /** Name of ours. */
  readonly cluster: string;
  readonly ledger: Ledger;
  readonly placement: Placement;
  /** Machines that must not be placed now, whatever room there is. */
  readonly isHeld: (vm: VirtualMachine) => boolean;
  /** Why nothing of its group may be launched now. */
  readonly limitOn?: (member: Member) => Refusal | undefined;
  /** Those of which machines wait. */
  readonly gangs?: { readonly waiting: ReadonlyMap<string, Gang>; readonly room: GangRoom };
  /** Room that is made for some of them. */
  readonly holes?: Holes;
  /** Machines placed in one go; a gang that is begun is not cut. */
  readonly atOnce: number;
}

export interface Round {
  /** Host -> keys of machines; the ledger has them there already. */
  readonly planned: ReadonlyMap<string, readonly string[]>;
  /** Keys of machines that are to be launched together or not at all. */
  readonly together: readonly (readonly string[])[];
  /** Key -> why not, as it is after the machines of this round were placed. */
  readonly refused: ReadonlyMap<string, Refusal>;
  /** There may be room for more. */
  readonly more: boolean;
}

/**
 * Room only shrinks within one round: what did not fit once need not be tried again for the next machine of the same kind. What a rule
 * allows may grow by what another machine does; then the next round finds it.
 */
export function planRound(input: RoundInput): Round {
  const planning = new Planning(input);
  const served = new Set<string>();
  let more = false;
  for (const vm of input.waiting) {
    more = planning.count >= input.atOnce;
    if (more) break;
    const key = gangKeyOf(vm);
    const gang = key === undefined ? undefined : input.gangs?.waiting.get(key);
    if (!gang) planning.placeOne(vm);
    else if (!served.has(gang.key)) planning.placeGang(gang);
    if (gang) served.add(gang.key);
  }
  return { ...planning.outcome(), more };
}

class Planning {
  count = 0;
  readonly #input: RoundInput;
  readonly #planned = new Map<string, string[]>();
  readonly #together: (readonly string[])[] = [];
  readonly #refused = new Map<string, Refusal>();
  readonly #unplaced = new Map<string, PlacementAsk>();
  readonly #full = new Set<string>();

  constructor(input: RoundInput) {
    this.#input = input;
  }

  placeOne(vm: VirtualMachine): void {
    const ask = placementAsk(vm, this.#input.cluster);
    const limit = this.#input.limitOn?.(ask.member);
    if (limit) return void this.#refused.set(keyOf(vm), limit);
    const hostname = this.#input.isHeld(vm) ? undefined : this.#chooseFor(vm, ask);
    if (hostname === undefined) this.#unplaced.set(keyOf(vm), ask);
    else this.#seat(keyOf(vm), { uid: vm.metadata.uid, hostname, ask });
  }

  /** With the room that is made for it, if there is any: then it is no matter what those of its kind have found. */
  #chooseFor(vm: VirtualMachine, ask: PlacementAsk): string | undefined {
    if (!vm.status?.nominated) return this.#choose(ask, vm.spec.priority);
    this.#input.holes?.open(vm);
    const hostname = this.#input.placement.choose(ask);
    if (hostname === undefined) this.#input.holes?.close(vm);
    return hostname;
  }

  #choose(ask: PlacementAsk, priority: number): string | undefined {
    const { placement, gangs } = this.#input;
    const kind = placement.classOf(ask);
    const found = this.#full.has(kind) ? undefined : placement.choose(ask);
    if (found !== undefined) return found;
    if (gangs?.room.yieldTo(priority)) {
      this.#full.clear();
      return this.#choose(ask, priority);
    }
    this.#full.add(kind);
    return undefined;
  }

  #seat(key: string, { uid, hostname, ask }: Seat): void {
    this.count++;
    this.#input.ledger.occupy(uid, hostname, ask.room, ask.member, 'Starting');
    const keys = this.#planned.get(hostname);
    if (keys) keys.push(key);
    else this.#planned.set(hostname, [key]);
  }

  placeGang(gang: Gang): void {
    const { ledger, placement, gangs } = this.#input;
    gangs!.room.open(gang);
    const blocked = this.#blocked(gang);
    if (blocked) return void this.#refuse(gang, blocked);
    const { seats, unseated } = this.#trySeats(gang);
    if (!unseated) {
      for (const [key, seat] of seats) this.#seat(key, seat);
      this.#together.push([...seats.keys()]);
      return;
    }
    const { reason, message } = placement.explain(unseated);
    for (const { uid } of seats.values()) ledger.release(uid);
    gangs!.room.keep(gang, [...seats.values()]);
    const all = `The ${gang.waiting.length} machines of gang ${gang.name} that wait need room at one time, ${seats.size} have it`;
    this.#refuse(gang, { reason, message: `${all}. For the next: ${message}` });
  }

  #blocked(gang: Gang): Refusal | undefined {
    const missing = missingFrom(gang);
    if (missing !== undefined) return { reason: 'GangIncomplete', message: missing };
    const held = gang.waiting.find(this.#input.isHeld);
    if (held)
      return { reason: 'GangIncomplete', message: `A domain of ${held.metadata.name} has to be proven gone first` };
    const limits = gang.waiting.map((vm) => this.#input.limitOn?.(memberOf(vm)));
    // How many start at once is no question for it: it is all or none.
    return limits.find((limit) => limit?.reason === 'LaunchBackoff');
  }

  /** The large ones first: they have the fewest places. The books have them there, as held, when this returns. */
  #trySeats({ waiting }: Gang): { readonly seats: ReadonlyMap<string, Seat>; readonly unseated?: PlacementAsk } {
    const { ledger, placement } = this.#input;
    const seats = new Map<string, Seat>();
    const full = new Map<string, PlacementAsk>();
    const asks = waiting.map((vm) => ({ vm, ask: placementAsk(vm, this.#input.cluster) }));
    const size = ({ room }: PlacementAsk) => room.cpu * 1e6 + room.mem;
    for (const { vm, ask } of asks.toSorted((a, b) => size(b.ask) - size(a.ask))) {
      const kind = placement.classOf(ask);
      const hostname = full.has(kind) ? undefined : placement.choose(ask);
      if (hostname === undefined) {
        full.set(kind, ask);
        continue;
      }
      ledger.occupy(vm.metadata.uid, hostname, ask.room, ask.member, 'Held');
      seats.set(keyOf(vm), { uid: vm.metadata.uid, hostname, ask });
    }
    const [unseated] = full.values();
    return { seats, ...(unseated && { unseated }) };
  }

  #refuse({ waiting }: Gang, refusal: Refusal): void {
    for (const vm of waiting) this.#refused.set(keyOf(vm), refusal);
  }

  outcome(): Omit<Round, 'more'> {
    // Only now: hosts are counted once for all machines of a kind, not after each that was placed.
    for (const [key, ask] of this.#unplaced) this.#refused.set(key, this.#input.placement.explain(ask));
    return { planned: this.#planned, together: this.#together, refused: this.#refused };
  }
}

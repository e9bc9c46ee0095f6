/**
 * Which machines make room for one of higher priority that asks for it (spec.preemption) and that no host has room for. Only machines of its
 * own namespace: a priority is a number that everybody may write. Never those that are protected from scale-in, nor those of a gang, which
 * would be left in part; and never any unless the machine fits afterwards, by the same rules as any other. Decided on the books: what
 * is tried in them is put back before this returns.
 */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { annotations } from '#lib/api/names.ts';
import type { Ledger } from './ledger.ts';
import type { Placement, PlacementAsk } from './placement.ts';
import { fits, plus } from './room.ts';

/** Hosts of which it is tried for one machine, of those that could have the room. */
const hostsMax = 100;

export interface Preemption {
  readonly host: string;
  /** As few as possible, of the lowest priority. Empty: machines that leave the host anyway suffice. */
  readonly victims: readonly VirtualMachine[];
}

export interface PreemptionInput {
  readonly vm: VirtualMachine;
  readonly ask: PlacementAsk;
  /** Host -> machines with a live attempt there. */
  readonly liveOn: ReadonlyMap<string, readonly VirtualMachine[]>;
  readonly ledger: Ledger;
  readonly placement: Placement;
}

export const isLeaving = ({ metadata, status }: VirtualMachine) =>
  metadata.deletionTimestamp !== undefined || status?.attempt?.drain?.state === 'Evicting';

/** The host where the least is lost: the lowest priorities, then the fewest machines, then the fewest cores. */
export function preemption(input: PreemptionInput): Preemption | undefined {
  let best: Preemption | undefined;
  for (const host of hopeful(input)) {
    const found = preemptionOn(input, host);
    if (!found) continue;
    if (found.victims.length === 0) return found;
    if (!best || comparePreemptions(found, best) < 0) best = found;
  }
  return best;
}

/** Hosts that would have the room if all went that may, without trying it: what they take is added up. */
function hopeful({ vm, ask, liveOn, ledger }: PreemptionInput): readonly string[] {
  const hosts: string[] = [];
  for (const [host, live] of liveOn) {
    const going = live.filter((one) => isLeaving(one) || mayBePreempted(one, vm));
    const view = going.length > 0 ? ledger.view(host) : undefined;
    if (view?.host.readiness !== 'Ready') continue;
    const freed = going.flatMap(({ metadata }) => ledger.placeOf(metadata.uid)?.ask ?? []).reduce(plus, view.free);
    if (fits(ask.room, freed)) hosts.push(host);
    if (hosts.length === hostsMax) break;
  }
  return hosts;
}

function comparePreemptions(a: Preemption, b: Preemption): number {
  const highest = ({ victims }: Preemption) => Math.max(...victims.map(({ spec }) => spec.priority));
  const cores = ({ victims }: Preemption) =>
    victims.reduce((sum, { status }) => sum + (status?.instanceType?.cores ?? 0), 0);
  return highest(a) - highest(b) || a.victims.length - b.victims.length || cores(a) - cores(b);
}

export function preemptionOn(input: PreemptionInput, host: string): Preemption | undefined {
  const { vm, ask, liveOn, ledger, placement } = input;
  const live = liveOn.get(host) ?? [];
  const books = new Trial(ledger);
  try {
    for (const one of live.filter(isLeaving)) books.release(one);
    if (placement.fitsByTheBooks(ask, host)) return { host, victims: [] };
    const possible = live.filter((one) => mayBePreempted(one, vm)).toSorted(lastToGoFirst);
    for (const one of possible) books.release(one);
    if (possible.length === 0 || !placement.fitsByTheBooks(ask, host)) return undefined;
    // Each may stay for which there is room beside the machine, those that are worth most first.
    const victims = possible.filter((one) => {
      books.restore(one);
      if (placement.fitsByTheBooks(ask, host)) return false;
      books.release(one);
      return true;
    });
    return { host, victims };
  } finally {
    books.restoreAll();
  }
}

function mayBePreempted(one: VirtualMachine, by: VirtualMachine): boolean {
  const { metadata, spec, status } = one;
  const isLower = metadata.namespace === by.metadata.namespace && spec.priority < by.spec.priority;
  const isHeld = spec.gang !== undefined || metadata.annotations?.[annotations.scaleInProtection] === 'true';
  return isLower && !isHeld && !isLeaving(one) && status?.phase !== 'Unreachable';
}

/** Higher priority, then longer there. */
function lastToGoFirst(a: VirtualMachine, b: VirtualMachine): number {
  const since = ({ status }: VirtualMachine) => Date.parse(status?.attempt?.since ?? '') || 0;
  return b.spec.priority - a.spec.priority || since(a) - since(b) || (a.metadata.uid < b.metadata.uid ? -1 : 1);
}

/** Takes machines off the books, and puts them back. */
class Trial {
  readonly #ledger: Ledger;
  readonly #places = new Map<string, NonNullable<ReturnType<Ledger['placeOf']>>>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  release({ metadata: { uid } }: VirtualMachine): void {
    const place = this.#ledger.placeOf(uid);
    if (!place) return;
    this.#places.set(uid, place);
    this.#ledger.release(uid);
  }

  restore({ metadata: { uid } }: VirtualMachine): void {
    this.#restore(uid);
  }

  restoreAll(): void {
    for (const uid of [...this.#places.keys()]) this.#restore(uid);
  }

  #restore(uid: string): void {
    const place = this.#places.get(uid);
    if (!place) return;
    this.#places.delete(uid);
    const { hostname, ask, member, standing } = place;
    this.#ledger.occupy(uid, hostname, ask, member, standing);
  }
}

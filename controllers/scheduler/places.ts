/** Which machine takes how much of which host, and what its tenant takes in all. Hosts need not be known (yet). */
import { minus, noRoom, plus, type Room } from './room.ts';
import { groupOf, type Member, sameMember } from './tallies.ts';

/**
 * Starting: launched, and not up yet. Held: it has no attempt there; the room is kept for it, and for nobody else, until it has one or is
 * let go of. Arriving: it runs elsewhere, where it counts for its tenant and its group, and is on its way here.
 */
export type Standing = 'Started' | 'Starting' | 'Held' | 'Arriving';

export interface Place {
  readonly hostname: string;
  readonly ask: Room;
  /** undefined: no rule of a machine counts it. */
  readonly member: Member | undefined;
  readonly standing: Standing;
}

export interface GroupCounts {
  readonly starting: number;
  readonly started: number;
}

export function samePlace(a: Place | undefined, b: Place): boolean {
  if (a?.hostname !== b.hostname || a.standing !== b.standing) return false;
  return a.ask.cpu === b.ask.cpu && a.ask.mem === b.ask.mem && sameMember(a.member, b.member);
}

const none: ReadonlyMap<string, Place> = new Map();

export class Places {
  readonly #places = new Map<string, Place>();
  /** Host -> uid -> the same. */
  readonly #on = new Map<string, Map<string, Place>>();
  readonly #usage = new Map<string, Room>();
  readonly #groups = new Map<string, GroupCounts>();

  get(uid: string): Place | undefined {
    return this.#places.get(uid);
  }

  entries(): Iterable<[string, Place]> {
    return this.#places;
  }

  /** uid -> place. */
  on(hostname: string): ReadonlyMap<string, Place> {
    return this.#on.get(hostname) ?? none;
  }

  /** Those with machines. */
  hosts(): Iterable<string> {
    return this.#on.keys();
  }

  set(uid: string, place: Place): void {
    this.delete(uid);
    this.#places.set(uid, place);
    const there = this.#on.get(place.hostname) ?? new Map<string, Place>();
    this.#on.set(place.hostname, there.set(uid, place));
    if (place.member) this.#count(place.member, place, 1);
  }

  delete(uid: string): void {
    const place = this.#places.get(uid);
    if (!place) return;
    this.#places.delete(uid);
    const there = this.#on.get(place.hostname)!;
    there.delete(uid);
    if (there.size === 0) this.#on.delete(place.hostname);
    if (place.member) this.#count(place.member, place, -1);
  }

  usageOf(namespace: string): Room {
    return this.#usage.get(namespace) ?? noRoom;
  }

  /** Machines of a group (groupOf) that start and that are up. */
  countsOf(group: string): GroupCounts {
    return this.#groups.get(group) ?? { starting: 0, started: 0 };
  }

  #count(member: Member, { ask, standing }: Place, by: 1 | -1): void {
    if (standing === 'Arriving') return;
    const used = (by === 1 ? plus : minus)(this.usageOf(member.namespace), ask);
    if (used.cpu > 0 || used.mem > 0) this.#usage.set(member.namespace, used);
    else this.#usage.delete(member.namespace);
    const { starting, started } = this.countsOf(groupOf(member));
    const counts = {
      starting: starting + (standing === 'Starting' ? by : 0),
      started: started + (standing === 'Started' ? by : 0),
    };
    if (counts.starting + counts.started > 0) this.#groups.set(groupOf(member), counts);
    else this.#groups.delete(groupOf(member));
  }
}

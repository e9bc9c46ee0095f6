/**
 * Putting machines into a plan until the target is met. Pure.
 *
 * A cluster with room for all is preferred over splitting; among such, one that the factory is on already, then the one that needs the
 * fewest machines. What no host has room for is planned all the same, as the largest machines of the preferred shape and one for the
 * rest: it stays without a place, says why, and uses hosts that are added later. What may not be split has room on one cluster, or none.
 */
import { type ClusterState, draftFor, type State, unitsOf, unitsOfShape } from './plan-state.ts';
import { hasRoom, largestWithRoom, type Room, take } from './room.ts';
import { isFlexible, largestOf, type Shape, type Size, smallestOf, weightOf } from './sizes.ts';

export interface Addition {
  readonly cluster: string;
  readonly size: Size;
  readonly count: number;
  /** Some host has room for it now. */
  readonly fits: boolean;
}

/** Rooms by cluster, with what is planned and not placed already taken out. */
export type Rooms = ReadonlyMap<string, Room>;

/** Machines for what is missing, in the order in which they should be made. */
export function fill(state: State, rooms: Rooms): readonly Addition[] {
  const missing = state.input.target - unitsOf(state);
  if (missing <= 0) return [];
  const usable = state.input.clusters.filter((cluster) => cluster.usable);
  const offers = usable.map((cluster) => offerOf(state, cluster, rooms.get(cluster.name)!, missing));
  const whole = offers.filter(({ rest }) => rest <= 0).toSorted(byPreference(state))[0];
  if (whole) return whole.additions;
  return state.input.isAtomic ? withoutRoom(state, usable, missing) : split(state, rooms, usable, missing);
}

interface Offer {
  readonly cluster: string;
  readonly additions: readonly Addition[];
  readonly rest: number;
}

/** What one cluster could do alone, on a copy of its room. */
function offerOf(state: State, { name }: ClusterState, room: Room, missing: number): Offer {
  const work = new Filling(state, missing);
  const copy = room.map((row) => ({ ...row }));
  work.fillRoom(name, copy);
  work.close(name, copy);
  return { cluster: name, additions: work.additions, rest: work.missing };
}

function byPreference(state: State): (a: Offer, b: Offer) => number {
  const isHome = ({ cluster }: Offer) => Number(machinesOn(state, cluster) > 0);
  const machines = ({ additions }: Offer) => additions.reduce((sum, { count }) => sum + count, 0);
  return (a, b) => isHome(b) - isHome(a) || machines(a) - machines(b) || (a.cluster < b.cluster ? -1 : 1);
}

const machinesOn = ({ drafts }: State, cluster: string) =>
  drafts.values().reduce((sum, draft) => (draft.cluster === cluster ? sum + draft.replicas : sum), 0);

function withoutRoom(state: State, usable: readonly ClusterState[], missing: number): readonly Addition[] {
  const work = new Filling(state, missing);
  const home = homeOf(
    state,
    usable.map(({ name }) => name),
  );
  if (home !== undefined) work.fillWithoutRoom(home);
  return work.additions;
}

/** The cluster with the most room first; one machine closes at the end, wherever it has room; what is left has no room anywhere. */
function split(state: State, rooms: Rooms, usable: readonly ClusterState[], missing: number): readonly Addition[] {
  const work = new Filling(state, missing);
  const copies = new Map(usable.map(({ name }) => [name, rooms.get(name)!.map((row) => ({ ...row }))]));
  const coresIn = (name: string) => copies.get(name)!.reduce((sum, { cores, hosts }) => sum + cores * hosts, 0);
  const names = [...copies.keys()].toSorted((a, b) => coresIn(b) - coresIn(a) || (a < b ? -1 : 1));
  for (const name of names) work.fillRoom(name, copies.get(name)!);
  for (const name of names) work.close(name, copies.get(name)!);
  const home = homeOf(state, names);
  if (home !== undefined) work.fillWithoutRoom(home);
  return work.additions;
}

/** Where capacity waits that has no room: a usable cluster if there is one, best one that the factory is on already. */
function homeOf(state: State, usable: readonly string[]): string | undefined {
  const candidates = usable.length > 0 ? usable : state.input.clusters.map(({ name }) => name).toSorted();
  return candidates.find((name) => machinesOn(state, name) > 0) ?? candidates[0];
}

/** What is still missing, and what was added for it so far. Shapes by priority, within their own maximum. */
class Filling {
  readonly additions: Addition[] = [];
  missing: number;
  readonly #state: State;
  readonly #shapes: readonly Shape[];
  readonly #used: Map<Shape, number>;

  constructor(state: State, missing: number) {
    this.missing = missing;
    this.#state = state;
    this.#shapes = state.input.shapes.toSorted((a, b) => b.priority - a.priority);
    this.#used = new Map(this.#shapes.map((shape) => [shape, unitsOfShape(state, shape)]));
  }

  /** While planned + weight ≤ target. */
  fillRoom(cluster: string, room: Room): void {
    for (const { shape, isEnough } of this.#rounds()) {
      while (!isEnough()) {
        const size = this.#sizeWithRoom(shape, room, this.#left(shape));
        if (!size || !take(room, size)) break;
        this.#add(cluster, shape, size, 1, true);
      }
    }
  }

  /** Every shape up to its minimum, then every shape, both in the order of priority. */
  #rounds(): readonly { shape: Shape; isEnough: () => boolean }[] {
    const hasMin = (shape: Shape) => (this.#used.get(shape) ?? 0) >= shape.min;
    return [
      ...this.#shapes.map((shape) => ({ shape, isEnough: () => hasMin(shape) })),
      ...this.#shapes.map((shape) => ({ shape, isEnough: () => false })),
    ];
  }

  /** One machine of the smallest shape that has room may exceed the target, unless overshoot is Never. */
  close(cluster: string, room: Room): void {
    const last = this.#closing((size) => hasRoom(room, size));
    if (!last || !take(room, last.size)) return;
    this.#add(cluster, last.shape, last.size, 1, true);
  }

  fillWithoutRoom(cluster: string): void {
    for (const { shape, isEnough } of this.#rounds()) {
      while (!isEnough()) {
        const left = this.#left(shape);
        const size = isFlexible(shape) ? largestOf(shape, this.#unit, left, shape.maxCores) : shape.size;
        const count = size ? Math.floor(left / this.#weight(size)) : 0;
        if (!size || count <= 0) break;
        // All but the last at once: a flexible one may have to leave a rest that the smallest fills, a minimum may be met earlier.
        const isOneByOne = (this.#used.get(shape) ?? 0) < shape.min;
        const atOnce = isFlexible(shape) ? Math.max(1, count - 1) : count;
        this.#add(cluster, shape, size, isOneByOne ? 1 : atOnce, false);
      }
    }
    const last = this.#closing(() => true);
    if (last) this.#add(cluster, last.shape, last.size, 1, false);
  }

  #closing(isPossible: (size: Size) => boolean): { shape: Shape; size: Size } | undefined {
    if (this.missing <= 0 || this.#state.input.overshoot === 'Never') return undefined;
    return this.#shapes
      .flatMap((shape) => {
        const size = smallestOf(shape);
        return size && this.#isClosing(shape, size) && isPossible(size) ? [{ shape, size }] : [];
      })
      .toSorted((a, b) => this.#weight(a.size) - this.#weight(b.size))[0];
  }

  #isClosing(shape: Shape, size: Size): boolean {
    const weight = this.#weight(size);
    return weight >= this.missing && (this.#used.get(shape) ?? 0) + weight <= shape.max;
  }

  #sizeWithRoom(shape: Shape, room: Room, left: number): Size | undefined {
    if (isFlexible(shape)) return largestWithRoom(room, shape, this.#unit, left);
    return this.#weight(shape.size) <= left ? shape.size : undefined;
  }

  #left(shape: Shape): number {
    return Math.min(this.missing, shape.max - (this.#used.get(shape) ?? 0));
  }

  #add(cluster: string, shape: Shape, size: Size, count: number, fits: boolean): void {
    this.additions.push({ cluster, size, count, fits });
    const units = this.#weight(size) * count;
    this.missing -= units;
    this.#used.set(shape, (this.#used.get(shape) ?? 0) + units);
  }

  get #unit() {
    return this.#state.input.unit;
  }

  #weight(size: Size): number {
    return weightOf(this.#unit, size);
  }
}

export function apply(state: State, { cluster, size, count }: Addition): void {
  draftFor(state, cluster, size).replicas += count;
}

/**
 * The resource plan of a factory: how many machines of which size on which cluster. Pure.
 *
 * Rounding, as published. D is the target, P the weight of all machines in the plan, placed or not.
 *
 *   AllowLast   fill while P + w ≤ D, then close with one machine of the smallest shape that has room: D ≤ P < D + w(closing);
 *               remove a machine only if P − w ≥ D, so that lowering the target never raises any pool
 *   Never       fill only; remove until P ≤ D. Where that took out more than it had to, smaller machines fill what is left
 *   always      what is not proven gone yet counts as committed: it never exceeds max, and while machines are leaving it stays
 *               within D and a quarter. What may not be made now is made when they are gone
 *
 * What a Cluster that is away has counts no more once it has been away for shiftAfter, and is left as it is. When the Cluster is back it
 * counts again, and what is too many by then goes in the order of shrink.ts.
 *
 * Why it does not oscillate. A plan is made of three reports that lag behind each other: our own pools, the machines, and what each
 * cluster says is free. Only the last two are others'. Machines in pools stay where and as they are, whatever the report of room says,
 * with one exception: those that the scheduler itself refused, for a while now, and that the room as reported would not hold, may be
 * planned anew; and they are only if strictly more units then find room than before. A machine without a place takes no room, so
 * planning it anew changes nothing that the decision was made of: the second look finds nothing to gain. And if a report was stale,
 * the worst is a machine without a place in another size than necessary.
 */
import { type Addition, apply, fill, type Rooms } from './fill.ts';
import {
  copyState,
  type Draft,
  draftKey,
  type PlanInput,
  type PlannedPool,
  type State,
  stateOf,
  unitsOf,
  withdraw,
} from './plan-state.ts';
import { copyRoom, take } from './room.ts';
import { shrink } from './shrink.ts';
import { smallestOf, weightOf } from './sizes.ts';

export interface Plan {
  /** Also those with no replicas left, for as long as they were in the input. */
  readonly pools: readonly PlannedPool[];
  /** P: what counts towards the target; machines that are away do not. */
  readonly units: number;
  /** The part of what is added now that no host has room for, as far as is reported. */
  readonly withoutRoom: number;
  /** Why less than the goal was planned: a limit was reached, machines have to go first, or nothing may ever fit. */
  readonly shortOf: 'MaxReached' | 'MachinesLeaving' | 'TargetSmallerThanAnyShape' | 'NoCluster' | undefined;
}

export function plan(input: PlanInput): Plan {
  const state = stateOf(input);
  shrink(state);
  const { kept, rooms } = reshaped(state);
  const additions = fill(kept, rooms);
  for (const addition of additions) apply(kept, addition);
  const cut = keepWithinLimits(kept, additions);
  const pools = [...kept.drafts.values()].map(({ cluster, size, replicas, away }) => ({
    cluster,
    size,
    replicas: replicas + away,
  }));
  const units = unitsOf(kept);
  const waiting = unitsWhere(kept, additions, ({ fits }) => !fits);
  const withoutRoom = Math.max(0, Math.min(waiting, units - unitsOf(stateOf(input))));
  return { pools, units, withoutRoom, shortOf: cut ?? missingReason(input, units) };
}

/** Takes back what would go beyond a limit, pool by pool in the order of the additions. */
function keepWithinLimits(state: State, additions: readonly Addition[]): 'MaxReached' | 'MachinesLeaving' | undefined {
  const then = stateOf(state.input);
  let { budget, isLeaving } = budgetOf(then, state, additions);
  let isCut = false;
  for (const key of new Set(additions.map(({ cluster, size }) => draftKey(cluster, size)))) {
    const draft = state.drafts.get(key)!;
    const added = draft.replicas - (then.drafts.get(key)?.replicas ?? 0);
    if (added <= 0) continue;
    const allowed = Math.max(0, Math.min(added, Math.floor(budget / draft.weight)));
    draft.replicas -= added - allowed;
    budget -= allowed * draft.weight;
    isCut ||= allowed < added;
  }
  if (!isCut) return undefined;
  return isLeaving ? 'MachinesLeaving' : 'MaxReached';
}

/**
 * Units that may be added. What this plan takes out counts as committed still: it is not gone because we want it gone. For the soft limit
 * only what has a place counts: the rest holds nothing.
 */
function budgetOf(then: State, now: State, additions: readonly Addition[]): { budget: number; isLeaving: boolean } {
  const { target, max, leaving, leavingUnreachable } = then.input;
  let removed = 0;
  let removedPlaced = 0;
  let away = 0;
  for (const [key, { replicas, placed, weight, ...draft }] of then.drafts) {
    away += draft.away * weight;
    const left = now.drafts.get(key)?.replicas ?? 0;
    removed += Math.max(0, replicas - left) * weight;
    removedPlaced += Math.max(0, placed - left) * weight;
  }
  const before = unitsOf(then) + leaving;
  const isHolding = leaving + removedPlaced > 0 && additions.length > 0;
  const soft = isHolding ? target + Math.floor(target / 4) + leavingUnreachable : Number.POSITIVE_INFINITY;
  return {
    // What is away may run on: the hard limit holds for it, too.
    budget: Math.min(max - before - away, soft - (before - removed + removedPlaced)),
    isLeaving: leaving + removed > 0,
  };
}

function missingReason({ unit, target, overshoot, shapes, clusters }: PlanInput, units: number): Plan['shortOf'] {
  if (units >= target) return undefined;
  if (clusters.length === 0) return 'NoCluster';
  const smallest = Math.min(...shapes.map(smallestOf).flatMap((size) => (size ? [weightOf(unit, size)] : [])));
  return overshoot === 'Never' && smallest > target ? 'TargetSmallerThanAnyShape' : undefined;
}

/** The state without the machines that are better planned anew, and the room that the rest leaves. */
function reshaped(state: State): { kept: State; rooms: Rooms } {
  const asIs = reserve(state);
  if (asIs.stuck.size === 0) return { kept: state, rooms: asIs.rooms };
  const trial = copyState(state);
  // What starts together moves together: a part of it that would fit where it is is of no use there.
  const moved = state.input.isAtomic ? unplacedOf(state) : asIs.stuck;
  for (const [key, count] of moved) withdraw(trial.drafts.get(key)!, count);
  const without = reserve(trial);
  const gainWithout = fittingUnits(trial, without.rooms);
  const gainAsIs = fittingUnits(state, asIs.rooms);
  return gainWithout > gainAsIs ? { kept: trial, rooms: without.rooms } : { kept: state, rooms: asIs.rooms };
}

const unplacedOf = ({ drafts }: State) =>
  new Map([...drafts].map(([key, { replicas, placed }]) => [key, replicas - placed]));

const fittingUnits = (state: State, rooms: Rooms) => unitsWhere(state, fill(state, rooms), ({ fits }) => fits);

const unitsWhere = ({ input }: State, additions: readonly Addition[], holds: (addition: Addition) => boolean) =>
  additions.filter(holds).reduce((sum, { size, count }) => sum + count * weightOf(input.unit, size), 0);

/** Takes machines without a place out of the room, the largest first; `stuck` are refused ones for which there is none. */
function reserve(state: State): { rooms: Rooms; stuck: ReadonlyMap<string, number> } {
  const rooms = new Map(state.input.clusters.map(({ name, room, usable }) => [name, usable ? copyRoom(room) : []]));
  const stuck = new Map<string, number>();
  const bySize = (a: [string, Draft], b: [string, Draft]) =>
    b[1].size.cores - a[1].size.cores || b[1].size.memoryMiB - a[1].size.memoryMiB || (a[0] < b[0] ? -1 : 1);
  for (const [key, { cluster, size, replicas, placed, refused }] of [...state.drafts].toSorted(bySize)) {
    const room = rooms.get(cluster) ?? [];
    let homeless = replicas - placed;
    while (homeless > 0 && take(room, size)) homeless -= 1;
    const count = Math.min(homeless, refused);
    if (count > 0) stuck.set(key, count);
  }
  return { rooms, stuck };
}

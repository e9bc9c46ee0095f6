/**
 * Taking machines out of a plan. Pure.
 *
 * AllowLast removes a machine only if the target is still met without it; so lowering the target never adds one. Never removes until
 * the target is not exceeded. Which goes first: sizes that the spec no longer has, machines without a place, the lowest
 * priority, machines that are not ready, shapes above their minimum, and of these the largest that may go.
 */
import { type Draft, type State, unitsOf, unitsOfShape, withdraw } from './plan-state.ts';

export function shrink(state: State): void {
  dropOutdated(state);
  respectShapeMax(state);
  for (;;) {
    const planned = unitsOf(state);
    const victim = [...state.drafts.values()].filter((draft) => mayGo(state, draft, planned)).toSorted(order(state))[0];
    if (!victim) return;
    withdraw(victim, howMany(state, victim, planned));
  }
}

function mayGo({ input }: State, { replicas, weight }: Draft, planned: number): boolean {
  if (replicas === 0) return false;
  if (planned > input.max) return true;
  return input.overshoot === 'Never' ? planned > input.target : planned - weight >= input.target;
}

/** As many of one pool at once as the rule lets go before another could come first. */
function howMany({ input }: State, draft: Draft, planned: number): number {
  const surplus = planned - input.target;
  const alike = hasUnplaced(draft)
    ? draft.replicas - draft.placed
    : draft.replicas - (hasUnready(draft) ? draft.ready : 0);
  const min = draft.shape?.min ?? 0;
  // One by one near a shape's minimum: there the order may change with each.
  return min > 0 ? 1 : Math.max(1, Math.min(alike, Math.floor(surplus / draft.weight)));
}

const hasUnready = ({ placed, ready }: Draft) => placed > ready;
const hasUnplaced = ({ replicas, placed }: Draft) => replicas > placed;

function order(state: State): (a: Draft, b: Draft) => number {
  const isSpare = (draft: Draft) =>
    draft.shape === undefined || unitsOfShape(state, draft.shape) - draft.weight >= draft.shape.min;
  const first = (holds: (draft: Draft) => boolean) => (a: Draft, b: Draft) => Number(holds(b)) - Number(holds(a));
  const rules = [
    first(({ shape }) => shape === undefined),
    first(isSpare),
    first(({ replicas, placed, refused }) => replicas > placed && refused > 0),
    first(hasUnplaced),
    (a: Draft, b: Draft) => (a.shape?.priority ?? 0) - (b.shape?.priority ?? 0),
    first(hasUnready),
    (a: Draft, b: Draft) => b.weight - a.weight,
    (a: Draft, b: Draft) => (`${b.cluster}/${b.size.memoryMiB}` < `${a.cluster}/${a.size.memoryMiB}` ? -1 : 1),
  ];
  return (a, b) => rules.reduce((difference, rule) => difference || rule(a, b), 0);
}

/**
 * Sizes or clusters that the spec no longer names: what has no place goes at once; what runs goes a tenth at a time, and only while all
 * that is to stay is ready, so that an edit does not take the whole factory down. Its replacement makes the plan hold still until ready.
 */
function dropOutdated({ drafts }: State): void {
  const all = [...drafts.values()];
  const outdated = all.filter(({ shape, replicas }) => shape === undefined && replicas > 0);
  for (const draft of outdated) withdraw(draft, draft.replicas - draft.placed);
  const isCalm = all.every(({ shape, replicas, ready }) => shape === undefined || ready === replicas);
  if (!isCalm || outdated.length === 0) return;
  let allowed = Math.max(1, Math.floor(all.reduce((sum, { replicas }) => sum + replicas, 0) / 10));
  for (const draft of outdated) {
    const count = Math.min(allowed, draft.replicas);
    withdraw(draft, count);
    allowed -= count;
  }
}

function respectShapeMax(state: State): void {
  for (const shape of state.input.shapes)
    for (const draft of state.drafts.values()) {
      if (draft.shape !== shape) continue;
      const surplus = unitsOfShape(state, shape) - shape.max;
      if (surplus > 0) withdraw(draft, Math.min(draft.replicas, Math.ceil(surplus / draft.weight)));
    }
}

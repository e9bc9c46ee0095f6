/**
 * Sets of paths into an object, as tries: what a manager owns, what a write has changed. A step is written as in FieldsV1: `f:` and a name,
 * `k:` and the keys of a list item, `v:` and the item itself.
 */
export interface FieldSet {
  /** The node itself is in the set, not only something below it. */
  readonly owned: boolean;
  readonly children: ReadonlyMap<string, FieldSet>;
}

const childless: ReadonlyMap<string, FieldSet> = new Map();
export const nothing: FieldSet = { owned: false, children: childless };
export const leaf: FieldSet = { owned: true, children: childless };

export function isNothing({ owned, children }: FieldSet): boolean {
  return !owned && children.size === 0;
}

/** A node; children in which there is nothing are left out. */
export function nodeOf(owned: boolean, children: Iterable<readonly [string, FieldSet]>): FieldSet {
  const kept = new Map<string, FieldSet>();
  for (const [step, child] of children) if (!isNothing(child)) kept.set(step, child);
  return kept.size > 0 ? { owned, children: kept } : owned ? leaf : nothing;
}

export function union(one: FieldSet, other: FieldSet): FieldSet {
  if (isNothing(one) || one === other) return other;
  if (isNothing(other)) return one;
  const children = new Map(one.children);
  for (const [step, child] of other.children) children.set(step, union(children.get(step) ?? nothing, child));
  return { owned: one.owned || other.owned, children };
}

/** Paths of `one` that are not themselves in `other`; what is below a path of `other` stays. The same set if that takes nothing away. */
export function difference(one: FieldSet, other: FieldSet): FieldSet {
  if (isNothing(other)) return one;
  let same = !(one.owned && other.owned);
  const children: [string, FieldSet][] = [];
  for (const [step, child] of one.children) {
    const less = other.children.get(step);
    const left = less ? difference(child, less) : child;
    same &&= left === child;
    children.push([step, left]);
  }
  return same ? one : nodeOf(one.owned && !other.owned, children);
}

export function intersection(one: FieldSet, other: FieldSet): FieldSet {
  if (isNothing(one) || isNothing(other)) return nothing;
  const children: [string, FieldSet][] = [];
  for (const [step, child] of other.children) {
    const same = one.children.get(step);
    if (same) children.push([step, intersection(same, child)]);
  }
  return nodeOf(one.owned && other.owned, children);
}

export function sameFields(one: FieldSet, other: FieldSet): boolean {
  if (one === other) return true;
  if (one.owned !== other.owned || one.children.size !== other.children.size) return false;
  for (const [step, child] of one.children) {
    const same = other.children.get(step);
    if (!same || !sameFields(child, same)) return false;
  }
  return true;
}

/** Paths with nothing below them, in order. */
export function leaves(set: FieldSet): string[][] {
  if (set.children.size === 0) return set.owned ? [[]] : [];
  return inOrder(set).flatMap(([step, child]) => leaves(child).map((path) => [step, ...path]));
}

/** Names before keys before values, each by its text, as Kubernetes writes them. */
export function inOrder({ children }: FieldSet): [string, FieldSet][] {
  return [...children].sort(([one], [other]) => (one < other ? -1 : 1));
}

/** A set that grows path by path. */
export class GrowingSet implements FieldSet {
  owned = false;
  readonly children = new Map<string, GrowingSet>();

  add(path: readonly string[]): void {
    this.at(path).owned = true;
  }

  /** The node that a path leads to. */
  at(path: readonly string[]): GrowingSet {
    return path.reduce<GrowingSet>((here, step) => here.child(step), this);
  }

  child(step: string): GrowingSet {
    const known = this.children.get(step);
    if (known) return known;
    const fresh = new GrowingSet();
    this.children.set(step, fresh);
    return fresh;
  }
}

export function setOf(...paths: readonly (readonly string[])[]): FieldSet {
  const set = new GrowingSet();
  for (const path of paths) set.add(path);
  return set;
}

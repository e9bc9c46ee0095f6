/** Which fields are a manager's business. */
import type { Comparison } from './compare.ts';
import { difference, type FieldSet, nodeOf, setOf } from './field-set.ts';
import { fieldStep } from './step.ts';

/** Top-level fields that a write can reach: all of them, all but these, or only these. */
export type Reach = { readonly type: 'all' } | { readonly type: 'but' | 'only'; readonly name: string };

/** Without what this write cannot reach: it is reset before anything is stored. */
export function within(set: FieldSet, reach: Reach): FieldSet {
  if (reach.type === 'all') return set;
  const step = fieldStep(reach.name);
  return nodeOf(
    set.owned,
    [...set.children].filter(([name]) => (name === step) === (reach.type === 'only')),
  );
}

export function comparisonWithin({ added, removed, modified }: Comparison, reach: Reach): Comparison {
  return { added: within(added, reach), removed: within(removed, reach), modified: within(modified, reach) };
}

const serverNames = ['name', 'namespace', 'creationTimestamp', 'selfLink', 'uid', 'generation', 'resourceVersion'];

/** What identifies the object is nobody's. */
const identity = setOf(
  ...['apiVersion', 'kind', 'metadata'].map((name) => [fieldStep(name)]),
  ...[...serverNames, 'managedFields'].map((name) => [fieldStep('metadata'), fieldStep(name)]),
);

export function withoutIdentity(set: FieldSet): FieldSet {
  return difference(set, identity);
}

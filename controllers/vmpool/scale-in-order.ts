/**
 * Who goes first when a pool shrinks: published, so that users can count on it. The first difference decides; the name comes last, so
 * that the order is total and every look at the same machines picks the same ones.
 */
import type { VMPool } from '#lib/api/generated/index.ts';
import type { Facts } from './facts.ts';

type Policy = NonNullable<VMPool['spec']['scaleIn']>['policy'];
type Compare = (a: Facts, b: Facts) => number;

const first =
  (holds: (facts: Facts) => boolean): Compare =>
  (a, b) =>
    Number(holds(b)) - Number(holds(a));

const newest: Compare = (a, b) => b.createdMs - a.createdMs || b.ordinal - a.ordinal;

const byPolicy: Readonly<Record<Policy, Compare>> = {
  Default: newest,
  NewestFirst: newest,
  OldestFirst: (a, b) => a.createdMs - b.createdMs || a.ordinal - b.ordinal,
  HighestOrdinal: (a, b) => b.ordinal - a.ordinal,
};

/** Outdated machines go before current ones only while both are there: then a rollout is under way. */
export function scaleInOrder(policy: Policy): Compare {
  const rules: readonly Compare[] = [
    first(({ going, ended }) => going || ended !== undefined),
    first(({ deleteFirst }) => deleteFirst),
    // Of those that never ran, one without a place costs nothing at all.
    first(({ neverUp, placed }) => neverUp && !placed),
    first(({ neverUp }) => neverUp),
    first(({ unreachable }) => unreachable),
    first(({ outdated }) => outdated),
    first(({ onCordonedHost }) => onCordonedHost),
    (a, b) => b.neighbours - a.neighbours,
    (a, b) => a.deletionCost - b.deletionCost,
    byPolicy[policy],
    (a, b) => (a.name < b.name ? -1 : 1),
  ];
  return (a, b) => {
    for (const rule of rules) {
      const difference = rule(a, b);
      if (difference !== 0) return difference;
    }
    return 0;
  };
}

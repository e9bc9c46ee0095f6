/**
 * Machines that stand in for others: made when the host of a machine has not answered for so long that it counts as lost, each with the uid of
 * the one that it replaces on it. When that one answers again there is one too many, and its spec.disconnect says which. Pure.
 */
import type { Facts } from './facts.ts';

export const isLost = ({ lostFromMs }: Facts, nowMs: number): boolean =>
  lostFromMs !== undefined && lostFromMs <= nowMs;

/** Those that nobody stands in for. */
export function unreplaced(lost: readonly Facts[], machines: readonly Facts[]): readonly Facts[] {
  const replaced = new Set(machines.flatMap(({ going, replaces }) => (going || !replaces ? [] : [replaces])));
  return lost.filter(({ vm }) => !replaced.has(vm.metadata.uid));
}

/** When a machine will be lost, if its host does not answer until then. */
export function nextLostMs(machines: readonly Facts[], nowMs: number): number | undefined {
  const times = machines.flatMap(({ lostFromMs = 0 }) => (lostFromMs > nowMs ? [lostFromMs] : []));
  return times.length > 0 ? times.reduce((a, b) => Math.min(a, b)) : undefined;
}

export interface Pairs {
  /** Of two that are both there the one that is to go. */
  readonly losers: readonly Facts[];
  /** So many whose first one has answered and is silent again: who goes is decided when it answers, or is lost anew. */
  readonly undecided: number;
}

export function pairsOf(members: readonly Facts[]): Pairs {
  const byUid = new Map(members.map((facts) => [facts.vm.metadata.uid, facts]));
  const losers: Facts[] = [];
  let undecided = 0;
  for (const replacement of members) {
    const original = byUid.get(replacement.replaces ?? '');
    if (original?.unreachable) undecided += 1;
    else if (original) losers.push(loserOf(original, replacement));
  }
  return { losers, undecided };
}

/** Who has finished, or has a place where the other has none, stays whatever the policy is. */
function loserOf(original: Facts, replacement: Facts): Facts {
  if (original.ended) return replacement;
  if (original.placed !== replacement.placed) return original.placed ? replacement : original;
  return original.vm.spec.disconnect?.onReconnect === 'KeepReplacement' ? original : replacement;
}

/**
 * The machines that wait for a place, in the order in which they are served: higher priority first; then tenants (namespaces) take turns so
 * that the one with the smallest share of the cluster is next, its share being that of cores or of memory, whichever is larger (dominant
 * resource fairness); within a tenant older first, then by name, so that the order is the same for everyone.
 */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { keyOf } from '#lib/api/meta.ts';
import type { Room } from './room.ts';

export function compareMachines(a: VirtualMachine, b: VirtualMachine): number {
  if (a.spec.priority !== b.spec.priority) return b.spec.priority - a.spec.priority;
  const [bornA, bornB] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp];
  if (bornA !== bornB) return bornA < bornB ? -1 : 1;
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

/** The larger of the shares of cores and of memory. */
export function dominantShare(used: Room, total: Room): number {
  return Math.max(total.cpu > 0 ? used.cpu / total.cpu : 0, total.mem > 0 ? used.mem / total.mem : 0);
}

interface Turn {
  readonly namespace: string;
  /** In order. */
  readonly machines: readonly VirtualMachine[];
  next: number;
  share: number;
}

/**
 * One after the other: a tenant's share is asked for anew after each of its machines, so that what was placed meanwhile counts. A machine that
 * finds no place takes no share, and does not hold up its tenant's next.
 */
export function* inFairOrder(
  machines: readonly VirtualMachine[],
  shareOf: (namespace: string) => number,
): Generator<VirtualMachine, void, undefined> {
  const sorted = machines.toSorted(compareMachines);
  for (const level of Map.groupBy(sorted, ({ spec }) => spec.priority).values()) yield* inTurns(level, shareOf);
}

function* inTurns(level: readonly VirtualMachine[], shareOf: (namespace: string) => number): Generator<VirtualMachine> {
  const line: Turn[] = [];
  for (const [namespace, machines] of Map.groupBy(level, ({ metadata }) => metadata.namespace ?? ''))
    line.push({ namespace, machines, next: 0, share: shareOf(namespace) });
  line.sort(byShare);
  for (let turn = line.shift(); turn; turn = line.shift()) {
    yield turn.machines[turn.next++]!;
    if (turn.next === turn.machines.length) continue;
    turn.share = shareOf(turn.namespace);
    line.splice(placeOf(line, turn), 0, turn);
  }
}

const byShare = (a: Turn, b: Turn) => a.share - b.share || compareMachines(a.machines[a.next]!, b.machines[b.next]!);

/** By bisection. */
function placeOf(line: readonly Turn[], turn: Turn): number {
  let [low, high] = [0, line.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (byShare(line[middle]!, turn) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** True if this cluster may place it now. */
export function waitsFor(vm: VirtualMachine, cluster: string): boolean {
  const { status, spec, metadata } = vm;
  if (metadata.deletionTimestamp !== undefined || status?.phase !== 'Scheduling' || status.attempt) return false;
  return (spec.placement?.cluster ?? cluster) === cluster;
}

/** Room on the hosts of one cluster, as far as its status tells: rows of hosts alike. Changed in place while a plan is made. */
import type { Cluster } from '#lib/api/generated/index.ts';
import { isHostKey, type PlacementSpec, readRules } from '#lib/api/placement-rules.ts';
import { type FlexibleShape, largestOf, type Size, type Unit } from './sizes.ts';

interface Row {
  cores: number;
  memoryMiB: number;
  hosts: number;
  /** Machines that rules let each of them take; any number if left out. */
  takes?: number;
}

export type Room = Row[];

/**
 * Rows of hosts that the placement allows. Which hosts they are is not told, so what asks for hosts by name is left to the scheduler; but so many
 * machines on one host at most is something that a plan can keep to.
 */
export function roomOf(cluster: Cluster, placement: PlacementSpec | undefined): Room {
  const constraints = (placement?.constraints ?? []).filter(({ key }) => !isHostKey(key));
  const { allows } = readRules({ ...placement, constraints });
  const takes = mostPerHost(placement);
  return (cluster.status?.free ?? [])
    .filter(({ labels = {}, taints = [] }) => allows({ hostname: '', labels, taints }))
    .map(({ cores = 0, memoryMiB = 0, hosts = 0 }) => ({ cores, memoryMiB, hosts, ...takes }));
}

/** By UNIQUE, MAX_PER and antiAffinity among its own kind. */
function mostPerHost(placement: PlacementSpec | undefined): Pick<Row, 'takes'> {
  const limits = readRules(placement).counted.flatMap((rule) =>
    rule.type === 'Limit' && rule.whom.type === 'Group' && isHostKey(rule.key) ? [rule.below] : [],
  );
  return limits.length === 0 ? {} : { takes: Math.min(...limits) };
}

export const copyRoom = (room: Room): Room => room.map((row) => ({ ...row }));

/** The row that would be left with the least: large rows stay whole for large machines. */
function bestRow(room: Room, size: Size): Row | undefined {
  let best: Row | undefined;
  for (const row of room) {
    const fits = row.hosts > 0 && row.cores >= size.cores && row.memoryMiB >= size.memoryMiB;
    if (fits && (!best || row.cores < best.cores || (row.cores === best.cores && row.memoryMiB < best.memoryMiB)))
      best = row;
  }
  return best;
}

export const hasRoom = (room: Room, size: Size) => bestRow(room, size) !== undefined;

/** Puts one machine onto one host; false if none has room for it. */
export function take(room: Room, size: Size): boolean {
  const row = bestRow(room, size);
  if (!row) return false;
  row.hosts -= 1;
  const cores = row.cores - size.cores;
  const memoryMiB = row.memoryMiB - size.memoryMiB;
  const takes = row.takes === undefined ? {} : { takes: row.takes - 1 };
  if (takes.takes === 0) return true;
  const isSame = (other: Row) => other.cores === cores && other.memoryMiB === memoryMiB && other.takes === takes.takes;
  const same = room.find(isSame);
  if (same) same.hosts += 1;
  else room.push({ cores, memoryMiB, hosts: 1, ...takes });
  return true;
}

/** The largest machine of the shape that some host has room for, weighing at most `units`. */
export function largestWithRoom(room: Room, shape: FlexibleShape, unit: Unit, units: number): Size | undefined {
  let best: Size | undefined;
  for (const { cores, memoryMiB, hosts } of room) {
    if (hosts === 0) continue;
    const size = largestOf(shape, unit, units, Math.min(cores, Math.floor(memoryMiB / shape.memoryMiBPerCore)));
    if (size && (!best || size.cores > best.cores)) best = size;
  }
  return best;
}

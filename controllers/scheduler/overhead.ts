/**
 * What Mesos is asked for is more than what the guest sees: QEMU itself needs memory. Everything that users read (free room, quotas,
 * factories) is guest-visible; only the ledger and the tasks know of the overhead.
 */
import { parseMiB } from '#lib/api/quantity.ts';
import type { Room } from './room.ts';

const fixedMiB = 64;
const percent = 2;

/** Cores and MiB as a guest sees them. */
export interface GuestSize {
  readonly cores: number;
  readonly memoryMiB: number;
}

/** The share of a host that a guest of this size takes: 64 MiB and 2 % more memory, rounded up to whole MiB. */
export function askFor({ cores, memoryMiB }: GuestSize): Room {
  return { cpu: cores * 1000, mem: (Math.ceil((memoryMiB * (100 + percent)) / 100) + fixedMiB) * 1000 };
}

/** The largest guest that fits into this room; the inverse of askFor. */
export function guestSizeOf(room: Room): GuestSize {
  const cores = Math.max(0, Math.floor(room.cpu / 1000));
  let memoryMiB = Math.max(0, Math.floor(((Math.floor(room.mem / 1000) - fixedMiB) * 100) / (100 + percent)));
  while (askFor({ cores, memoryMiB: memoryMiB + 1 }).mem <= room.mem) memoryMiB++;
  while (memoryMiB > 0 && askFor({ cores, memoryMiB }).mem > room.mem) memoryMiB--;
  return { cores, memoryMiB };
}

/** The share of the executor itself, once per host: Cluster.spec.executor. */
export function executorShare(spec: { readonly cores: string; readonly memory: string }): Room {
  return { cpu: Math.round(Number(spec.cores) * 1000), mem: parseMiB(spec.memory) * 1000 };
}

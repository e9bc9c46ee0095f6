/** What is counted on a host, and what its own services need by it. */
import { type Amounts, amounts } from './amounts.ts';

export interface Counters {
  /** Monotonic, milliseconds. */
  readonly atMs: number;
  readonly capacity: Amounts;
  /** Processor time since boot that was not idle, in milliseconds, over all processors. */
  readonly busyMs: number;
  /** Of it, by control group of a machine of ours. */
  readonly ownBusyMs: ReadonlyMap<string, number>;
  /** MiB, by everybody. */
  readonly used: { readonly mem: number; readonly disk: number };
  /** MiB, by machines of ours. */
  readonly own: { readonly mem: number; readonly disk: number };
}

/** Reads a host; throws if it cannot. */
export type ReadHost = () => Promise<Counters>;

/**
 * What is used by others than our machines. `cpus` is left out where it cannot be told: at first, and where a machine has ended
 * meanwhile, whose last share of the processors would count as that of services.
 */
export function needBetween(before: Counters | undefined, now: Counters): Partial<Amounts> {
  const { mem, disk } = amounts((name) => (name === 'cpus' ? 0 : Math.max(0, now.used[name] - now.own[name])));
  const elapsedMs = now.atMs - (before?.atMs ?? now.atMs);
  if (before === undefined || elapsedMs <= 0) return { mem, disk };
  let ownMs = 0;
  for (const [group, ms] of now.ownBusyMs) ownMs += Math.max(0, ms - (before.ownBusyMs.get(group) ?? 0));
  for (const group of before.ownBusyMs.keys()) if (!now.ownBusyMs.has(group)) return { mem, disk };
  const cpus = Math.round((1000 * (now.busyMs - before.busyMs - ownMs)) / elapsedMs);
  return { cpus: Math.min(now.capacity.cpus, Math.max(0, cpus)), mem, disk };
}

/** A host with services of its own: what they use over a day, and how long a request to them takes. */
import type { Random } from '#lib/std/random.ts';
import type { Amounts } from '../amounts.ts';

const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;
export const host: Amounts = { cpus: 32_000, mem: 131_072, disk: 1_000_000 };

interface Burst {
  readonly atMs: number;
  readonly forMs: number;
  readonly cpus: number;
  readonly mem: number;
}

/** Quiet at night, busy by day, with bursts of some minutes and a backup at 3. */
export function serviceLoad(random: Random): (ms: number) => Amounts {
  const between = (least: number, most: number) => least + random.next() * (most - least);
  const bursts: readonly Burst[] = Array.from({ length: 60 }, () => ({
    ...{ atMs: between(0, dayMs), forMs: between(120_000, 900_000) },
    ...{ cpus: between(300, 900), mem: between(100, 900) },
  }));
  return (ms) => {
    const day = 0.5 - 0.5 * Math.cos((2 * Math.PI * (ms - 2 * hourMs)) / dayMs);
    const running = bursts.filter(({ atMs, forMs }) => ms >= atMs && ms < atMs + forMs);
    const burst = (name: 'cpus' | 'mem') => running.reduce((sum, each) => sum + each[name], 0);
    const backup = ms >= 3 * hourMs && ms < 3.5 * hourMs ? 1 : 0;
    return {
      cpus: Math.round(3_000 + 13_000 * day + burst('cpus') + 1_500 * backup),
      mem: Math.round(20_000 + 30_000 * day + burst('mem')),
      disk: Math.round(200_000 + (20_000 * ms) / dayMs - (ms > 12 * hourMs ? 10_000 : 0)),
    };
  };
}

/**
 * Mean time of a request in units of its own work: M/M/c, as many servers as processors are left to the services, whole ones. Machines are
 * thought to use all that is theirs, all the time, and never to give way: worse than any scheduler of processors does it.
 */
export function latency(loadMilli: number, processorsMilli: number): number {
  const [load, servers] = [loadMilli / 1000, Math.floor(processorsMilli / 1000)];
  if (load >= servers) return Number.POSITIVE_INFINITY;
  let blocked = 1;
  for (let each = 1; each <= servers; each++) blocked = (load * blocked) / (each + load * blocked);
  const waits = blocked / (1 - (load / servers) * (1 - blocked));
  return 1 + waits / (servers - load);
}

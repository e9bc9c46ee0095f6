/** What must be true: at every moment, and when everything was deleted. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { localPaths } from '#cli/local/settings.ts';
import { IPLease, VirtualMachine } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { operatorClient } from '#mesos/operator.ts';
import type { Observer } from '../../sim-observer.ts';
import { isKept } from '../faults/churn.ts';
import type { Wishes } from '../faults/wishes.ts';
import type { ProcessCluster } from './cluster.ts';
import { executorProcesses } from './targets.ts';

/** Sentences about machines that stopped although nobody had asked for that, or were started more than once. */
export function wantedStopped(observer: Observer, wishes: Wishes): readonly string[] {
  const stopped = [...observer.stopped].flatMap(([uid, atMs]) => {
    const wish = wishes.byUid.get(uid);
    if (wish === undefined || (wish.deletionMs !== undefined && wish.deletionMs <= atMs)) return [];
    const asked = wish.deletionMs === undefined ? 'never asked for' : `asked for at ${iso(wish.deletionMs)}`;
    return [`${wish.name} (${uid}) stopped at ${iso(atMs)}; its deletion was ${asked}`];
  });
  const restarted = [...observer.lives].flatMap(([uid, { size }]) =>
    size === 1 ? [] : [`${wishes.byUid.get(uid)?.name} (${uid}) was started ${size} times`],
  );
  return [...stopped, ...restarted];
}

/** How many of those that were wanted from the beginning have run all the time. */
export function keptAlive(observer: Observer, wishes: Wishes): number {
  return [...wishes.byUid].filter(
    ([uid, { name }]) => isKept(name) && observer.lives.get(uid)?.size === 1 && !observer.stopped.has(uid),
  ).length;
}

/** What is left of machines anywhere, by kind; all 0 once they were deleted. */
export async function remains(cluster: ProcessCluster): Promise<Readonly<Record<string, number>>> {
  const { client, dir, hosts, zk } = cluster;
  const parts = { clock: systemClock, random: systemRandom, log: silentLog };
  await using operator = operatorClient({ masters: [zk], ...parts });
  const [machines, leases, tasks] = await Promise.all([
    client.list(VirtualMachine),
    client.list(IPLease),
    operator.tasks(),
  ]);
  const files = (folder: string) =>
    hosts.reduce((sum, host) => sum + readdirSync(join(localPaths(dir).host(host), 'executor', folder)).length, 0);
  const extra = hosts.reduce((sum, host) => {
    const { supervisors, workers } = executorProcesses(cluster, host);
    return sum + Math.max(0, supervisors.length - 1) + Math.max(0, workers.length - 1);
  }, 0);
  return {
    machines: machines.items.length,
    domains: files('sim/domains'),
    disks: files('vms'),
    nics: files('sim/nics'),
    consoles: files('tty'),
    'address leases': leases.items.length,
    tasks: (tasks.tasks ?? []).length + (tasks.unreachable_tasks ?? []).length,
    'second executors': extra,
  };
}

const iso = (ms: number) => new Date(ms).toISOString().slice(11, 23);

/** Where the victims are found: all processes of a kind that run now. */
import { join } from 'node:path';
import { localPaths } from '#cli/local/settings.ts';
import { Lease } from '#lib/api/core.ts';
import { clusterServerLease, systemNamespace } from '#lib/api/names.ts';
import { systemClock } from '#lib/std/clock.ts';
import { processesMarked } from '#lib/std/process-identity.ts';
import { commandOf } from '../../real-cluster.ts';
import type { Victim } from '../faults/striker.ts';
import { agentOf, leaseMs, type ProcessCluster, servers } from './cluster.ts';

export type TargetKind =
  | 'leading server'
  | 'standby server'
  | 'leading master'
  | 'standby master'
  | 'agent'
  | 'executor'
  | 'ZooKeeper';

type Find = (cluster: ProcessCluster) => Promise<readonly Victim[]> | readonly Victim[];

export const targets: Readonly<Record<TargetKind, Find>> = {
  'leading server': async (cluster) => {
    const holder = await leaderOf(cluster);
    return holder === undefined ? [] : kept(cluster, [holder]);
  },
  'standby server': async (cluster) => {
    const holder = await leaderOf(cluster);
    const others = servers.filter((name) => name !== holder);
    return holder === undefined ? [] : kept(cluster, others);
  },
  'leading master': async (cluster) => kept(cluster, (await mastersOf(cluster)).leading),
  'standby master': async (cluster) => kept(cluster, (await mastersOf(cluster)).others),
  agent: (cluster) => kept(cluster, cluster.hosts.map(agentOf)),
  executor: (cluster) => cluster.hosts.flatMap((host) => executorsOf(cluster, host)),
  ZooKeeper: (cluster) => kept(cluster, ['zookeeper']),
};

function kept({ keeper }: ProcessCluster, names: readonly string[]): readonly Victim[] {
  return names.flatMap((name) => {
    const process = keeper.process(name);
    return process ? [{ name, processes: [process] }] : [];
  });
}

/** The server that leads and says so. */
async function leaderOf({ client }: ProcessCluster): Promise<string | undefined> {
  const { spec } = await client.get(Lease, { name: clusterServerLease('local'), namespace: systemNamespace });
  const silentMs = systemClock.now() - Date.parse(spec?.renewTime ?? '');
  return silentMs < leaseMs ? spec?.holderIdentity : undefined;
}

/** Those that lead by their own word, and all others if there is one that does. */
async function mastersOf({ masters }: ProcessCluster) {
  const answers = await Promise.all(
    masters.map(async ({ name, url }) => ({ name, leads: (await leaderSaidBy(url)) === new URL(url).host })),
  );
  const named = (leads: boolean) => answers.filter((answer) => answer.leads === leads).map(({ name }) => name);
  const leading = named(true);
  return { leading, others: leading.length === 0 ? [] : named(false) };
}

async function leaderSaidBy(url: string): Promise<string | undefined> {
  try {
    const { headers } = await fetch(`${url}/redirect`, { redirect: 'manual', signal: AbortSignal.timeout(500) });
    return headers.get('location')?.replace('//', '');
  } catch {
    return undefined; // It does not run, or stands still.
  }
}

/** Supervisor, worker, or both at once: to Mesos they are one executor. Under one name, as they must not be hurt twice at a time. */
function executorsOf(cluster: ProcessCluster, host: string): readonly Victim[] {
  const { supervisors, workers } = executorProcesses(cluster, host);
  return [supervisors, workers, [...supervisors, ...workers]]
    .filter((processes) => processes.length > 0)
    .map((processes) => ({ name: `executor-${host}`, processes }));
}

export function executorProcesses({ dir }: Pick<ProcessCluster, 'dir'>, host: string) {
  const all = processesMarked('CF_EXECUTOR_CONFIG', join(localPaths(dir).host(host), 'executor.json'));
  const running = (program: RegExp) => all.filter(({ pid }) => program.test(commandOf(pid)));
  return { supervisors: running(/executor\/main\.ts/), workers: running(/executor\/worker\.ts/) };
}

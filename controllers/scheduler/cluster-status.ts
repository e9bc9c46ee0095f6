/** How our Cluster reads: pure. All figures are guest-visible. */
import { type ConditionDraft, withCondition } from '#lib/api/conditions.ts';
import type { Cluster } from '#lib/api/generated/cluster.ts';
import { annotations } from '#lib/api/names.ts';
import type { HostView } from './ledger.ts';
import type { HeldOrphans } from './orphans.ts';
import { guestSizeOf } from './overhead.ts';
import { minus, type Room } from './room.ts';

export interface ClusterInput {
  readonly cluster: Cluster;
  readonly frameworkId: string;
  readonly connected: boolean;
  readonly reconciled: boolean;
  /** Undefined while ZooKeeper has not named one. */
  readonly master: string | undefined;
  readonly version: string | undefined;
  readonly hosts: readonly HostView[];
  /** Hosts that have an object, and no agent now. */
  readonly hostsAway: number;
  readonly executorShare: Room;
  readonly orphanTasks: number;
  readonly orphansHeld: HeldOrphans | undefined;
  /** undefined: no host has looked since we began. */
  readonly orphanVolumes?: ClusterStatus['orphanVolumes'];
  readonly offersHeld: number;
  readonly nowMs: number;
}

type ClusterStatus = NonNullable<Cluster['status']>;
type Bucket = NonNullable<ClusterStatus['free']>[number];

/** Rows of `free`; what does not fit into as many is left out from the small end. */
const maxBuckets = 100;

export function clusterStatus(input: ClusterInput): ClusterStatus {
  const { cluster, hosts } = input;
  const ready = hosts.filter(({ host }) => host.readiness === 'Ready');
  const generation = cluster.metadata.generation ?? 1;
  const conditions = conditionDrafts(input).reduce(
    (list, draft) => withCondition(list, draft, generation, input.nowMs),
    cluster.status?.conditions ?? [],
  );
  const unreachable = hosts.filter(({ host }) => host.readiness === 'Unreachable').length + input.hostsAway;
  return {
    ...cluster.status,
    observedGeneration: generation,
    conditions,
    frameworkID: input.frameworkId,
    ...(input.master === undefined ? {} : { master: input.master }),
    ...(input.version === undefined ? {} : { version: input.version }),
    hosts: {
      total: hosts.length + input.hostsAway,
      ready: ready.length,
      unreachable,
      unschedulable: hosts.filter(({ host }) => host.readiness === 'Cordoned').length,
      draining: hosts.filter(({ host }) => host.readiness === 'Draining').length,
    },
    ...totals(hosts, input.executorShare),
    free: cluster.spec.unschedulable ? [] : freeBuckets(ready),
    offers: { held: input.offersHeld },
    orphanTasks: input.orphanTasks,
    ...(input.orphanVolumes && { orphanVolumes: input.orphanVolumes }),
    displayStatus: !input.connected ? 'Disconnected' : !input.reconciled ? 'Reconciling' : 'Ready',
  };
}

function totals(hosts: readonly HostView[], share: Room): Pick<ClusterStatus, 'capacity' | 'used'> {
  const capacity = { cores: 0, memoryMiB: 0 };
  const used = { cores: 0, memoryMiB: 0 };
  for (const { host, free } of hosts) {
    const whole = guestSizeOf(minus(minus(host.total, share), host.foreign));
    const left = guestSizeOf(free);
    capacity.cores += whole.cores;
    capacity.memoryMiB += whole.memoryMiB;
    used.cores += whole.cores - left.cores;
    used.memoryMiB += whole.memoryMiB - left.memoryMiB;
  }
  return { capacity, used };
}

/** Hosts alike in one row, largest first: what a planner needs to know, whatever the number of hosts. */
export function freeBuckets(ready: readonly HostView[]): readonly Bucket[] {
  const rows = new Map<
    string,
    Omit<Bucket, 'hosts'> & { readonly cores: number; readonly memoryMiB: number; hosts: number }
  >();
  for (const { host, free } of ready) {
    const { cores, memoryMiB } = guestSizeOf(free);
    if (cores < 1 || memoryMiB < 64) continue;
    const key = `${cores}/${memoryMiB}/${JSON.stringify([Object.entries(host.labels).sort(), host.taints])}`;
    const { labels, taints } = host;
    const row = rows.get(key) ?? { cores, memoryMiB, hosts: 0, labels, ...(taints && { taints }) };
    row.hosts++;
    rows.set(key, row);
  }
  const largestFirst = [...rows.values()].sort((a, b) => b.cores - a.cores || b.memoryMiB - a.memoryMiB);
  return largestFirst.slice(0, maxBuckets);
}

function conditionDrafts({
  connected,
  reconciled,
  master,
  cluster,
  orphansHeld,
}: ClusterInput): readonly ConditionDraft[] {
  const ready = connected && reconciled && !cluster.spec.unschedulable;
  const waiting = 'Asking Mesos for the state of every task; nothing is launched before all that can be answered is';
  return [
    connected
      ? { type: 'Connected', status: 'True', reason: 'Subscribed', message: `Subscribed with ${master}` }
      : {
          type: 'Connected',
          status: 'False',
          reason: 'Disconnected',
          message: `No session with a Mesos master; ${master === undefined ? 'ZooKeeper has not named one yet' : `trying ${master}`}`,
        },
    connected
      ? { type: 'Registered', status: 'True', reason: 'Registered', message: 'The framework is registered' }
      : { type: 'Registered', status: 'Unknown', reason: 'Disconnected', message: 'Not known while disconnected' },
    reconciled
      ? {
          type: 'Reconciled',
          status: 'True',
          reason: 'Reconciled',
          message: 'Every task that can be answered has been',
        }
      : { type: 'Reconciled', status: 'False', reason: 'Reconciling', message: waiting },
    ready
      ? { type: 'Ready', status: 'True', reason: 'Ready', message: 'Machines can be placed' }
      : {
          type: 'Ready',
          status: 'False',
          reason: !connected ? 'Disconnected' : !reconciled ? 'Reconciling' : 'Cordoned',
          message: 'No machines are placed now',
        },
    suspension(orphansHeld),
  ];
}

function suspension(held: HeldOrphans | undefined): ConditionDraft {
  const type = 'GCSuspended';
  if (!held) return { type, status: 'False', reason: 'NothingHeld', message: '' };
  const message =
    `${held.count} tasks and domains belong to no machine (for example ${held.examples.join(', ')}); beside ${held.machines} machines that ` +
    `is too many to be removed without a word. If they may go, annotate this Cluster: ${annotations.removeOrphans}=${held.count}`;
  return { type, status: 'True', reason: 'TooManyOrphans', message };
}

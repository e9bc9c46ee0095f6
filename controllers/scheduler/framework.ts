/** Who we are to Mesos. Everything here must come out the same after a restart: Mesos compares it. */
import { createHash } from 'node:crypto';
import { parseDuration } from '#lib/api/duration.ts';
import type { Cluster } from '#lib/api/generated/cluster.ts';
import type { ExecutorInfo, FrameworkInfo, Labels } from '#mesos/types.ts';
import { executorShare } from './overhead.ts';

/** A master accepts an id that it never issued, so that ours can be stored before first contact: losing it would orphan every task. */
export function frameworkIdFor(cluster: Cluster): string {
  return cluster.status?.frameworkID ?? `cf-${cluster.metadata.uid}`;
}

/** Where its masters are found, as the library wants it: URLs, or one of ZooKeeper. The schema sees to it that one of them is given. */
export function mastersOf({ spec }: Cluster): readonly string[] {
  return spec.masters ?? [spec.zookeeper!];
}

export type IdentifiedFramework = FrameworkInfo & { readonly id: { readonly value: string } };

/** `principal`: who the masters know us as, where they ask. */
export function frameworkInfo(cluster: Cluster, installation: string, principal?: string): IdentifiedFramework {
  return {
    id: { value: frameworkIdFor(cluster) },
    user: 'root',
    name: `compute-factory-${cluster.metadata.name}`,
    roles: [cluster.spec.role],
    failover_timeout: parseDuration(cluster.spec.failoverTimeout) / 1000,
    // Without it the agent kills every executor when it restarts, and the master gives tasks up when a connection breaks.
    checkpoint: true,
    capabilities: ['PARTITION_AWARE', 'MULTI_ROLE', 'RESERVATION_REFINEMENT', 'TASK_KILLING_STATE'].map((type) => ({
      type,
    })),
    labels: installationLabels(installation),
    ...(principal === undefined ? {} : { principal }),
  };
}

/**
 * One executor per host. Mesos refuses a task whose ExecutorInfo differs in anything from that of the running executor of the same id,
 * so the id carries a hash of all that can differ: another configuration is another executor.
 */
export function executorInfo(cluster: Cluster): ExecutorInfo {
  const { executor, role } = cluster.spec;
  const share = executorShare(executor);
  const allocation_info = { role };
  const content = {
    type: 'CUSTOM',
    framework_id: { value: frameworkIdFor(cluster) },
    name: 'compute-factory',
    source: 'compute-factory',
    command: { shell: false, value: executor.command, arguments: [executor.command] },
    resources: [
      { name: 'cpus', type: 'SCALAR', scalar: { value: share.cpu / 1000 }, allocation_info },
      { name: 'mem', type: 'SCALAR', scalar: { value: share.mem / 1000 }, allocation_info },
    ],
  } as const;
  const hash = createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 8);
  return { ...content, executor_id: { value: `cf-executor-${hash}` } };
}

/** Tells our tasks from those of another installation on the same masters. */
export function installationLabels(installation: string, uid?: string): Labels {
  const own = [{ key: 'cf-installation', value: installation }];
  return { labels: uid === undefined ? own : [...own, { key: 'cf-uid', value: uid }] };
}

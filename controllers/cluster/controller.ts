/**
 * Says of a Cluster whose cluster server has fallen silent that it is away: nobody else could, since all of its status is that program's
 * word. Silent is who does not renew its lease, seen by our own clock as in leader.ts. What comes back takes its conditions over again.
 *
 * The conditions become False and not Unknown: a cluster server that comes back without reaching Mesos says False as well, and since when
 * the Cluster has been away (by which capacity moves) must not begin anew.
 */
import { type Controller, type Phase, type Run, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { conditionOf, withConditions } from '#lib/api/conditions.ts';
import { Lease } from '#lib/api/core.ts';
import { Cluster } from '#lib/api/generated/index.ts';
import { clusterServerLease, systemNamespace } from '#lib/api/names.ts';
import { isCode } from '#lib/std/errors.ts';

/** A lease runs out after 15 s; by then a standby, if there is one, has taken it. */
const silentAfterMs = 40_000;
const lookEveryMs = 10_000;

interface Scope {
  readonly cluster: Cluster;
  readonly silentMs: number;
}

export function clusterController(deps: Deps): Controller<Cluster, Scope> {
  /** Name -> the state of its lease, and (monotonic) since when it is that. */
  const seen = new Map<string, { readonly version: string; readonly sinceMs: number }>();

  async function silentMs({ metadata }: Cluster, { signal }: Run): Promise<number> {
    // Given back, it changes no more: that is silence, too.
    const version = await versionOf(clusterServerLease(metadata.name), signal);
    const nowMs = deps.clock.monotonic();
    const before = seen.get(metadata.name);
    if (before?.version !== version) seen.set(metadata.name, { version, sinceMs: nowMs });
    return before?.version === version ? nowMs - before.sinceMs : 0;
  }

  /** Asked for, not watched: leases are renewed every other second, those of others too. */
  async function versionOf(name: string, signal: AbortSignal): Promise<string> {
    try {
      const { metadata } = await deps.client.get(Lease, { namespace: systemNamespace, name }, { signal });
      return metadata.resourceVersion ?? '';
    } catch (error) {
      if (isCode(error, 'NotFound')) return '';
      throw error;
    }
  }

  return {
    name: 'cluster',
    for: Cluster,
    reads: [Lease],
    writes: [],
    triggers: [],
    load: async (cluster, run) => ({ cluster, silentMs: await silentMs(cluster, run) }),
    phases: [lookAgain],
    summarize: ({ cluster, silentMs }) => (silentMs >= silentAfterMs ? silenced(cluster, deps.clock.now()) : undefined),
  };
}

const lookAgain: Phase<Scope> = () =>
  wait('Watched', 'Looks again whether its cluster server renews its lease', lookEveryMs);

/** One that was never heard of has nothing to take back. */
function silenced(cluster: Cluster, nowMs: number): Cluster['status'] {
  const { status } = cluster;
  if (!status?.conditions) return undefined;
  const reason = 'ClusterServerSilent';
  const message = 'Its cluster server does not renew its lease: what runs there runs on, and is not known';
  const drafts = ['Connected', 'Ready']
    .filter((type) => conditionOf(cluster, type)?.status === 'True')
    .map((type) => ({ type, status: 'False', reason, message }) as const);
  if (drafts.length === 0) return undefined;
  const conditions = withConditions(status.conditions, drafts, cluster.metadata.generation ?? 0, nowMs);
  return { ...status, conditions, displayStatus: 'Silent' };
}

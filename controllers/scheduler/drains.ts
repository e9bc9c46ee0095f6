/** What is drained now, read from everything that is known. */
import { parseDuration } from '#lib/api/duration.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { keyOf } from '#lib/api/meta.ts';
import { hostObjectName } from '#lib/api/names.ts';
import { type HostDrain, hostDrain } from './drain.ts';
import { machineOf } from './migration.ts';
import type { World } from './world.ts';

const defaultNotice = '30m';

/** How long before a window hosts of our Cluster are emptied. */
export function noticeMs({ clusters, cluster }: World): number {
  return parseDuration(clusters.get(cluster)?.spec.reclaimNotice ?? defaultNotice);
}

export function drainOf(world: World, hostname: string): HostDrain | undefined {
  const { agents, hosts, cluster, clock, windows } = world;
  return hostDrain({
    host: hosts.get(hostObjectName(cluster, hostname)),
    agent: agents.get(hostname),
    window: windows.get(hostname, clock.now()),
    noticeMs: noticeMs(world),
    nowMs: clock.now(),
  });
}

/** A machine that is on a host still, and what it waits for. */
export interface Left {
  /** namespace/name */
  readonly machine: string;
  readonly why: string;
  /** Nothing is done about it now. */
  readonly isWaiting: boolean;
}

/** Those that hold the drain up come first. */
export function leftOn({ ledger, machines }: World, hostname: string): readonly Left[] {
  const left = ledger.machinesOn(hostname).flatMap((uid): Left[] => {
    const vm = machines.byUid(machineOf(uid));
    if (vm?.status?.migration?.host === hostname && machineOf(uid) !== uid)
      return [{ machine: keyOf(vm), why: 'was to come here, and is told not to', isWaiting: false }];
    // Room may be held there for one that is elsewhere still.
    return vm?.status?.attempt?.host === hostname ? [{ machine: keyOf(vm), ...stateOf(vm) }] : [];
  });
  const rank = ({ isWaiting, machine }: Left) => `${isWaiting ? 0 : 1}${machine}`;
  return left.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

function stateOf({ metadata, status }: VirtualMachine): Pick<Left, 'why' | 'isWaiting'> {
  if (metadata.deletionTimestamp !== undefined) return { why: 'is being deleted', isWaiting: false };
  const { migration } = status ?? {};
  if (migration) return { why: `is being moved to host ${migration.host} as it runs`, isWaiting: false };
  if (status?.phase === 'Unreachable') return { why: 'does not answer: it has to be proven gone', isWaiting: true };
  const isWaiting = status?.attempt?.drain?.state === 'Waiting' || status?.attempt?.drain?.state === 'Migrating';
  const said = status?.conditions?.find(({ type }) => type === 'Draining')?.message;
  return { why: isWaiting && said ? said : 'is being stopped', isWaiting };
}

/** Whether everything is as it was asked to be. */
import { conditionOf, isTrue } from '#lib/api/conditions.ts';
import { Cluster, Host, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import type { Client } from '#lib/client/client.ts';
import { namespace } from './churn.ts';

export interface Running {
  readonly uid: string;
  readonly host: string;
}

/** What keeps it from being so; empty when all is well. `running` is asked after the objects. */
export async function unsettled(
  client: Client,
  hosts: number,
  running: () => readonly Running[],
): Promise<readonly string[]> {
  const [machines, pools, known, local] = await Promise.all([
    client.list(VirtualMachine, { namespace }),
    client.list(VMPool, { namespace }),
    client.list(Host),
    client.get(Cluster, { name: 'local' }),
  ]);
  const uids = new Set(machines.items.map(({ metadata }) => metadata.uid));
  const domains = running();
  return [
    ...machines.items.filter(({ metadata }) => metadata.deletionTimestamp).map((vm) => `deleting ${describe(vm)}`),
    ...machines.items.filter((vm) => !isTrue(vm, 'Ready')).map((vm) => `not ready ${describe(vm)}`),
    ...pools.items
      .filter((pool) => !isTrue(pool, 'Ready') || pool.status?.observedGeneration !== pool.metadata.generation)
      .map((pool) => `pool ${pool.metadata.name} ${conditionOf(pool, 'Ready')?.reason}`),
    ...known.items.filter((host) => !isTrue(host, 'Ready')).map((host) => `host ${host.metadata.name}`),
    ...(known.items.length === hosts ? [] : [`${known.items.length} hosts`]),
    ...(isTrue(local, 'Ready') ? [] : [`cluster ${conditionOf(local, 'Ready')?.message}`]),
    ...[...uids].filter((uid) => !domains.some((each) => each.uid === uid)).map((uid) => `${uid} does not run`),
    ...domains.filter(({ uid }) => !uids.has(uid)).map(({ uid, host }) => `nobody owns ${uid} on ${host}`),
  ];
}

function describe({ metadata, status }: VirtualMachine): string {
  const { number, host, taskID } = status?.attempt ?? {};
  const words = (status?.conditions ?? []).filter((each) => each.status !== 'True').map((each) => each.message);
  return `${metadata.name} ${metadata.uid} ${status?.phase} (attempt ${number} ${taskID} on ${host}): ${words.join('; ')}`;
}

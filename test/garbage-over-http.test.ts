/** Garbage collection and namespace deletion with two API servers on one store: what is written through one is cleared through the other. */
import { expect, it, vi } from 'vitest';
import { runControllers } from '#controllers/main.ts';
import { ConfigMap, Lease, Namespace } from '#lib/api/core.ts';
import { type Draft, type KubeObject, ownerReference } from '#lib/api/meta.ts';
import { silentLog } from '#lib/std/log.ts';
import { apiWorld } from './api-world.ts';

const within = { timeout: 20_000, interval: 50 };

function map(name: string, namespace: string, owners: readonly KubeObject[] = []): Draft<ConfigMap> {
  const metadata = { name, namespace, ownerReferences: owners.map(ownerReference) };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata };
}

it('dependents of every served kind go with their owners, and a namespace with everything in it', async () => {
  await using world = await apiWorld();
  const { client } = world;
  const other = await world.second();
  const stop = new AbortController();
  const ended = runControllers({ client: other, log: silentLog, identity: 'one', freeze: true }, stop.signal);
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
  const owner = await client.create(ConfigMap, map('owner', 'team'));
  const child = await client.create(ConfigMap, map('child', 'team', [owner]));
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' } as const;
  await client.create(Lease, { ...lease, metadata: { ...map('grandchild', 'team', [child]).metadata } });
  await client.create(ConfigMap, map('stranger', 'team'));

  await client.delete(ConfigMap, owner.metadata, { propagation: 'Foreground' });
  const left = async () => [
    ...(await client.list(ConfigMap, { namespace: 'team' })).items,
    ...(await client.list(Lease, { namespace: 'team' })).items,
  ];
  await vi.waitFor(
    async () => expect((await left()).map(({ metadata }) => metadata.name)).toEqual(['stranger']),
    within,
  );

  await client.patch(ConfigMap, { name: 'stranger', namespace: 'team' }, { metadata: { finalizers: ['x.io/held'] } });
  await client.delete(Namespace, { name: 'team' });
  await vi.waitFor(async () => {
    const { conditions } = (await client.get(Namespace, { name: 'team' })).status ?? {};
    expect(conditions?.find(({ type }) => type === 'NamespaceFinalizersRemaining')?.message).toContain('x.io/held');
  }, within);
  await client.patch(ConfigMap, { name: 'stranger', namespace: 'team' }, { metadata: { finalizers: [] } });
  await vi.waitFor(
    () => expect(client.get(Namespace, { name: 'team' })).rejects.toMatchObject({ code: 'NotFound' }),
    within,
  );
  expect(await left()).toEqual([]);
  stop.abort(new Error('enough'));
  await ended;
});

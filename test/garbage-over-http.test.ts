/** Garbage collection and namespace deletion with two API servers on one store: what is written through one is cleared through the other. */
import { expect, it, vi } from 'vitest';
import { runControllers } from '#controllers/main.ts';
import { ConfigMap, CustomResourceDefinition, Lease, Namespace } from '#lib/api/core.ts';
import { type Draft, type Kind, type KubeObject, ownerReference } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { silentLog } from '#lib/std/log.ts';
import { apiWorld } from './api-world.ts';

const within = { timeout: 20_000, interval: 50 };

function map(name: string, namespace: string, owners: readonly KubeObject[] = []): Draft<ConfigMap> {
  const metadata = { name, namespace, ownerReferences: owners.map(ownerReference) };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata };
}

const Widget: Kind = {
  ...{ group: 'garbage.test', version: 'v1', kind: 'Widget', plural: 'widgets', singular: 'widget' },
  ...{ shortNames: [], namespaced: true },
};

function widget(name: string, namespace: string, owners: readonly KubeObject[] = []): Draft<KubeObject> {
  const metadata = { name, namespace, ownerReferences: owners.map(ownerReference) };
  return { apiVersion: 'garbage.test/v1', kind: 'Widget', metadata };
}

interface Running extends AsyncDisposable {
  readonly client: Client;
  /** Through the server that the controllers use. */
  readonly other: Client;
}

/** With a namespace `team`. */
async function running(): Promise<Running> {
  await using stack = new AsyncDisposableStack();
  const world = stack.use(await apiWorld());
  const { client } = world;
  const other = await world.second();
  const stop = new AbortController();
  const ended = runControllers({ client: other, log: silentLog, identity: 'one', freeze: true }, stop.signal);
  stack.defer(async () => {
    stop.abort(new Error('enough'));
    await ended;
  });
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
  const moved = stack.move();
  return { client, other, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

/** Through one server; resolves once every one of them serves the kind. */
async function define(client: Client, ...servers: readonly Client[]): Promise<void> {
  const { group, kind, plural } = Widget;
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const versions = [{ name: 'v1', served: true, storage: true, schema }];
  const spec = { group, scope: 'Namespaced', names: { kind, plural }, versions };
  const metadata = { name: `${plural}.${group}` };
  const body = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata, spec };
  await client.create(CustomResourceDefinition, body as Draft<KubeObject>);
  for (const server of servers)
    await vi.waitFor(
      async () => expect((await server.discover()).kinds.map((served) => served.kind)).toContain(kind),
      within,
    );
}

it('kinds that were made while everything ran are collected, emptied and forgotten like any other', async () => {
  await using world = await running();
  const { client, other } = world;
  await define(client, client, other);
  const names = async (kind: Kind) =>
    (await client.list(kind, { namespace: 'team' })).items.map((o) => o.metadata.name);

  const owner = await client.create(Widget, widget('owner', 'team'));
  const child = await client.create(ConfigMap, map('child', 'team', [owner]));
  await client.create(Widget, widget('grandchild', 'team', [child]));
  await client.create(Widget, widget('stranger', 'team'));
  await client.delete(Widget, owner.metadata);
  await vi.waitFor(async () => expect(await names(Widget)).toEqual(['stranger']), within);
  expect(await names(ConfigMap)).toEqual([]);

  const last = await client.create(ConfigMap, map('last', 'team'));
  const held = await client.create(Widget, widget('held', 'team', [last]));
  await client.patch(Widget, held.metadata, { metadata: { finalizers: ['garbage.test/stuck'] } });
  await client.delete(Namespace, { name: 'team' });
  await vi.waitFor(async () => {
    const { conditions } = (await client.get(Namespace, { name: 'team' })).status ?? {};
    const remaining = conditions?.find(({ type }) => type === 'NamespaceContentRemaining');
    expect(remaining?.message).toContain('1 widgets.garbage.test');
  }, within);
  await client.delete(CustomResourceDefinition, { name: 'widgets.garbage.test' });
  await client.patch(Widget, held.metadata, { metadata: { finalizers: [] } });
  await vi.waitFor(
    () => expect(client.get(Namespace, { name: 'team' })).rejects.toMatchObject({ code: 'NotFound' }),
    within,
  );
}, 60_000);

it('dependents of every served kind go with their owners, and a namespace with everything in it', async () => {
  await using world = await running();
  const { client } = world;
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
}, 60_000);

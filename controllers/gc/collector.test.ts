/** The collector as it runs: informers made as discovery tells, a queue, leadership left out. */
import { expect, it, vi } from 'vitest';
import { ConfigMap, CustomResourceDefinition, coreKinds } from '#lib/api/core.ts';
import { type Kind, type KubeObject, ownerReference } from '#lib/api/meta.ts';
import { type MemoryApi, memoryClient } from '#lib/client/memory-client.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { garbageCollector } from './collector.ts';

const within = { timeout: 10_000, interval: 10 };

const Widget: Kind = {
  ...{ group: 'x.io', version: 'v1', kind: 'Widget', plural: 'widgets', singular: 'widget' },
  ...{ shortNames: [], namespaced: true },
};

interface World extends AsyncDisposable {
  readonly api: MemoryApi;
  readonly kinds: Kind[];
  create(kind: Kind, name: string, owners?: readonly KubeObject[]): Promise<KubeObject>;
  names(kind: Kind): Promise<readonly string[]>;
}

function running(): World {
  const kinds = [...coreKinds, CustomResourceDefinition];
  const api = memoryClient({ kinds: () => kinds });
  const stop = new AbortController();
  const events = { normal: () => undefined, warning: () => undefined };
  const deps = { client: api, clock: systemClock, random: systemRandom, log: silentLog, events };
  const collector = garbageCollector(deps);
  const ended = Promise.all([collector.warm(stop.signal), collector.run(stop.signal)]);
  return {
    api,
    kinds,
    async create(kind, name, owners = []) {
      const place = kind.namespaced ? { name, namespace: 'default' } : { name };
      const metadata = { ...place, ownerReferences: owners.map(ownerReference) };
      const apiVersion = kind.group === '' ? 'v1' : `${kind.group}/v1`;
      return await api.create(kind, { apiVersion, kind: kind.kind, metadata });
    },
    names: async (kind) => (await api.list(kind)).items.map(({ metadata }) => metadata.name),
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('enough'));
      await ended;
    },
  };
}

it('collects kinds that came after it started, as owners and as dependents', async () => {
  await using world = running();
  await world.create(ConfigMap, 'stranger');
  world.kinds.push(Widget);
  await world.create(CustomResourceDefinition, 'widgets.x.io');
  const owner = await world.create(Widget, 'owner');
  const map = await world.create(ConfigMap, 'map', [owner]);
  await world.create(Widget, 'leaf', [map]);
  await world.api.delete(Widget, owner.metadata);
  await vi.waitFor(async () => expect(await world.names(Widget)).toEqual([]), within);
  expect(await world.names(ConfigMap)).toEqual(['stranger']);
});

it('decides nothing on owners of a kind that is not served, until it is', async () => {
  await using world = running();
  const owner = { ...(await world.create(ConfigMap, 'x')), apiVersion: 'x.io/v1', kind: 'Widget' };
  await world.create(ConfigMap, 'map', [owner]);
  const gone = await world.create(ConfigMap, 'gone');
  await world.create(ConfigMap, 'witness', [gone]);
  await world.api.delete(ConfigMap, gone.metadata);
  await vi.waitFor(async () => expect(await world.names(ConfigMap)).toEqual(['map', 'x']), within);
  world.kinds.push(Widget);
  await world.create(CustomResourceDefinition, 'widgets.x.io');
  await vi.waitFor(async () => expect(await world.names(ConfigMap)).toEqual(['x']), within);
});

it('a kind that went away holds nothing up', async () => {
  await using world = running();
  world.kinds.push(Widget);
  const definition = await world.create(CustomResourceDefinition, 'widgets.x.io');
  const witness = await world.create(ConfigMap, 'witness');
  await world.create(Widget, 'watched', [witness]);
  await world.api.delete(ConfigMap, witness.metadata);
  await vi.waitFor(async () => expect(await world.names(Widget)).toEqual([]), within);
  const owner = await world.create(ConfigMap, 'owner');
  const held = await world.create(Widget, 'held', [owner]);
  await world.api.patch(Widget, held.metadata, { metadata: { finalizers: ['x.io/stuck'] } });
  await world.api.delete(ConfigMap, owner.metadata, { propagation: 'Foreground' });
  await vi.waitFor(
    async () => expect((await world.api.get(Widget, held.metadata)).metadata.deletionTimestamp).toBeDefined(),
    within,
  );
  expect(await world.names(ConfigMap)).toEqual(['owner']);
  world.kinds.pop();
  await world.api.delete(CustomResourceDefinition, definition.metadata);
  await vi.waitFor(async () => expect(await world.names(ConfigMap)).toEqual([]), within);
});

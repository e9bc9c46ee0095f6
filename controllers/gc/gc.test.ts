import { describe, expect, it } from 'vitest';
import { ConfigMap, coreKinds, Namespace } from '#lib/api/core.ts';
import { Cluster, factoryKinds, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import {
  apiVersionOf,
  type Draft,
  type Kind,
  type KubeObject,
  type OwnerReference,
  ownerReference,
} from '#lib/api/meta.ts';
import { settles, survivesEveryFailure } from '#test/proofs.ts';
import { story, type World } from '#test/story.ts';
import type { ControllerFactory } from '../runtime/deps.ts';
import { collect } from './collect.ts';
import { judge, type OwnerState } from './graph.ts';
import { namespaceController } from './namespace.ts';
import { OwnerStates } from './owner-state.ts';
import type { Owners } from './ownership.ts';

const kinds: readonly Kind[] = [...coreKinds, ...factoryKinds].filter(({ kind }) => kind !== 'Event');

/** What the collector does, as one controller per kind: so a story runs it step by step, on caches that are never behind. */
const collectors: readonly ControllerFactory[] = kinds.map((kind) => (deps) => {
  const caches = kinds.map((each) => ({ kind: each, cache: deps.cache(each) }));
  const owners: Owners = {
    find: (uid) =>
      caches.flatMap(({ kind, cache }) => ({ kind, object: cache.byUid(uid)! })).find(({ object }) => object),
    dependentsOf: (uid) =>
      caches.flatMap(({ kind, cache }) => cache.by('owner', uid).map((object) => ({ kind, object }))),
  };
  const resolve = (apiVersion: string, name: string) =>
    kinds.find((each) => each.kind === name && apiVersionOf(each) === apiVersion);
  const states = new OwnerStates({ client: deps.client, events: deps.events, owners, resolve });
  const phase = (object: KubeObject, run: Parameters<typeof collect>[2]) =>
    collect({ client: deps.client, owners, states, kinds: () => kinds }, { kind, object }, run);
  return {
    name: `gc-${kind.plural}`,
    for: kind,
    reads: 'every kind',
    writes: 'every kind',
    triggers: [],
    load: (object: KubeObject) => object,
    phases: [phase],
    finalize: [phase],
    summarize: () => undefined,
  };
});

function map(name: string, owners: readonly OwnerReference[], metadata: object = {}): Draft<ConfigMap> {
  const place = { name, namespace: 'default', ownerReferences: owners, ...metadata };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: place };
}

const names = (world: World) => world.api.store.list('/configmaps').map(({ metadata }) => metadata.name);

async function family(): Promise<{ world: World; owner: KubeObject }> {
  const world = story(collectors);
  const owner = await world.api.create(ConfigMap, map('owner', []));
  const child = await world.api.create(ConfigMap, map('child', [ownerReference(owner)]));
  await world.api.create(ConfigMap, map('grandchild', [ownerReference(child)]));
  await world.api.create(ConfigMap, map('stranger', []));
  return { world, owner };
}

const at = (name: string) => ({ name, namespace: 'default' });

describe('garbage collection', () => {
  it('leaves everything alone while the owners are there', async () => {
    const { world } = await family();
    await settles(world);
    expect(names(world)).toEqual(['child', 'grandchild', 'owner', 'stranger']);
    expect(world.calls.writes).toBe(0);
  });

  it('in the background: deletes the dependents of what is gone, and theirs', async () => {
    const { world } = await family();
    await world.api.delete(ConfigMap, at('owner'));
    await settles(world);
    expect(names(world)).toEqual(['stranger']);
  });

  it('in the foreground: the owner goes last', async () => {
    const { world } = await family();
    await world.api.create(
      ConfigMap,
      map('held', [ownerReference(await world.api.get(ConfigMap, at('owner')))], { finalizers: ['x.io/y'] }),
    );
    await world.api.delete(ConfigMap, at('owner'), { propagation: 'Foreground' });
    await settles(world);
    expect(names(world)).toEqual(['held', 'owner', 'stranger']);
    await world.api.patch(ConfigMap, at('held'), { metadata: { finalizers: null } });
    await settles(world);
    expect(names(world)).toEqual(['stranger']);
  });

  it('orphans: dependents forget the owner and stay', async () => {
    const { world } = await family();
    await world.api.delete(ConfigMap, at('owner'), { propagation: 'Orphan' });
    await settles(world);
    expect(names(world)).toEqual(['child', 'grandchild', 'stranger']);
    expect((await world.api.get(ConfigMap, at('child'))).metadata.ownerReferences).toEqual([]);
  });

  it('an owner of the same name with another uid is another object', async () => {
    const { world } = await family();
    await world.api.delete(ConfigMap, at('owner'));
    await world.api.create(ConfigMap, map('owner', []));
    await settles(world);
    expect(names(world)).toEqual(['owner', 'stranger']);
  });

  it('one owner that is left keeps an object, and lost ones are forgotten', async () => {
    const { world, owner } = await family();
    const other = await world.api.create(ConfigMap, map('other', []));
    await world.api.create(ConfigMap, map('shared', [ownerReference(owner), ownerReference(other)]));
    await world.api.delete(ConfigMap, at('owner'));
    await settles(world);
    expect(names(world)).toEqual(['other', 'shared', 'stranger']);
    expect((await world.api.get(ConfigMap, at('shared'))).metadata.ownerReferences).toEqual([ownerReference(other)]);
  });

  it('decides nothing on owners it cannot know', async () => {
    const world = story(collectors);
    const foreign = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'x', uid: 'u' };
    await world.api.create(ConfigMap, map('foreign', [foreign]));
    const cluster = { apiVersion: 'computefactory.io/v1alpha1', kind: 'Cluster' } as const;
    const spec = { mesos: { masters: ['http://127.0.0.1:5050'] } } as never;
    await world.api.create(Cluster, {
      ...cluster,
      metadata: { name: 'c', ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'u' }] },
      spec,
    });
    await settles(world);
    expect(names(world)).toEqual(['foreign']);
    expect(world.api.store.list('computefactory.io/clusters')).toHaveLength(1);
    expect(world.events[0]).toMatchObject({ kind: 'Cluster', name: 'c', reason: 'OwnerRefInvalidNamespace' });
  });

  it('ends the same whichever call is lost', async () => {
    const survived = await survivesEveryFailure(async () => {
      const { world, owner } = await family();
      await world.api.create(ConfigMap, map('twin', [ownerReference(owner)]));
      await world.api.delete(ConfigMap, at('owner'), { propagation: 'Foreground' });
      return world;
    });
    expect(survived).toBeGreaterThanOrEqual(8);
  });

  it('two that own each other go together, in the foreground too', async () => {
    const world = story(collectors);
    const one = await world.api.create(ConfigMap, map('one', []));
    const two = await world.api.create(ConfigMap, map('two', [ownerReference(one)]));
    await world.api.patch(ConfigMap, at('one'), { metadata: { ownerReferences: [ownerReference(two)] } });
    await settles(world);
    expect(names(world)).toEqual(['one', 'two']);
    await world.api.delete(ConfigMap, at('one'), { propagation: 'Foreground' });
    await settles(world);
    expect(names(world)).toEqual([]);
  });

  it('what owns itself goes like anything else', async () => {
    const world = story(collectors);
    const self = await world.api.create(ConfigMap, map('self', []));
    await world.api.patch(ConfigMap, at('self'), { metadata: { ownerReferences: [ownerReference(self)] } });
    await settles(world);
    await world.api.delete(ConfigMap, at('self'), { propagation: 'Foreground' });
    await settles(world);
    expect(names(world)).toEqual([]);
  });

  it('what is to leave its own dependents alone does so when it is collected', async () => {
    const { world } = await family();
    await world.api.patch(ConfigMap, at('child'), { metadata: { finalizers: ['orphan'] } });
    await world.api.delete(ConfigMap, at('owner'));
    await settles(world);
    expect(names(world)).toEqual(['grandchild', 'stranger']);
  });

  it('an owner in another namespace is none, and an event says so', async () => {
    const world = story(collectors);
    await world.api.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'far' } });
    const far = await world.api.create(ConfigMap, map('owner', [], { namespace: 'far' }));
    await world.api.create(ConfigMap, map('astray', [ownerReference(far)]));
    await settles(world);
    expect(names(world)).toEqual(['owner']);
    const [event] = world.events;
    expect(event).toMatchObject({ type: 'Warning', name: 'astray', reason: 'OwnerRefInvalidNamespace' });
  });

  it('an object of the whole cluster may own what is in a namespace', async () => {
    const world = story(collectors);
    const owner = await world.api.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'own' } });
    await world.api.create(ConfigMap, map('owned', [ownerReference(owner)]));
    await settles(world);
    expect(names(world)).toEqual(['owned']);
    const lost = { ...ownerReference(owner), uid: 'another' };
    await world.api.create(ConfigMap, map('lost', [lost]));
    await settles(world);
    expect(names(world)).toEqual(['owned']);
  });

  it.each<[OwnerState[], boolean, string]>([
    [[], false, 'keep'],
    [['present'], false, 'keep'],
    [['unknown', 'absent'], false, 'release'],
    [['absent', 'absent'], true, 'delete Background'],
    [['waiting'], false, 'delete Background'],
    [['waiting', 'absent'], true, 'delete Foreground'],
    [['present', 'waiting'], true, 'release'],
  ])('owners %j, dependents %s: %s', (states, hasDependents, expected) => {
    const owners = states.map((state, index) => ({ state, reference: { uid: `${index}` } as OwnerReference }));
    const object = { metadata: {} } as KubeObject;
    const verdict = judge(object, owners, hasDependents ? [object] : []);
    expect(verdict.do === 'delete' ? `delete ${verdict.propagation}` : verdict.do).toBe(expected);
  });
});

describe('namespace deletion', () => {
  async function dying(): Promise<World> {
    const world = story([namespaceController]);
    const { api } = world;
    await api.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
    const metadata = (name: string, finalizers: string[] = []) => ({ name, namespace: 'team', finalizers });
    const common = { apiVersion: 'computefactory.io/v1alpha1' } as const;
    await api.create(VMPool, { ...common, kind: 'VMPool', metadata: metadata('pool'), spec: {} as never });
    await api.create(VirtualMachine, {
      ...common,
      kind: 'VirtualMachine',
      metadata: metadata('vm', ['x.io/held']),
      spec: {} as never,
    });
    await api.create(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata('settings') });
    await api.create(ConfigMap, map('elsewhere', []));
    await api.delete(Namespace, { name: 'team' });
    return world;
  }

  /** Until what other servers may still have let in has been looked for. */
  async function goes(world: World): Promise<void> {
    for (let round = 1; round <= 10; round++) {
      await world.reconcileAll();
      await world.clock.advance(1_000);
    }
    await settles(world);
  }

  const conditions = async (world: World) =>
    Object.fromEntries(
      ((await world.api.get(Namespace, { name: 'team' })).status?.conditions ?? []).map((each) => [
        each.type,
        `${each.status} ${each.reason}: ${each.message}`,
      ]),
    );

  it('goes in order: what machines stand on stays until the machines are gone, and conditions say so', async () => {
    const world = await dying();
    await goes(world);
    expect(world.api.store.list('computefactory.io/vmpools')).toEqual([]);
    expect(names(world)).toEqual(['elsewhere', 'settings']);
    expect(await conditions(world)).toEqual({
      NamespaceDeletionDiscoveryFailure: expect.stringMatching(/^False ResourcesDiscovered/),
      NamespaceDeletionGroupVersionParsingFailure: expect.stringMatching(/^False ParsedGroupVersions/),
      NamespaceDeletionContentFailure: expect.stringMatching(/^False ContentDeleted/),
      NamespaceContentRemaining: 'True SomeResourcesRemain: Still there: 1 virtualmachines.computefactory.io',
      NamespaceFinalizersRemaining: 'True SomeFinalizersRemain: Held by finalizers: x.io/held (1 objects)',
    });
    await world.api.patch(VirtualMachine, { name: 'vm', namespace: 'team' }, { metadata: { finalizers: null } });
    await goes(world);
    expect(names(world)).toEqual(['elsewhere']);
    await expect(world.api.get(Namespace, { name: 'team' })).rejects.toMatchObject({ code: 'NotFound' });
  });

  it('looks once more after a while: another server may not have heard of the deletion', async () => {
    const world = await dying();
    await world.api.patch(VirtualMachine, { name: 'vm', namespace: 'team' }, { metadata: { finalizers: null } });
    await settles(world);
    expect(await conditions(world)).toMatchObject({
      NamespaceContentRemaining: 'False ContentRemoved: Nothing is left',
    });
    const late = { ...map('late', []), metadata: { name: 'late', namespace: 'team', uid: 'u', resourceVersion: '' } };
    world.api.store.put('/configmaps', late as unknown as KubeObject);
    await world.clock.advance(5_000);
    await settles(world);
    expect(names(world)).toEqual(['elsewhere']);
  });

  it('a group that cannot be discovered keeps the namespace, whatever else is gone', async () => {
    const world = await dying();
    await world.api.patch(VirtualMachine, { name: 'vm', namespace: 'team' }, { metadata: { finalizers: null } });
    let failed = ['metrics.k8s.io/v1'];
    const { discover } = world.api;
    world.api.discover = async () => ({ ...(await discover()), failed });
    await goes(world);
    expect(await conditions(world)).toMatchObject({
      NamespaceDeletionDiscoveryFailure: expect.stringMatching(/^True DiscoveryFailed: .*metrics.k8s.io\/v1/),
    });
    failed = [];
    await goes(world);
    await expect(world.api.get(Namespace, { name: 'team' })).rejects.toMatchObject({ code: 'NotFound' });
  });

  it('leaves living namespaces alone', async () => {
    const world = story([namespaceController]);
    await settles(world);
    expect(world.calls.total).toBe(0);
  });

  it('ends the same whichever call is lost', async () => {
    await survivesEveryFailure(async () => {
      const world = await dying();
      await world.api.patch(VirtualMachine, { name: 'vm', namespace: 'team' }, { metadata: { finalizers: null } });
      return world;
    }, goes);
  });
});

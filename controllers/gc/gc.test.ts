import { describe, expect, it } from 'vitest';
import { ConfigMap, Namespace } from '#lib/api/core.ts';
import { Cluster, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { type Draft, type KubeObject, type OwnerReference, ownerReference } from '#lib/api/meta.ts';
import { settles, survivesEveryFailure } from '#test/proofs.ts';
import { story, type World } from '#test/story.ts';
import { garbageController } from './controller.ts';
import { judge, type OwnerState } from './graph.ts';
import { collectedKinds } from './kinds.ts';
import { namespaceController } from './namespace.ts';

const collectors = [...collectedKinds.map(garbageController), namespaceController];

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

  it('asks for informers of the collected kinds only: events and leases change too often', () => {
    const world = story(collectors);
    const kinds = new Set(world.controllers.flatMap(({ triggers }) => triggers.map(({ kind }) => kind.kind)));
    expect(kinds).not.toContain('Event');
    expect(kinds).not.toContain('Lease');
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
    const verdict = judge(owners, hasDependents);
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

  it('goes in order: what machines stand on stays until the machines are gone', async () => {
    const world = await dying();
    await settles(world);
    expect(world.api.store.list('computefactory.io/vmpools')).toEqual([]);
    expect(names(world)).toEqual(['elsewhere', 'settings']);
    await world.api.patch(VirtualMachine, { name: 'vm', namespace: 'team' }, { metadata: { finalizers: null } });
    await settles(world);
    expect(names(world)).toEqual(['elsewhere']);
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
    });
  });
});

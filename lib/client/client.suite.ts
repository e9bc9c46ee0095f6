/** What every Client does, whatever is behind it. Run against memory here and against the API server over HTTP in test/. */
import { describe, expect, it } from 'vitest';
import { ConfigMap, Namespace } from '#lib/api/core.ts';
import { InstanceType, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import type { Draft, Kind, KubeObject } from '#lib/api/meta.ts';
import type { ErrorCode } from '#lib/std/errors.ts';
import type { Client, WatchEvent } from './client.ts';

export interface ClientUnderTest extends AsyncDisposable {
  readonly client: Client;
}

const pool = (name: string, labels: Record<string, string> = {}): Draft<VMPool> => ({
  apiVersion: 'computefactory.io/v1alpha1',
  kind: 'VMPool',
  metadata: { name, namespace: 'default', labels },
  spec: { replicas: 1, paused: false, template: { spec: { instanceType: 'small', image: { name: 'blender' } } } },
});

const configMap = (metadata: Draft<ConfigMap>['metadata']): Draft<ConfigMap> => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata,
});

const refused = (call: Promise<unknown>, code: ErrorCode) => expect(call).rejects.toMatchObject({ code });

/** The first `count` events that are not bookmarks; ends the watch. */
async function events<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  options: { resourceVersion: string; labelSelector?: string },
  count: number,
): Promise<readonly string[]> {
  const stop = new AbortController();
  const seen: string[] = [];
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(10_000)]);
  for await (const event of client.watch(kind, { ...options, namespace: 'default', signal })) {
    if (event.type === 'BOOKMARK') continue;
    seen.push(`${event.type} ${event.object.metadata.name}`);
    if (seen.length === count) break;
  }
  stop.abort();
  return seen;
}

export function clientSuite(name: string, make: () => Promise<ClientUnderTest>): void {
  describe(name, () => {
    writes(make);
    statusAndGeneration(make);
    deletion(make);
    listsAndWatches(make);
  });
}

function writes(make: () => Promise<ClientUnderTest>): void {
  it('create() gives uid, resourceVersion, generation and creationTimestamp', async () => {
    await using world = await make();
    const { metadata, ...rest } = await world.client.create(VMPool, pool('a'));
    expect(metadata).toMatchObject({ name: 'a', namespace: 'default', generation: 1 });
    expect(metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(metadata.resourceVersion).toMatch(/^[1-9]\d*$/);
    expect(Math.abs(Date.parse(metadata.creationTimestamp) - Date.now())).toBeLessThan(60_000);
    expect(rest).toMatchObject({ kind: 'VMPool', apiVersion: 'computefactory.io/v1alpha1' });
  });

  it('create() refuses a name that is taken, and a namespace that is not there', async () => {
    await using world = await make();
    await world.client.create(VMPool, pool('a'));
    await refused(world.client.create(VMPool, pool('a')), 'AlreadyExists');
    await refused(world.client.create(ConfigMap, configMap({ name: 'a', namespace: 'nowhere' })), 'NotFound');
  });

  it('create() makes a name from generateName', async () => {
    await using world = await make();
    const made = await world.client.create(ConfigMap, configMap({ generateName: 'a-', namespace: 'default' }));
    expect(made.metadata.name).toMatch(/^a-[a-z0-9]{5}$/);
  });

  it('get(), update(), patch() and delete() of what is not there say NotFound', async () => {
    await using world = await make();
    const { client } = world;
    const at = { name: 'none', namespace: 'default' };
    const gone = await client.create(VMPool, pool('none'));
    await client.delete(VMPool, at);
    await refused(client.get(VMPool, at), 'NotFound');
    await refused(client.update(VMPool, gone), 'NotFound');
    await refused(client.patch(VMPool, at, { metadata: { labels: { a: 'b' } } }), 'NotFound');
    await refused(client.delete(VMPool, at), 'NotFound');
  });

  it('update() with an old resourceVersion, or for another uid, is a Conflict', async () => {
    await using world = await make();
    const first = await world.client.create(VMPool, pool('a'));
    const second = await world.client.update(VMPool, { ...first, spec: { ...first.spec, paused: true } });
    await refused(world.client.update(VMPool, first), 'Conflict');
    const other = { ...second, metadata: { ...second.metadata, uid: '00000000-0000-4000-8000-000000000000' } };
    await refused(world.client.update(VMPool, other), 'Conflict');
  });

  it('patch() merges, removes what is null, and honours a resourceVersion', async () => {
    await using world = await make();
    const { client } = world;
    const at = { name: 'a', namespace: 'default' };
    const made = await client.create(VMPool, pool('a', { keep: 'x', drop: 'y' }));
    const patch = { metadata: { labels: { drop: null, add: 'z' } } };
    const patched = await client.patch(VMPool, at, patch);
    expect(patched.metadata.labels).toEqual({ keep: 'x', add: 'z' });
    expect(patched.metadata.generation).toBe(1);
    const { resourceVersion } = made.metadata;
    await refused(client.patch(VMPool, at, { metadata: { resourceVersion, labels: { q: 'r' } } }), 'Conflict');
  });

  it('a write that changes nothing keeps the resourceVersion', async () => {
    await using world = await make();
    const made = await world.client.create(VMPool, pool('a', { x: 'y' }));
    const same = await world.client.patch(VMPool, { name: 'a', namespace: 'default' }, { spec: { replicas: 1 } });
    expect(same.metadata.resourceVersion).toBe(made.metadata.resourceVersion);
    expect((await world.client.update(VMPool, made)).metadata.resourceVersion).toBe(made.metadata.resourceVersion);
  });
}

function statusAndGeneration(make: () => Promise<ClientUnderTest>): void {
  it('status is written by updateStatus() and patchStatus() only, and they write nothing else', async () => {
    await using world = await make();
    const { client } = world;
    const at = { name: 'a', namespace: 'default' };
    const made = await client.create(VMPool, { ...pool('a'), status: { displayStatus: 'Failed' } });
    expect(made.status?.displayStatus).toBeUndefined();
    const status = { displayStatus: 'Ready', updateRevision: 'm' };
    const changed = { ...made, status, spec: { ...made.spec, replicas: 2 } };
    const written = await client.updateStatus(VMPool, changed);
    expect(written).toMatchObject({ status, spec: { replicas: 1 }, metadata: { generation: 1 } });
    const patched = await client.patchStatus(VMPool, at, { status: { updateRevision: null }, spec: { replicas: 2 } });
    expect(patched).toMatchObject({ status: { displayStatus: 'Ready' }, spec: { replicas: 1 } });
    expect(patched.status?.updateRevision).toBeUndefined();
    const kept = await client.patch(VMPool, at, { status: { displayStatus: 'Failed' }, spec: { paused: true } });
    expect(kept).toMatchObject({
      status: { displayStatus: 'Ready' },
      spec: { paused: true },
      metadata: { generation: 2 },
    });
    await refused(client.updateStatus(VMPool, written), 'Conflict');
  });
}

function deletion(make: () => Promise<ClientUnderTest>): void {
  const at = { name: 'a', namespace: 'default' };
  const held = (...finalizers: string[]): Draft<VMPool> => {
    const draft = pool('a');
    return { ...draft, metadata: { ...draft.metadata, finalizers } };
  };

  it('a finalizer keeps the object until the write that removes it', async () => {
    await using world = await make();
    const { client } = world;
    await client.create(VMPool, held('computefactory.io/test'));
    await client.delete(VMPool, at);
    const dying = await client.get(VMPool, at);
    expect(dying.metadata).toMatchObject({ generation: 2, deletionGracePeriodSeconds: 0 });
    expect(dying.metadata.deletionTimestamp).toBeDefined();
    await refused(
      client.patch(VMPool, at, { metadata: { finalizers: ['computefactory.io/test', 'computefactory.io/new'] } }),
      'Invalid',
    );
    await client.patch(VMPool, at, { metadata: { finalizers: null } });
    await refused(client.get(VMPool, at), 'NotFound');
  });

  it('delete() with another uid or resourceVersion is a Conflict', async () => {
    await using world = await make();
    const { metadata } = await world.client.create(VMPool, pool('a'));
    const { client } = world;
    await refused(client.delete(VMPool, at, { uid: '00000000-0000-4000-8000-000000000000' }), 'Conflict');
    await client.patch(VMPool, at, { spec: { paused: true } });
    await refused(client.delete(VMPool, at, { resourceVersion: metadata.resourceVersion }), 'Conflict');
    await client.delete(VMPool, at, { uid: metadata.uid });
    await refused(client.get(VMPool, at), 'NotFound');
  });

  it('delete() in the foreground or with orphans leaves the object to the garbage collector', async () => {
    await using world = await make();
    const { client } = world;
    for (const [propagation, finalizer] of [
      ['Foreground', 'foregroundDeletion'],
      ['Orphan', 'orphan'],
    ] as const) {
      await client.create(VMPool, pool('a'));
      await client.delete(VMPool, at, { propagation });
      expect((await client.get(VMPool, at)).metadata.finalizers).toEqual([finalizer]);
      await client.patch(VMPool, at, { metadata: { finalizers: null } });
    }
  });

  it('a namespace stays, refusing new content, until finalize() empties its finalizers', async () => {
    await using world = await make();
    const { client } = world;
    await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'short-lived' } });
    await client.delete(Namespace, { name: 'short-lived' });
    const dying = await client.get(Namespace, { name: 'short-lived' });
    expect(dying).toMatchObject({ spec: { finalizers: ['kubernetes'] }, status: { phase: 'Terminating' } });
    await refused(client.create(ConfigMap, configMap({ name: 'late', namespace: 'short-lived' })), 'Forbidden');
    await client.finalize({ ...dying, spec: { finalizers: [] } });
    await refused(client.get(Namespace, { name: 'short-lived' }), 'NotFound');
  });
}

function listsAndWatches(make: () => Promise<ClientUnderTest>): void {
  it('list() selects by namespace, labels and fields', async () => {
    await using world = await make();
    const { client } = world;
    for (const [name, tier] of [
      ['a', 'web'],
      ['b', 'db'],
      ['c', 'web'],
    ] as const)
      await client.create(VMPool, pool(name, { tier }));
    const names = async (options: object) =>
      (await client.list(VMPool, options)).items.map((item) => item.metadata.name);
    expect(await names({ namespace: 'default' })).toEqual(['a', 'b', 'c']);
    expect(await names({ namespace: 'cf-system' })).toEqual([]);
    expect(await names({ labelSelector: 'tier=web' })).toEqual(['a', 'c']);
    expect(await names({ labelSelector: 'tier notin (web, x)' })).toEqual(['b']);
    expect(await names({ labelSelector: '!tier' })).toEqual([]);
    expect(await names({ fieldSelector: 'metadata.name=b' })).toEqual(['b']);
    await refused(client.list(VMPool, { fieldSelector: 'spec.replicas=1' }), 'BadRequest');
  });

  it('list() selects by the fields that the definition of a kind names; one that is absent is empty', async () => {
    await using world = await make();
    const { client } = world;
    for (const [name, cluster] of [
      ['a', 'lab'],
      ['b', 'annex'],
      ['c', undefined],
    ] as const)
      await client.create(VirtualMachine, {
        ...{
          apiVersion: 'computefactory.io/v1alpha1',
          kind: 'VirtualMachine',
          metadata: { name, namespace: 'default' },
        },
        spec: {
          image: { name: 'debian' },
          resources: { cores: 1, memory: '1Gi' },
          ...(cluster && { placement: { cluster } }),
        } as never,
      });
    const names = async (fieldSelector: string) =>
      (await client.list(VirtualMachine, { fieldSelector })).items.map((item) => item.metadata.name);
    expect(await names('spec.placement.cluster=lab')).toEqual(['a']);
    expect(await names('spec.placement.cluster!=lab')).toEqual(['b', 'c']);
    expect(await names('spec.placement.cluster=,status.attempt.cluster=')).toEqual(['c']);
  });

  it('watch() tells everything after the list, in order, and again from the same place', async () => {
    await using world = await make();
    const { client } = world;
    const { resourceVersion } = await client.list(VMPool);
    await client.create(VMPool, pool('a'));
    await client.patch(VMPool, { name: 'a', namespace: 'default' }, { spec: { paused: true } });
    await client.create(InstanceType, {
      apiVersion: 'computefactory.io/v1alpha1',
      kind: 'InstanceType',
      metadata: { name: 'other-kind' },
      spec: { cores: 1, memory: '1Gi' },
    });
    await client.delete(VMPool, { name: 'a', namespace: 'default' });
    const expected = ['ADDED a', 'MODIFIED a', 'DELETED a'];
    expect(await events(client, VMPool, { resourceVersion }, 3)).toEqual(expected);
    expect(await events(client, VMPool, { resourceVersion }, 3)).toEqual(expected);
  });

  it('watch() hears of what is written after it began, and ends by its signal', async () => {
    await using world = await make();
    const { client } = world;
    const stop = new AbortController();
    const { resourceVersion } = await client.list(VMPool);
    const watch = client.watch(VMPool, { resourceVersion, signal: stop.signal })[Symbol.asyncIterator]();
    const next = watch.next();
    await client.create(VMPool, pool('a'));
    const event = (await next).value as WatchEvent<VMPool>;
    expect(event).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'a' } } });
    const ended = watch.next();
    stop.abort(new Error('enough'));
    await expect(ended).rejects.toThrow('enough');
  });

  it('watch() from the start tells what is there, the end of it, and goes on', async () => {
    await using world = await make();
    const { client } = world;
    await client.create(VMPool, pool('a'));
    await client.create(VMPool, pool('b'));
    const seen: string[] = [];
    let reached = '';
    for await (const event of client.watch(VMPool, { resourceVersion: '', signal: AbortSignal.timeout(10_000) })) {
      if (event.type !== 'BOOKMARK') seen.push(`${event.type} ${event.object.metadata.name}`);
      else if (event.initialEventsEnd) {
        seen.push('end');
        reached = event.resourceVersion;
        await client.delete(VMPool, { name: 'a', namespace: 'default' });
      }
      if (seen.length === 4) break;
    }
    expect(seen).toEqual(['ADDED a', 'ADDED b', 'end', 'DELETED a']);
    expect(await events(client, VMPool, { resourceVersion: reached }, 1)).toEqual(['DELETED a']);
  });

  it('watch() with a selector sees what begins to match as added and what stops as deleted', async () => {
    await using world = await make();
    const { client } = world;
    const at = { name: 'a', namespace: 'default' };
    const { resourceVersion } = await client.list(VMPool);
    await client.create(VMPool, pool('a'));
    await client.patch(VMPool, at, { metadata: { labels: { tier: 'web' } } });
    await client.patch(VMPool, at, { metadata: { labels: { tier: 'db' } } });
    const options = { resourceVersion, labelSelector: 'tier=web' };
    expect(await events(client, VMPool, options, 2)).toEqual(['ADDED a', 'DELETED a']);
  });
}

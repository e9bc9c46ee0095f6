import { describe, expect, it, vi } from 'vitest';
import { VMOperation } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { idle, VirtualClock } from '#test/virtual-clock.ts';
import type { Indexes } from './cache.ts';
import type { Client } from './client.ts';
import { Informer } from './informer.ts';
import { createInformers } from './informers.ts';
import { type MemoryApi, memoryClient } from './memory-client.ts';

const at = (name: string) => ({ name, namespace: 'default' });

async function add(api: MemoryApi, name: string, vm = 'web-0'): Promise<VMOperation> {
  return api.create(VMOperation, {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'VMOperation',
    metadata: at(name),
    spec: { vm, type: 'Stop' },
  });
}

function watching(client: Client, indexes: Indexes<VMOperation> = {}) {
  const clock = new VirtualClock();
  const random = seededRandom(1);
  const informer = new Informer(VMOperation, { client, clock, random, log: silentLog, freeze: true });
  const heard: string[] = [];
  informer.onChange((change) => {
    const flags = [
      change.type === 'added' && change.initial && 'initial',
      change.type === 'deleted' && change.finalStateUnknown && 'unknown',
    ];
    heard.push([change.type, change.object.metadata.name, ...flags.filter(Boolean)].join(' '));
  });
  const stop = new AbortController();
  const running = informer.run(stop.signal);
  return {
    informer,
    clock,
    heard,
    cache: informer.cache(indexes),
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('enough'));
      await running;
    },
  };
}

describe('Informer', () => {
  it('tells the list as initial, then every change, and keeps its cache and indexes in step', async () => {
    const api = memoryClient();
    await add(api, 'a');
    await using w = watching(api, { vm: ({ spec }) => [spec.vm] });
    await w.informer.synced();
    const made = await add(api, 'b');
    await api.patch(VMOperation, at('b'), { spec: { vm: 'web-1' } });
    await api.delete(VMOperation, at('a'));
    await idle();
    expect(w.heard).toEqual(['added a initial', 'added b', 'changed b', 'deleted a']);
    expect(w.cache.list().map(({ metadata }) => metadata.name)).toEqual(['b']);
    expect(w.cache.by('vm', 'web-0')).toEqual([]);
    expect(w.cache.by('vm', 'web-1')).toHaveLength(1);
    expect(w.cache.byUid(made.metadata.uid)?.spec.vm).toBe('web-1');
    expect(w.cache.get('default/b')).toBe(w.cache.list('default')[0]);
    expect(w.cache.list('other')).toEqual([]);
    expect(w.informer.revision).toBe(BigInt(api.store.revision));
  });

  it('takes up an ended watch where it was, without telling anything twice', async () => {
    const api = memoryClient();
    await using w = watching(api);
    await w.informer.synced();
    await add(api, 'a');
    await idle();
    api.endWatches();
    await add(api, 'b');
    await w.clock.advance(60_000);
    expect(w.heard).toEqual(['added a', 'added b']);
  });

  it('lists again when its place was forgotten, and tells what it missed', async () => {
    const api = memoryClient();
    const [kept] = [await add(api, 'kept'), await add(api, 'gone'), await add(api, 'replaced')];
    await using w = watching(api);
    await w.informer.synced();
    await idle();
    w.heard.length = 0;
    api.endWatches();
    await idle();
    await api.patch(VMOperation, at('kept'), { spec: { vm: 'x' } });
    await api.delete(VMOperation, at('gone'));
    await api.delete(VMOperation, at('replaced'));
    await add(api, 'replaced');
    await add(api, 'new');
    api.store.compact();
    await w.clock.advance(60_000);
    expect(w.heard.toSorted()).toEqual(
      ['added new', 'added replaced', 'changed kept', 'deleted gone unknown', 'deleted replaced unknown'].toSorted(),
    );
    expect(w.cache.byUid(kept!.metadata.uid)?.spec.vm).toBe('x');
  });

  it('begins with one request where the server can, and hears of what was lost in the same way', async () => {
    const api = memoryClient();
    const list = vi.spyOn(api, 'list');
    await add(api, 'a');
    await add(api, 'gone');
    await using w = watching(api);
    await w.informer.synced();
    expect(w.heard).toEqual(['added a initial', 'added gone initial']);
    api.endWatches();
    await idle();
    await api.delete(VMOperation, at('gone'));
    await add(api, 'b');
    api.store.compact();
    await w.clock.advance(60_000);
    expect(w.heard.slice(2)).toEqual(['added b', 'deleted gone unknown']);
    expect(list).not.toHaveBeenCalled();
  });

  it('lists if the server takes a watch from the start and never tells the end of what there was', async () => {
    const api = memoryClient();
    await add(api, 'a');
    const silent: Client = {
      ...api,
      async *watch(kind, options) {
        for await (const event of api.watch(kind, options)) {
          if (event.type === 'BOOKMARK' && event.initialEventsEnd) continue;
          options.signal?.throwIfAborted();
          yield event;
        }
      },
    };
    const list = vi.spyOn(silent, 'list');
    await using w = watching(silent);
    await w.clock.advance(59_000);
    expect(w.informer.hasSynced).toBe(false);
    await w.clock.advance(2_000);
    expect(w.heard).toEqual(['added a initial']);
    await add(api, 'b');
    await idle();
    expect(w.heard).toEqual(['added a initial', 'added b']);
    expect(list).toHaveBeenCalledTimes(1);
  });

  it('goes on from a bookmark, so that a quiet kind needs no new list', async () => {
    const api = memoryClient({ watchList: false });
    const list = vi.spyOn(api, 'list');
    await using w = watching(api);
    await w.informer.synced();
    await api.create((await import('#lib/api/core.ts')).ConfigMap, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: at('other-kind'),
    });
    api.bookmark();
    await idle();
    expect(w.informer.revision).toBe(BigInt(api.store.revision));
    api.store.compact();
    api.endWatches();
    await w.clock.advance(60_000);
    await add(api, 'a');
    await idle();
    expect(w.heard).toEqual(['added a']);
    expect(list).toHaveBeenCalledTimes(1);
  });

  it('waits longer after each failure, honours Retry-After, and never gives up', async () => {
    const api = memoryClient({ watchList: false });
    const times: number[] = [];
    let clock: VirtualClock;
    let failing = true;
    const flaky: Client = {
      ...api,
      list: async (kind, options) => {
        times.push(clock.now());
        if (!failing) return api.list(kind, options);
        const details = times.length === 3 ? { retryAfterSeconds: 20 } : {};
        throw new ApiError('ServiceUnavailable', 'down', { details });
      },
    };
    const random = seededRandom(1);
    clock = new VirtualClock();
    const informer = new Informer(VMOperation, { client: flaky, clock, random, log: silentLog });
    const stop = new AbortController();
    const running = informer.run(stop.signal);
    await clock.advance(600_000);
    const delays = times.slice(1).map((time, index) => time - times[index]!);
    expect(delays[0]).toBeLessThanOrEqual(1_000);
    expect(delays[2]).toBeGreaterThanOrEqual(20_000);
    expect(Math.max(...delays)).toBeLessThanOrEqual(37_500);
    expect(times.length).toBeGreaterThan(15);
    failing = false;
    await clock.advance(60_000);
    expect(informer.hasSynced).toBe(true);
    stop.abort();
    await running;
  });

  it('drops managedFields and what it is told to, freezes for tests, and survives a listener that throws', async () => {
    const api = memoryClient({ watchList: false });
    const made = await add(api, 'a');
    const metadata = { ...made.metadata, managedFields: [{ manager: 'x' }], labels: { a: 'b' } };
    const bloated = { ...api, list: async () => ({ items: [{ ...made, metadata }], resourceVersion: '9' }) } as Client;
    const clock = systemClock;
    const informer = new Informer(VMOperation, {
      client: bloated,
      clock,
      random: seededRandom(1),
      log: silentLog,
      freeze: true,
      trim: ({ metadata: { labels: _, ...rest }, ...object }) => ({ ...object, metadata: rest }),
    });
    informer.onChange(() => {
      throw new Error('listener');
    });
    const stop = new AbortController();
    const running = informer.run(stop.signal);
    await informer.synced();
    const cached = informer.cache().get('default/a')!;
    expect(cached.metadata).not.toHaveProperty('managedFields');
    expect(cached.metadata).not.toHaveProperty('labels');
    expect(Object.isFrozen(cached.spec)).toBe(true);
    stop.abort();
    await running;
  });
});

describe('createInformers()', () => {
  it('shares one informer per kind, and each reader has its own indexes', async () => {
    const api = memoryClient({ watchList: false });
    await add(api, 'a', 'web-7');
    const informers = createInformers({ client: api, clock: systemClock, random: seededRandom(1), log: silentLog });
    const list = vi.spyOn(api, 'list');
    const one = informers.of(VMOperation).cache({ x: ({ spec }) => [spec.vm] });
    const two = informers.of(VMOperation).cache({ x: ({ spec }) => [spec.type] });
    const stop = new AbortController();
    const running = informers.start(stop.signal);
    await informers.synced(stop.signal);
    expect(list).toHaveBeenCalledTimes(1);
    expect([one.by('x', 'web-7').length, two.by('x', 'Stop').length, two.by('x', 'web-7').length]).toEqual([1, 1, 0]);
    expect(() => one.by('y', '')).toThrow(/no index/);
    stop.abort();
    await running;
  });
});

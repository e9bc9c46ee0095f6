import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openSqlite } from '#apiserver/store/sqlite.ts';
import { CompactedError, type Rev, type Store, type StoreEvent, type WatchSink } from '#apiserver/store/store.ts';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { idle, VirtualClock } from '#test/virtual-clock.ts';
import type { Batch, ClientWatch } from './client-watch.ts';
import type { CacheEvent } from './events.ts';
import { WatchCache, type WatchCacheOptions } from './watch-cache.ts';

interface Item {
  readonly text: string;
  readonly rev: Rev;
}

const directory = await mkdtemp(join(tmpdir(), 'cf-cache-'));
afterAll(() => rm(directory, { recursive: true, force: true }));
let files = 0;
const openStore = () => openSqlite({ file: join(directory, `${++files}.db`), clock: systemClock, log: silentLog });

const bytes = (text: string) => new TextEncoder().encode(text);

function makeCache(store: Store, options: Partial<WatchCacheOptions<Item>> & { clock?: Clock } = {}): WatchCache<Item> {
  return new WatchCache<Item>({
    store,
    prefix: 'r/',
    decode: ({ value, modRev }) => {
      const text = new TextDecoder().decode(value);
      if (text === 'damaged') throw new SyntaxError('Cannot parse');
      return { text, rev: modRev };
    },
    atRevision: (item, rev) => ({ ...item, rev }),
    clock: systemClock,
    random: seededRandom(1),
    log: silentLog,
    ...options,
  });
}

/** Writes whatever is there. */
async function put(store: Store, key: string, text: string): Promise<Rev> {
  const { kv } = await store.get(key);
  const result = kv ? await store.update(key, bytes(text), kv.modRev) : await store.create(key, bytes(text));
  if (!result.ok) throw new Error(`${key} was written by another`);
  return result.rev;
}

async function remove(store: Store, key: string): Promise<Rev> {
  const result = await store.delete(key, (await store.get(key)).kv!.modRev);
  if (!result.ok) throw new Error(`${key} was written by another`);
  return result.rev;
}

const told = (events: readonly CacheEvent<Item>[]) =>
  events.map(({ type, entry, prev }) => [type, entry.key, entry.object.text, prev?.object.text]);

/** Takes batches until one reaches `rev`. */
async function readTo(watch: ClientWatch<Item>, rev: Rev): Promise<CacheEvent<Item>[]> {
  const events: CacheEvent<Item>[] = [];
  const batches = watch[Symbol.asyncIterator]();
  while ((events.at(-1)?.rev ?? 0n) < rev) {
    const next = await batches.next();
    if (next.done) throw new Error(`The watch ended as ${watch.ended}`);
    events.push(...next.value.events);
  }
  return events;
}

async function loaded(cache: WatchCache<Item>): Promise<Rev> {
  expect(await cache.waitFor(0n, 5_000)).toBe(true);
  return cache.rev!;
}

/** A store with something about it changed. */
const changed = (store: Store, change: Partial<Store>): Store => {
  const methods = ['get', 'list', 'create', 'update', 'delete', 'watch', 'currentRev', 'compact'] as const;
  const bound = Object.fromEntries(methods.map((name) => [name, store[name].bind(store) as unknown]));
  return { ...bound, ...change } as Store;
};

test('list() shows what the store has, in order of keys, by namespace too', async () => {
  await using store = openStore();
  for (const key of ['r/ns/b', 'r/ns/a', 'r/ns2/c', 's/other']) await put(store, key, key);
  using cache = makeCache(store);
  await loaded(cache);
  const rev = await put(store, 'r/ns/0', 'new');
  expect(await cache.isCurrent(5_000)).toBe(true);
  const keys = (prefix?: string) => cache.list(prefix).entries.map(({ key }) => key);
  expect(keys()).toEqual(['r/ns/0', 'r/ns/a', 'r/ns/b', 'r/ns2/c']);
  expect(keys('r/ns/')).toEqual(['r/ns/0', 'r/ns/a', 'r/ns/b']);
  expect(cache.list().rev).toBe(rev);
  expect(cache.get('r/ns/a')?.object.text).toBe('r/ns/a');
});

test('isCurrent() is true on a quiet resource although only others are written', async () => {
  await using store = openStore();
  using cache = makeCache(store);
  await loaded(cache);
  const rev = await put(store, 's/other', 'x');
  expect(await cache.isCurrent(5_000)).toBe(true);
  expect(cache.rev).toBeGreaterThanOrEqual(rev);
});

test('isCurrent() is false where the store does not answer in time how far its watch is', async () => {
  await using store = openStore();
  const silent = changed(store, {
    watch: (prefix, from, sink) => store.watch(prefix, from, { ...sink, progress: () => undefined }),
  });
  using cache = makeCache(silent);
  await loaded(cache);
  await put(store, 's/other', 'x');
  expect(await cache.isCurrent(200)).toBe(false);
});

test('a quiet resource learns every half minute how far the store is, so bookmarks go on', async () => {
  await using store = openStore();
  const clock = new VirtualClock();
  using cache = makeCache(store, { clock });
  await idle();
  using watch = cache.watch(cache.rev);
  const rev = await put(store, 's/other', 'x');
  expect(watch.bookmarkRev).toBeLessThan(rev);
  await clock.advance(30_000);
  expect(watch.bookmarkRev).toBe(rev);
});

test('waitFor() is not over before the events have arrived', async () => {
  await using store = openStore();
  let release: () => void = () => undefined;
  const held: (readonly StoreEvent[])[] = [];
  const slow = changed(store, {
    watch: (prefix, from, sink) => {
      release = () => held.splice(0).forEach(sink.events);
      const silent = { ...sink, progress: () => undefined, events: (batch: readonly StoreEvent[]) => held.push(batch) };
      return store.watch(prefix, from, silent);
    },
  });
  await put(store, 'r/gone', 'x');
  using cache = makeCache(slow);
  await loaded(cache);
  const rev = await remove(store, 'r/gone');
  expect(await cache.waitFor(rev, 300)).toBe(false);
  release();
  expect(await cache.waitFor(rev, 5_000)).toBe(true);
  expect(cache.list().entries).toEqual([]);
});

test('watch() without a revision begins with what is there, then goes on', async () => {
  await using store = openStore();
  await put(store, 'r/a', 'a1');
  using cache = makeCache(store);
  const rev = await loaded(cache);
  using watch = cache.watch(undefined);
  const last = put(store, 'r/a', 'a2');
  const batches: Batch<Item>[] = [];
  for await (const batch of watch) {
    batches.push(batch);
    if (batch.rev >= (await last)) break;
  }
  expect(batches.map(({ initial, events }) => [initial, told(events)])).toEqual([
    [true, [['ADDED', 'r/a', 'a1', undefined]]],
    [false, [['MODIFIED', 'r/a', 'a2', 'a1']]],
  ]);
  expect(batches[0]!.rev).toBe(rev);
});

test('watch() from a revision replays what came after it, with the state before', async () => {
  await using store = openStore();
  using cache = makeCache(store);
  const start = await loaded(cache);
  const seen = await put(store, 'r/a', 'a1');
  await put(store, 'r/a', 'a2');
  await put(store, 'r/ab', 'b1');
  const last = await remove(store, 'r/a');
  await cache.waitFor(last, 5_000);
  using watch = cache.watch(seen);
  const events = await readTo(watch, last);
  expect(told(events)).toEqual([
    ['MODIFIED', 'r/a', 'a2', 'a1'],
    ['ADDED', 'r/ab', 'b1', undefined],
    ['DELETED', 'r/a', 'a2', 'a2'],
  ]);
  expect(events.at(-1)!.entry).toMatchObject({ rev: last, object: { rev: last } });
  using all = cache.watch(start);
  expect(await readTo(all, last)).toHaveLength(4);
  // The very same state for everyone: what one derives from it, the next need not.
  using other = cache.watch(seen);
  expect((await readTo(other, last))[0]!.entry).toBe(events[0]!.entry);
});

test('watch() refuses a revision from before the list', async () => {
  await using store = openStore();
  await put(store, 'r/a', 'a1');
  const rev = await put(store, 'r/a', 'a2');
  using cache = makeCache(store);
  await loaded(cache);
  expect(() => cache.watch(rev - 1n)).toThrow(expect.objectContaining({ code: 'Expired' }));
});

test('watch() from a revision that the cache has yet to reach does not repeat what the client has seen', async () => {
  await using store = openStore();
  // A store that holds back its events, as etcd does when it is busy.
  let release: () => void = () => undefined;
  const held: (readonly StoreEvent[])[] = [];
  const slow = changed(store, {
    watch: (prefix, from, sink) => {
      release = () => held.splice(0).forEach(sink.events);
      return store.watch(prefix, from, { ...sink, events: (batch) => held.push(batch) });
    },
  });
  using cache = makeCache(slow);
  await loaded(cache);
  const seen = await put(store, 'r/a', 'a1');
  using watch = cache.watch(seen);
  // Where the cache has yet to come, there is nothing to tell.
  expect(watch.bookmarkRev).toBeUndefined();
  const last = await put(store, 'r/a', 'a2');
  await expect.poll(() => held.length).toBe(2);
  release();
  expect(told(await readTo(watch, last))).toEqual([['MODIFIED', 'r/a', 'a2', 'a1']]);
});

test('watch() from a revision yet to come is silent until it is there', async () => {
  await using store = openStore();
  using cache = makeCache(store);
  const rev = await loaded(cache);
  using watch = cache.watch(rev + 2n);
  for (const text of ['a1', 'a2']) await put(store, 'r/a', text);
  await cache.waitFor(rev + 2n, 5_000);
  const last = await put(store, 'r/a', 'a3');
  expect(told(await readTo(watch, last))).toEqual([['MODIFIED', 'r/a', 'a3', 'a2']]);
});

test('a watch of the store that was cut and goes on is compared with a list soon', async () => {
  await using store = openStore();
  const clock = new VirtualClock();
  const sinks: WatchSink[] = [];
  const deaf = changed(store, {
    watch: (prefix, from, sink) => {
      sinks.push(sink);
      return store.watch(prefix, from, { ...sink, events: () => undefined });
    },
  });
  using cache = makeCache(deaf, { clock });
  await idle();
  await put(store, 'r/a', 'a1');
  await idle();
  sinks[0]!.resumed();
  await clock.advance(11_000);
  expect(sinks).toHaveLength(2);
  expect(cache.list().entries.map(({ key }) => key)).toEqual(['r/a']);
});

test('a client gets only what it wants, and bookmarks never pass what it has yet to take', async () => {
  await using store = openStore();
  using cache = makeCache(store);
  await loaded(cache);
  using watch = cache.watch(cache.rev, { prefix: 'r/ns/', wants: ({ entry }) => entry.object.text !== 'no' });
  expect(watch.bookmarkRev).toBe(cache.rev);
  await put(store, 'r/ns/a', 'no');
  await put(store, 'r/ns2/a', 'yes');
  expect(watch.bookmarkRev).toBe(cache.rev);
  const last = await put(store, 'r/ns/b', 'yes');
  await cache.waitFor(last, 5_000);
  expect(watch.bookmarkRev).toBeUndefined();
  expect(told(await readTo(watch, last))).toEqual([['ADDED', 'r/ns/b', 'yes', undefined]]);
  expect(watch.bookmarkRev).toBe(last);
});

test('a client that reads too slowly is cut, others are not', async () => {
  await using store = openStore();
  using cache = makeCache(store);
  await loaded(cache);
  using slow = cache.watch(cache.rev, { maxQueued: 5 });
  using fast = cache.watch(cache.rev);
  let last = 0n;
  for (let i = 0; i < 8; i++) last = await put(store, `r/${i}`, 'x');
  await cache.waitFor(last, 5_000);
  expect([slow.ended, fast.ended]).toEqual(['slow', undefined]);
  const got: CacheEvent<Item>[] = [];
  let reached = 0n;
  for await (const batch of slow) {
    got.push(...batch.events);
    reached = batch.rev;
  }
  expect(got).toHaveLength(5);
  // From where it got to, the client can resume without a gap.
  using resumed = cache.watch(reached);
  expect(await readTo(resumed, last)).toHaveLength(3);
});

test('every client ends with what the store has, from whatever revision it began', async () => {
  await using store = openStore();
  using cache = makeCache(store);
  await loaded(cache);
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = seededRandom(seed);
  const clients: { state: Map<string, string>; watch: ClientWatch<Item> }[] = [];
  let last = 0n;
  for (let i = 0; i < 300; i++) {
    const key = `r/k${Math.floor(random.next() * 10)}`;
    const there = (await store.get(key)).kv !== undefined;
    last = there && random.next() < 0.4 ? await remove(store, key) : await put(store, key, `v${i}`);
    if (random.next() > 0.1) continue;
    const { entries, rev } = cache.list();
    const anew = random.next() < 0.5;
    const state = new Map(anew ? [] : entries.map(({ key, object }) => [key, object.text]));
    clients.push({ state, watch: cache.watch(anew ? undefined : rev) });
  }
  last = await put(store, 'r/the-end', 'end');
  const final = (await store.list('r/')).kvs.map(({ key, value }) => [key, new TextDecoder().decode(value)]);
  for (const { state, watch } of clients) {
    using _ = watch;
    for (const { type, entry } of await readTo(watch, last)) {
      if (type === 'DELETED') state.delete(entry.key);
      else state.set(entry.key, entry.object.text);
    }
    expect([...state].sort(), `seed ${seed}`).toEqual(final);
  }
});

test('a damaged object keeps its last good state, and is told of again when it is mended', async () => {
  await using store = openStore();
  await put(store, 'r/new', 'damaged');
  await put(store, 'r/a', 'a1');
  using cache = makeCache(store);
  const from = await loaded(cache);
  await cache.waitFor(await put(store, 'r/a', 'damaged'), 5_000);
  expect(cache.list().entries.map(({ object }) => object.text)).toEqual(['a1']);
  const last = await put(store, 'r/a', 'a3');
  using watch = cache.watch(from);
  expect(told(await readTo(watch, last))).toEqual([['MODIFIED', 'r/a', 'a3', 'a1']]);
});

test('when the store ends the watch, the cache lists anew and cuts every client', async () => {
  await using store = openStore();
  const sinks: WatchSink[] = [];
  const breakable = changed(store, {
    watch: (prefix, from, sink) => {
      sinks.push(sink);
      return store.watch(prefix, from, sink);
    },
  });
  using cache = makeCache(breakable);
  const before = await loaded(cache);
  using watch = cache.watch(before);
  const last = await put(store, 'r/a', 'a1');
  await cache.waitFor(last, 5_000);
  sinks[0]!.ended(new CompactedError(1n, 2n));
  expect(watch.ended).toBe('restarted');
  expect(() => cache.list()).toThrow(expect.objectContaining({ code: 'ServiceUnavailable' }));
  await expect.poll(() => sinks.length).toBe(2);
  await loaded(cache);
  expect(() => cache.watch(before)).toThrow(expect.objectContaining({ code: 'Expired' }));
  expect(cache.list().entries).toHaveLength(1);
});

test('events that the store lost are found by the comparison', async () => {
  await using store = openStore();
  const clock = new VirtualClock();
  const lossy = changed(store, {
    watch: (prefix, from, sink) =>
      store.watch(prefix, from, {
        ...sink,
        events: (batch) => {
          const kept = batch.filter(({ type }) => type === 'put');
          if (kept.length > 0) sink.events(kept);
        },
      }),
  });
  using cache = makeCache(lossy, { clock, compareEveryMs: 60_000 });
  await idle();
  await put(store, 'r/a', 'a1');
  const last = await put(store, 'r/b', 'b1');
  await idle();
  using watch = cache.watch(cache.rev);
  await clock.advance(120_000);
  expect([cache.rev, watch.ended]).toEqual([last, undefined]);
  await remove(store, 'r/a');
  await clock.advance(120_000);
  expect(watch.ended).toBe('restarted');
  expect(cache.list().entries.map(({ key }) => key)).toEqual(['r/b']);
});

test('a store that cannot be read at first is asked again', async () => {
  await using store = openStore();
  await put(store, 'r/a', 'a1');
  let failures = 2;
  const shaky = changed(store, {
    list: (prefix, options) => (failures-- > 0 ? Promise.reject(new Error('No answer')) : store.list(prefix, options)),
  });
  using cache = makeCache(shaky);
  expect(await cache.waitFor(0n, 1)).toBe(false);
  expect(() => cache.list()).toThrow('still loading');
  await loaded(cache);
  expect(cache.size).toBe(1);
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { idle, VirtualClock } from '#test/virtual-clock.ts';
import { startCompactor } from './compactor.ts';
import { openSqlite } from './sqlite.ts';
import { CompactedError, type Rev, type Store } from './store.ts';

const value = new TextEncoder().encode('{}');
const roundMs = 100_000;

type Start = (seed: number, reached?: () => Rev | undefined) => Disposable;

async function world(body: (store: Store, clock: VirtualClock, start: Start) => Promise<void>) {
  const directory = await mkdtemp(join(tmpdir(), 'cf-compactor-'));
  const clock = new VirtualClock();
  try {
    await using store = openSqlite({ file: join(directory, 'store.db'), clock, log: silentLog });
    const random = seededRandom;
    const start: Start = (seed, reached = () => undefined) =>
      startCompactor({ store, clock, random: random(seed), log: silentLog, everyMs: roundMs, reached });
    await body(store, clock, start);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function write(store: Store, key: string): Promise<Rev> {
  const result = await store.create(key, value);
  if (!result.ok) throw new Error(`${key} is already there`);
  return result.rev;
}

/** Which of these revisions can still be listed. */
async function kept(store: Store, ...revs: readonly Rev[]): Promise<boolean[]> {
  const lists = await Promise.allSettled(revs.map((rev) => store.list('a/', { rev })));
  return lists.map((list) => {
    if (list.status === 'rejected') expect(list.reason).toBeInstanceOf(CompactedError);
    return list.status === 'fulfilled';
  });
}

test('what is older than a round is forgotten, what is younger is not', () =>
  world(async (store, clock, start) => {
    const first = await write(store, 'a/1');
    const second = await write(store, 'a/2');
    using _ = start(1);
    await idle();
    const third = await write(store, 'a/3');
    await clock.advance(roundMs * 1.15);
    expect(await kept(store, first, second, third)).toEqual([false, true, true]);
    await write(store, 'a/4');
    await clock.advance(roundMs * 1.15);
    expect(await kept(store, second)).toEqual([false]);
  }));

test('a store at rest is left alone', () =>
  world(async (store, clock, start) => {
    await write(store, 'a/1');
    using _ = start(1);
    await clock.advance(roundMs * 2);
    const rev = await store.currentRev();
    await clock.advance(roundMs * 20);
    expect(await store.currentRev()).toBe(rev);
  }));

test('of two servers one compacts in each round', () =>
  world(async (store, clock, start) => {
    using _one = start(1);
    using _two = start(2);
    const marks = new Set<Rev | undefined>();
    for (let round = 0; round < 10; round++) {
      await write(store, `a/${round}`);
      await clock.advance(roundMs);
      marks.add((await store.get('meta/compaction')).kv?.modRev);
    }
    const marked = [...marks].filter((rev) => rev !== undefined);
    expect(marked.length).toBeGreaterThan(3);
    expect(marked.length).toBeLessThanOrEqual(10);
  }));

test.each([
  ['its own', 1],
  ["another server's", 2],
])('nothing is forgotten that %s slowest cache has yet to hear, for six rounds', (_, seed) =>
  world(async (store, clock, start) => {
    const first = await write(store, 'a/1');
    const heard = await write(store, 'a/2');
    using _one = start(1, () => (seed === 1 ? heard : undefined));
    using _two = start(2, () => (seed === 2 ? heard : undefined));
    for (let round = 0; round < 5; round++) {
      await write(store, `a/b${round}`);
      await clock.advance(roundMs * 1.15);
    }
    expect(await kept(store, first, heard)).toEqual([false, true]);
    for (let round = 0; round < 12; round++) {
      await write(store, `a/c${round}`);
      await clock.advance(roundMs * 1.15);
    }
    expect(await kept(store, heard)).toEqual([false]);
  }),
);

test('a server that is no more is not waited for', () =>
  world(async (store, clock, start) => {
    const heard = await write(store, 'a/1');
    {
      using _gone = start(1, () => heard);
      await idle();
    }
    using _there = start(2);
    for (let round = 0; round < 5; round++) {
      await write(store, `a/b${round}`);
      await clock.advance(roundMs * 1.15);
    }
    expect(await kept(store, heard)).toEqual([false]);
    expect((await store.list('meta/caches/')).kvs).toEqual([]);
  }));

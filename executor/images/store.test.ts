import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { imageStore } from './store.ts';

const digest = 'a'.repeat(64);
const day = 24 * 3_600_000;

async function open() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  writeFileSync(join(directory.path, digest), 'bytes');
  let laterMs = 0;
  const clock = { ...systemClock, now: () => Date.now() + laterMs };
  const store = imageStore(directory.path, clock);
  await store.claim('f1');
  return {
    ...{ directory: directory.path, store },
    /** So long after now, for the store. */
    later: (ms: number) => {
      laterMs = ms;
    },
    [Symbol.asyncDispose]: async () => await directory.remove(),
  };
}

test('an image that is discarded is put aside for a day, and then gone', async () => {
  await using world = await open();
  const { store, directory, later } = world;
  later(day / 2);
  await store.discard(digest, 'f1');
  expect(await store.digests()).toEqual([]);
  await store.tidy();
  expect(readdirSync(join(directory, 'removed'))).toEqual([digest]);
  later(2 * day);
  await store.tidy();
  expect(readdirSync(join(directory, 'removed'))).toEqual([]);
  await expect(store.find(digest)).rejects.toThrow('not in the store');
});

test('whoever needs it meanwhile puts it back', async () => {
  await using world = await open();
  const { store, directory, later } = world;
  later(day / 2);
  await store.discard(digest, 'f1');
  expect(readFileSync(await store.find(digest), 'utf8')).toBe('bytes');
  expect([await store.digests(), readdirSync(join(directory, 'removed'))]).toEqual([[digest], []]);
});

test('an image that came a moment ago stays: its import may not have been heard of', async () => {
  await using world = await open();
  await world.store.discard(digest, 'f1');
  expect(await world.store.digests()).toEqual([digest]);
});

test('nothing is removed from a store that another cluster uses too', async () => {
  await using world = await open();
  world.later(day / 2);
  await imageStore(world.directory, systemClock).claim('f2');
  await expect(world.store.discard(digest, 'f1')).rejects.toThrow('other frameworks use it (f2');
  expect(await world.store.digests()).toEqual([digest]);
});

test('nor from one that nobody has claimed: it may be another directory than it was', async () => {
  await using world = await open();
  world.later(day / 2);
  execFileSync('rm', ['-r', join(world.directory, 'clusters')]);
  await expect(world.store.discard(digest, 'f1')).rejects.toThrow('ENOENT');
});

test('what imports left behind goes after a day without another import', async () => {
  await using world = await open();
  const incoming = join(world.directory, 'incoming');
  mkdirSync(join(incoming, 'img-1'), { recursive: true });
  writeFileSync(join(incoming, 'img-1', 'source'), 'half');
  await world.store.tidy();
  expect(existsSync(join(incoming, 'img-1', 'source'))).toBe(true);
  world.later(day + 60_000);
  await world.store.tidy();
  expect(readdirSync(incoming)).toEqual([]);
});

test('a store that cannot be read has no list, which is another thing than an empty one', async () => {
  expect(await imageStore('/nowhere/images', systemClock).digests()).toBeUndefined();
});

test('what the store keeps for something else than an Image is told by marks in it', async () => {
  await using world = await open();
  expect(await world.store.kept()).toEqual([]);
  mkdirSync(join(world.directory, 'snapshots'));
  writeFileSync(join(world.directory, 'snapshots', 'a-snapshot'), digest);
  writeFileSync(join(world.directory, 'snapshots', 'half-written'), 'xyz');
  expect(await world.store.kept()).toEqual([digest]);
  writeFileSync(join(world.directory, 'no-directory'), '');
  await expect(imageStore(join(world.directory, 'no-directory'), systemClock).kept()).rejects.toThrow('ENOTDIR');
});

import { mkdtempDisposable, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type HostTools, imageOf } from './host.ts';

const digest = 'a'.repeat(64);

async function open(backings: (store: string) => readonly string[]) {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const place = join(directory.path, digest);
  const asked: string[] = [];
  await writeFile(place, '');
  const images = {
    places: () => [place],
    find: async () => {
      asked.push('find');
      return '/found';
    },
    restore: async () => void asked.push('restore'),
  };
  const tools = { images, devices: { backings: async () => backings(place) } } as unknown as HostTools;
  const find = async () => await imageOf(tools, { uid: 'u', image: { digest, format: 'qcow2', virtualSize: 1 } });
  return { place, asked, find, [Symbol.asyncDispose]: async () => await directory.remove() };
}

test('a disk that was made stands where it was made, and nothing else is asked', async () => {
  await using world = await open((place) => ['/own/first.qcow2', place]);
  expect(await world.find()).toBe(world.place);
  expect(world.asked).toEqual([]);
});

test('a new disk, and one that names a place that is none of its image, get the image', async () => {
  for (const backing of [[], [`/evil/${digest}`]]) {
    await using world = await open(() => backing);
    expect(await world.find()).toBe('/found');
  }
});

test('an image that is gone from under a disk is brought back, or that is said', async () => {
  await using world = await open((place) => [place]);
  await rm(world.place);
  await expect(world.find()).rejects.toThrow('is gone and cannot be brought back');
  expect(world.asked.toSorted()).toEqual(['find', 'restore']);
});

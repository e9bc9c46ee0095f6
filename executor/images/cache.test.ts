import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import { sha256 } from '../testing/image-store.ts';
import { ImageCache, type ImageCacheOptions } from './cache.ts';

const mib = 2 ** 20;
const hour = 3_600_000;
const isDigest = (name: string) => /^[0-9a-f]{64}$/.test(name);

async function open() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const [store, cached] = [join(directory.path, 'store'), join(directory.path, 'cache')];
  mkdirSync(store);
  const said: string[] = [];
  const note = (message: string) => void said.push(message);
  const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
  let laterMs = 0;
  const clock = {
    ...systemClock,
    now: () => Date.now() + laterMs,
    monotonic: () => performance.now() + laterMs,
  };
  const backings: string[] = [];
  let reads = 0;
  const options: ImageCacheOptions = {
    ...{ directory: cached, bytes: 100 * mib, bytesPerSecond: 1000 * mib, owner: '/root-a', clock, log },
    backings: async () => backings,
    source: async (digest) => {
      reads++;
      return join(store, digest);
    },
  };
  await using stack = new AsyncDisposableStack();
  stack.use(directory);
  const kept = stack.move();
  return {
    ...{ store, cached, backings, options },
    times: (message: string) => said.filter((each) => each === message).length,
    reads: () => reads,
    later: (ms: number) => {
      laterMs += ms;
    },
    /** Puts an image into the store. */
    image(content: Buffer): string {
      const digest = sha256(content);
      writeFileSync(join(store, digest), content);
      return digest;
    },
    open: async (changes: Partial<ImageCacheOptions> = {}) =>
      kept.use(await ImageCache.open({ ...options, ...changes })),
    names: () => readdirSync(cached).filter((name) => name !== 'owner'),
    [Symbol.asyncDispose]: async () => await kept.disposeAsync(),
  };
}

test('an image is copied once, however many want it, and then found without the store', async () => {
  await using world = await open();
  const content = randomBytes(3 * mib + 17);
  const digest = world.image(content);
  const cache = await world.open();
  const paths = await Promise.all(Array.from({ length: 20 }, () => cache.find(digest)));
  expect(new Set(paths)).toEqual(new Set([join(world.cached, digest)]));
  expect(readFileSync(paths[0]!).equals(content)).toBe(true);
  expect(world.times('Copied an image to this host')).toBe(1);
  const reads = world.reads();
  rmSync(join(world.store, digest));
  expect(await cache.find(digest)).toBe(paths[0]);
  expect(world.reads()).toBe(reads);
  expect(world.names()).toEqual([digest]);
});

test('holes stay holes', async () => {
  await using world = await open();
  const content = Buffer.alloc(40 * mib);
  content.write('in the middle', 20 * mib);
  const digest = world.image(content);
  const path = await (await world.open()).find(digest);
  expect(statSync(path)).toMatchObject({ size: content.length });
  expect(statSync(path).blocks * 512).toBeLessThan(mib);
  expect(sha256(readFileSync(path))).toBe(digest);
});

test('it is copied no faster than it may be', async () => {
  await using world = await open();
  const digest = world.image(randomBytes(4 * mib));
  const cache = await world.open({ bytesPerSecond: 8 * mib });
  const began = performance.now();
  await cache.find(digest);
  expect(performance.now() - began).toBeGreaterThan(350);
});

test('bytes that are not those of the digest are never handed out', async () => {
  await using world = await open();
  const digest = world.image(randomBytes(mib));
  truncateSync(join(world.store, digest), mib - 1);
  const cache = await world.open();
  for (let n = 0; n < 2; n++) await expect(cache.find(digest)).rejects.toThrow('has other bytes now');
  expect(world.names()).toEqual([]);
});

test('who cannot wait gets the file in the store, and the copy goes on for those after', async () => {
  await using world = await open();
  const digest = world.image(randomBytes(4 * mib));
  const cache = await world.open({ bytesPerSecond: 8 * mib, patienceMs: 50 });
  expect(await cache.find(digest)).toBe(join(world.store, digest));
  expect(world.times('A disk is made on the file in the store, not on a copy of this host')).toBe(1);
  await vi.waitFor(() => expect(cache.held).toEqual([digest]), { timeout: 5000 });
  expect(await cache.find(digest)).toBe(join(world.cached, digest));
});

test('what does not fit stays in the store, and that is said; it is not tried for each machine', async () => {
  await using world = await open();
  const digest = world.image(randomBytes(2 * mib));
  const cache = await world.open({ bytes: mib });
  for (let n = 0; n < 3; n++) expect(await cache.find(digest)).toBe(join(world.store, digest));
  expect(world.times('Cannot copy an image to this host')).toBe(1);
  cache.keep([digest]);
  expect(cache.failures).toEqual([{ digest, message: expect.stringContaining(`${2 * mib} more do not fit`) }]);
});

test('above the high mark those that were wanted longest ago go, down to the low one, and none under a disk', async () => {
  await using world = await open();
  const images = Array.from({ length: 9 }, () => world.image(randomBytes(mib)));
  const cache = await world.open({ bytes: 10 * mib });
  for (const digest of images.slice(0, 8)) {
    await cache.find(digest);
    world.later(hour);
  }
  // The first is under a disk, the second was wanted again, the third is to be kept.
  world.backings.push(join(world.cached, images[0]!));
  await cache.find(images[1]!);
  cache.keep([images[2]!]);
  world.later(hour);
  await cache.find(images[8]!);
  const gone = [3, 4].map((index) => images[index]!);
  expect(world.names().toSorted()).toEqual(images.filter((digest) => !gone.includes(digest)).toSorted());
});

test('what was handed out a moment ago stays, and nothing goes while disks do not tell what they stand on', async () => {
  await using world = await open();
  const [a, b, c] = [1, 2, 3].map(() => world.image(randomBytes(mib)));
  const cache = await world.open({ bytes: 2 * mib });
  await cache.find(a!);
  await cache.find(b!);
  expect(await cache.find(c!)).toBe(join(world.store, c!));
  world.later(hour);
  const blind = await world.open({
    bytes: 2 * mib,
    backings: async () => {
      throw new Error('A disk does not tell');
    },
  });
  expect(await blind.find(c!)).toBe(join(world.store, c!));
  expect(world.names().toSorted()).toEqual([a, b].toSorted());
  expect(await cache.find(c!)).toBe(join(world.cached, c!));
});

test('a copy is dropped by order, but not from under a disk', async () => {
  await using world = await open();
  const digest = world.image(randomBytes(mib));
  const cache = await world.open();
  await cache.find(digest);
  world.later(hour);
  world.backings.push(join(world.cached, digest));
  await cache.drop(digest);
  expect(cache.held).toEqual([digest]);
  world.backings.pop();
  await cache.drop(digest);
  expect([cache.held, world.names()]).toEqual([[], []]);
});

test('it fills itself with what it is told to keep', async () => {
  await using world = await open();
  const [a, b] = [world.image(randomBytes(mib)), 'f'.repeat(64)];
  const cache = await world.open();
  cache.keep([a, b]);
  await cache.fill();
  expect(cache.held).toEqual([a]);
  expect(cache.failures).toEqual([{ digest: b, message: expect.stringContaining('ENOENT') }]);
});

test('a directory of another executor is not used', async () => {
  await using world = await open();
  await world.open();
  await expect(world.open({ owner: '/root-b' })).rejects.toThrow('belongs to the executor of /root-a');
});

const child = `
  const [{ ImageCache }, { systemClock: clock }, { silentLog: log }] = await Promise.all(process.argv.slice(1, 4).map((each) => import(each)));
  const { directory, source, digest } = JSON.parse(process.argv[4]);
  const cache = await ImageCache.open({
    directory, bytes: 2 ** 30, bytesPerSecond: 2 ** 22, owner: '/root-a', clock, log, backings: async () => [], source: async () => source,
  });
  await cache.find(digest);
`;

test('killed in the middle it leaves nothing under an image’s name, and begins anew', { timeout: 30_000 }, async () => {
  await using world = await open();
  const digest = world.image(randomBytes(32 * mib));
  const modules = ['./cache.ts', '../../lib/std/clock.ts', '../../lib/std/log.ts'].map((name) =>
    join(import.meta.dirname, name),
  );
  const what = JSON.stringify({ directory: world.cached, source: join(world.store, digest), digest });
  const copying = spawn(process.execPath, ['--input-type=module', '-e', child, ...modules, what], { stdio: 'inherit' });
  const parts = () => (existsSync(world.cached) ? world.names().filter((name) => name.endsWith('.part')) : []);
  const size = () => parts().reduce((sum, name) => sum + statSync(join(world.cached, name)).size, 0);
  await vi.waitFor(() => expect(size()).toBeGreaterThan(2 * mib), { timeout: 20_000 });
  copying.kill('SIGKILL');
  await new Promise((resolve) => copying.once('exit', resolve));
  expect([world.names().filter(isDigest), parts().length]).toEqual([[], 1]);
  writeFileSync(join(world.cached, `${digest}.${randomUUID()}.part`), 'older');
  const cache = await world.open();
  expect(parts()).toEqual([]);
  expect(sha256(readFileSync(await cache.find(digest)))).toBe(digest);
});

import { expect, test } from 'vitest';
import type { Image } from '#lib/api/generated/image.ts';
import { type CacheHost, countsOf, Prefetch, wantedOn } from './prefetch.ts';
import { imageWorld } from './testing/image-world.ts';

const [a, b] = ['a'.repeat(64), 'b'.repeat(64)];
const short = (digest: string) => digest.slice(0, 16);
const host = (hostname: string, cached: readonly string[] = []): CacheHost => ({
  ...{ hostname, labels: { rack: hostname.slice(-1) } },
  images: { cached: cached.map(short) },
});
const image = (prefetch: object) => ({ spec: { prefetch } }) as Image;
const names = (hosts: readonly CacheHost[]) => hosts.map(({ hostname }) => hostname);
const hosts = ['h1', 'h2', 'h3', 'h4'].map((name) => host(name));

test('wantedOn() takes all hosts that the selector names, or so many of them', () => {
  expect(names(wantedOn(image({ copies: 'All' }), a, hosts))).toEqual(names(hosts));
  const hostSelector = { matchLabels: { rack: '2' } };
  expect(names(wantedOn(image({ copies: 'All', hostSelector }), a, hosts))).toEqual(['h2']);
  const two = names(wantedOn(image({ copies: 2 }), a, hosts));
  expect(two).toHaveLength(2);
  expect(names(wantedOn(image({ copies: 2 }), a, hosts.toReversed()))).toEqual(two);
  expect(names(wantedOn(image({ copies: 9 }), a, hosts))).toHaveLength(4);
});

test('wantedOn() stays with hosts that have it, and another takes the place of one that is gone', () => {
  const [first, ...rest] = wantedOn(image({ copies: 1 }), a, hosts);
  const other = rest[0] ?? hosts.find((one) => one !== first)!;
  const having = hosts.map((one) => (one === other ? host(one.hostname, [a]) : one));
  expect(names(wantedOn(image({ copies: 1 }), a, having))).toEqual([other.hostname]);
  expect(
    names(
      wantedOn(
        image({ copies: 1 }),
        a,
        hosts.filter((one) => one !== first),
      ),
    ),
  ).toHaveLength(1);
});

test('countsOf() counts all that have it, and says why some have not', () => {
  const full = { ...host('h3'), images: { cached: [], failed: [{ digest: a, message: 'Full' }] } };
  const some = [host('h1', [a]), host('h2'), full];
  expect(countsOf(a, some, some.slice(1))).toEqual({
    warmHosts: 1,
    prefetch: { wanted: 2, done: 0, failed: 1, examples: ['h3: Full'] },
  });
  expect(countsOf(a, [], undefined)).toEqual({});
  expect(countsOf(a, [], [])).toMatchObject({
    prefetch: { wanted: 0, examples: [expect.stringContaining('imageCache')] },
  });
});

const options = { periodMs: 10_000, paceMs: 60_000, listenMs: 60_000 };

function open() {
  const made = imageWorld();
  const prefetch = new Prefetch(made.world, options);
  return {
    ...made,
    /** A host says what it has; gives what it is told. */
    beat(hostname: string, cached: readonly string[], order?: string) {
      const images = { cached: cached.map(short), ...(order && { order }) };
      made.says(hostname, { store: [a, b], images });
      return prefetch.orderFor(hostname, images);
    },
    look: () => prefetch.look(),
  };
}

test('a host is told what it is to have until it names the order, and again when that changes', async () => {
  const world = open();
  world.image('debian', { digest: a }, { prefetch: { copies: 'All' } });
  world.image('other', { digest: b });
  world.beat('h1', []);
  await world.look();
  const order = world.beat('h1', [])!;
  expect(order.digests).toEqual([a]);
  expect(world.beat('h1', [a], order.id)).toBeUndefined();
  world.image('other', { digest: b }, { prefetch: { copies: 1 } });
  await world.look();
  const next = world.beat('h1', [a], order.id)!;
  expect(next.digests).toEqual([a, b]);
  world.remove('debian');
  world.remove('other');
  await world.look();
  expect(world.beat('h1', [a, b], next.id)?.digests).toEqual([]);
  // Who has no cache, or never had an order, is told nothing.
  expect(world.beat('h1', [])).toBeUndefined();
});

test('only clusters that the selector names take part', async () => {
  const world = open();
  const clusterSelector = { matchLabels: { site: 'north' } };
  world.image('debian', { digest: a }, { prefetch: { copies: 'All', clusterSelector } });
  world.beat('h1', []);
  await world.look();
  expect(world.beat('h1', [])).toBeUndefined();
  world.clusterLabels.site = 'north';
  await world.look();
  expect(world.beat('h1', [])?.digests).toEqual([a]);
});

test('counts are written when they differ, once a minute at most, and not before all hosts may have been heard', async () => {
  const world = open();
  world.image('debian', { digest: a }, { prefetch: { copies: 'All' } });
  const rounds = async (count: number, cached: readonly string[]) => {
    for (let n = 0; n < count; n++) {
      for (const hostname of ['h1', 'h2']) world.beat(hostname, hostname === 'h1' ? [a] : cached);
      await world.look();
      await world.clock.advance(options.periodMs);
    }
  };
  await rounds(6, []);
  expect(world.writes()).toBe(0);
  await rounds(30, []);
  expect(world.writes()).toBe(1);
  expect(world.row('debian')).toMatchObject({ warmHosts: 1, prefetch: { wanted: 2, done: 1, failed: 0 } });
  for (let n = 0; n < 60; n++) await rounds(1, n % 2 === 0 ? [a] : []);
  expect(world.writes()).toBeLessThanOrEqual(11);
});

test('where no host has a cache nothing is written', async () => {
  const world = open();
  world.image('debian', { digest: a });
  for (let n = 0; n < 60; n++) {
    world.says('h1', { store: [a] });
    await world.look();
    await world.clock.advance(options.periodMs);
  }
  expect(world.writes()).toBe(0);
});

import { expect, test } from 'vitest';
import { ImageFiles } from './image-files.ts';
import { imageWorld } from './testing/image-world.ts';

const [named, unnamed] = ['a'.repeat(64), 'b'.repeat(64)];
const options = { periodMs: 60_000, graceMs: 3_600_000, lostMs: 180_000, againMs: 30_000 };

/** Two hosts that have told of a store with one image that an Image names, and one that none does. */
function open() {
  const made = imageWorld();
  const files = new ImageFiles(made.world, options);
  made.image('debian', { digest: named });
  const hosts = ['h1', 'h2'];
  for (const hostname of hosts) made.host(hostname, 'b');
  let backings: readonly string[] | undefined = [named];
  const speak = (hostname: string) => made.says(hostname, { store: [named, unnamed], backings });
  return {
    ...made,
    hosts,
    /** Looks every minute, for so long; hosts that are there answer. */
    async pass(minutes: number, there: readonly string[] = hosts) {
      for (let n = 0; n < minutes; n++) {
        there.forEach(speak);
        await files.look();
        await made.clock.advance(options.periodMs);
      }
    },
    look: () => files.look(),
    standOn: (digests: readonly string[] | undefined) => {
      backings = digests;
    },
    collected: () =>
      made
        .heard()
        .flatMap(({ hostname, message }) =>
          message.type === 'collect' && message.store ? [{ hostname, digests: message.digests }] : [],
        ),
  };
}

test('a file that nothing has named for an hour, and no disk stands on, is collected by one host', async () => {
  const world = open();
  await world.pass(60);
  expect(world.collected()).toEqual([]);
  await world.pass(1);
  expect(world.collected()).toEqual([{ hostname: 'h1', digests: [unnamed] }]);
});

test('what a disk of any host stands on stays', async () => {
  const world = open();
  for (let n = 0; n < 120; n++) {
    world.says('h1', { store: [named, unnamed], backings: [] });
    world.says('h2', { store: [named, unnamed], backings: [unnamed] });
    await world.look();
    await world.clock.advance(60_000);
  }
  expect(world.collected()).toEqual([]);
});

test('while one host is away, or does not tell what its disks stand on, everything stays', async () => {
  const world = open();
  await world.pass(1);
  await world.pass(120, ['h1']);
  expect(world.collected()).toEqual([]);
  world.standOn(undefined);
  await world.pass(120);
  expect(world.collected()).toEqual([]);
  world.standOn([]);
  await world.pass(1);
  expect(world.collected()).toHaveLength(1);
});

test('a host that this cluster server has never heard, but somebody once did, keeps everything; one that never spoke has nothing', async () => {
  const world = open();
  world.host('h3', undefined);
  await world.pass(61);
  expect(world.collected()).toHaveLength(1);
  world.host('h3', 'boot-of-old');
  await world.pass(10);
  expect(world.collected()).toEqual([]);
});

test('what hosts said before nothing named it is no proof', async () => {
  const world = open();
  await world.pass(1);
  for (let n = 0; n < 120; n++) {
    for (const hostname of world.hosts) world.says(hostname, { store: [named, unnamed], short: true });
    await world.look();
    await world.clock.advance(60_000);
  }
  const asked = world.told.filter(({ message }) => message.type === 'inventory');
  expect(new Set(asked.map(({ hostname }) => hostname))).toEqual(new Set(world.hosts));
  expect(world.collected()).toEqual([]);
});

test.each([
  ['an Image', (world: ReturnType<typeof open>) => world.image('again', { digest: unnamed })],
  [
    'a machine',
    (world: ReturnType<typeof open>) => void world.machines.push({ status: { image: { digest: unnamed } } } as never),
  ],
])('%s that names it again begins the hour anew', async (_, name) => {
  const world = open();
  await world.pass(50);
  name(world);
  await world.pass(20);
  world.remove('again');
  world.machines.length = 0;
  await world.pass(60);
  expect(world.collected()).toEqual([]);
  await world.pass(2);
  expect(world.collected()).not.toEqual([]);
});

test('nothing is collected while an import is under way', async () => {
  const world = open();
  world.image('coming', { phase: 'Downloading', taskID: 'img-1' });
  await world.pass(120);
  expect(world.collected()).toEqual([]);
});

test('copies go from hosts that have them, whoever is away', async () => {
  const world = open();
  await world.pass(1);
  for (let n = 0; n < 62; n++) {
    world.says('h1', {
      store: [named, unnamed],
      images: { cached: [named, unnamed].map((each) => each.slice(0, 16)) },
    });
    await world.look();
    await world.clock.advance(60_000);
  }
  const collect = { type: 'collect', version: 1, digests: [unnamed], store: false };
  expect(world.heard()).toContainEqual({ hostname: 'h1', message: collect });
});

test('an image whose file no host sees any more is lost, and Ready when it is there again', async () => {
  const world = open();
  const see = async (store: readonly string[], minutes: number) => {
    for (let n = 0; n < minutes; n++) {
      for (const hostname of world.hosts) world.says(hostname, { store, backings: [] });
      await world.look();
      await world.clock.advance(60_000);
    }
  };
  await see([named], 2);
  await see([], 3);
  expect(world.row('debian')).toMatchObject({ phase: 'Ready' });
  await see([], 1);
  expect(world.row('debian')).toMatchObject({ phase: 'Lost', digest: named, retryAfter: expect.any(String) });
  await see([named], 1);
  expect(world.row('debian')).toMatchObject({ phase: 'Ready', digest: named });
  expect(world.row('debian')).not.toHaveProperty('retryAfter');
});

test('one that some host sees is not lost, nor is any while the store cannot be read', async () => {
  const world = open();
  for (let n = 0; n < 10; n++) {
    world.says('h1', { store: [] });
    world.says('h2', { store: [named] });
    await world.look();
    await world.clock.advance(60_000);
  }
  for (let n = 0; n < 10; n++) {
    for (const hostname of world.hosts) world.says(hostname, { store: [], images: { store: undefined } as never });
    await world.look();
    await world.clock.advance(60_000);
  }
  expect([world.row('debian').phase, world.writes()]).toEqual(['Ready', 0]);
});

test('of hosts that see the same store one is asked what is in it', async () => {
  const world = open();
  await world.pass(1);
  world.heard();
  for (const hostname of world.hosts) world.says(hostname, { store: [named], short: true });
  await world.look();
  expect(world.heard().map(({ message }) => message.type)).toEqual(['inventory']);
});

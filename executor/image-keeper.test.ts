/** A host's images through its executor: what it does by order of the cluster server, and what it tells. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { cachedDigits, storeId } from '#lib/api/image-digests.ts';
import { sha256 } from './testing/image-store.ts';
import { imageImport, machineLaunch, openWorld, digest as stored, type World } from './testing/world.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 10_000, interval: 10 }));
const report = ({ agent }: World) => agent.heartbeats.at(-1)?.images;
const rootDisk = ({ config }: World, uid: string) =>
  JSON.parse(readFileSync(join(config.root, 'vms', uid, 'root.qcow2'), 'utf8')) as { backing: { path: string } };

function addImage({ config }: World, text: string): string {
  const digest = sha256(Buffer.from(text));
  writeFileSync(join(config.imageStore, digest), text);
  return digest;
}

async function run(world: World, digest: string): Promise<string> {
  await until(() => expect(world.agent.subscriptions.length).toBeGreaterThan(0));
  const launch = machineLaunch(randomUUID(), { image: { digest, format: 'raw', virtualSize: 512 } });
  world.agent.launch(launch);
  await until(() => expect(world.agent.states(launch.taskId)).toContain('TASK_RUNNING'));
  return launch.uid;
}

test('a machine stands on the copy of its host, which heartbeats tell of; a second worker finds it so', async () => {
  await using world = await openWorld({ cache: true });
  const digest = addImage(world, 'cached');
  const first = await world.start();
  const uid = await run(world, digest);
  expect(rootDisk(world, uid).backing.path).toBe(join(world.config.root, 'cache', digest));
  await until(() => expect(report(world)?.cached).toEqual([digest.slice(0, cachedDigits)]));
  await first[Symbol.asyncDispose]();
  world.agent.heartbeats.length = 0;
  await world.start();
  await until(() => expect(report(world)?.cached).toEqual([digest.slice(0, cachedDigits)]));
});

test('without a cache a machine stands on the file in the store, and starts again where its disk stands', async () => {
  await using world = await openWorld();
  await world.start();
  const uid = await run(world, stored);
  expect(rootDisk(world, uid).backing.path).toBe(join(world.config.imageStore, stored));
  await until(() => expect(report(world)).toEqual({ store: storeId([stored]) }));
});

test('a machine whose disk stands on a copy starts while the store is away', async () => {
  await using world = await openWorld({ cache: true });
  const { host } = await world.start();
  const uid = await run(world, addImage(world, 'cached'));
  await rename(world.config.imageStore, `${world.config.imageStore}-away`);
  await host.hypervisor.destroy(uid);
  await until(async () => expect(await host.hypervisor.get(uid)).toMatchObject({ power: 'On' }));
});

test('a machine whose disk stands on the store is not moved by a cache that comes later', async () => {
  await using world = await openWorld();
  const first = await world.start();
  const digest = addImage(world, 'old');
  const uid = await run(world, digest);
  await first[Symbol.asyncDispose]();
  const imageCache = { directory: join(world.config.root, 'cache'), bytes: 2 ** 30, bytesPerSecond: 2 ** 30 };
  const { host } = await world.start('life-1', { imageCache });
  await until(() => expect(report(world)?.cached).toEqual([]));
  await host.hypervisor.destroy(uid);
  await until(async () => expect(await host.hypervisor.get(uid)).toMatchObject({ power: 'On' }));
  expect(rootDisk(world, uid).backing.path).toBe(join(world.config.imageStore, digest));
});

test('what is ordered to be here is brought, and what cannot be is told', async () => {
  await using world = await openWorld({ cache: true });
  await world.start();
  await until(() => expect(world.agent.subscriptions.length).toBeGreaterThan(0));
  const [digest, missing] = [addImage(world, 'wanted'), 'e'.repeat(64)];
  world.agent.message({ type: 'images', version: 1, id: 'o1', digests: [digest, missing] });
  await until(() =>
    expect(report(world)).toMatchObject({
      ...{ order: 'o1', cached: [digest.slice(0, cachedDigits)] },
      failed: [{ digest: missing, message: expect.stringContaining('not in the store') }],
    }),
  );
});

test('collected is what no machine here stands on or waits for', async () => {
  await using world = await openWorld();
  await world.start();
  const [used, unused, snapshot] = ['used', 'unused', 'snapshot'].map((text) => addImage(world, text)) as [
    string,
    string,
    string,
  ];
  await run(world, used);
  const { config, agent } = world;
  mkdirSync(join(config.imageStore, 'snapshots'));
  writeFileSync(join(config.imageStore, 'snapshots', randomUUID()), snapshot);
  // An hour passes.
  const now = vi.spyOn(Date, 'now').mockImplementation(() => performance.timeOrigin + performance.now() + 3_600_000);
  try {
    await until(() => expect(existsSync(join(config.imageStore, 'clusters'))).toBe(true));
    agent.message({ type: 'collect', version: 1, digests: [used, snapshot, unused], store: true });
    await until(() => expect(existsSync(join(config.imageStore, unused))).toBe(false));
    for (const digest of [used, snapshot]) expect(existsSync(join(config.imageStore, digest))).toBe(true);
    agent.message({ type: 'inventory', version: 1 });
    await until(() => {
      const { backings, images } = agent.heartbeats.at(-1)?.inventory ?? {};
      expect(backings?.toSorted()).toEqual([used, snapshot].toSorted());
      expect(images?.toSorted()).toEqual([stored, used, snapshot].toSorted());
    });
    // And it comes back for who needs it after all.
    await run(world, unused);
    expect(existsSync(join(config.imageStore, unused))).toBe(true);
  } finally {
    now.mockRestore();
  }
});

test('an image that is imported here is told of at once, long before the next look at the store', async () => {
  await using world = await openWorld();
  await world.start();
  await until(() => expect(report(world)?.store).toBe(storeId([stored])));
  writeFileSync(join(world.config.importDir, 'disk.raw'), 'x'.repeat(512));
  const launch = imageImport(randomUUID(), { file: { path: 'disk.raw' } }, { name: 'img' });
  world.agent.launch(launch);
  await until(() => expect(world.agent.states(launch.taskId)).toContain('TASK_FINISHED'));
  const digest = readdirSync(world.config.imageStore).find((name) => /^[0-9a-f]{64}$/.test(name) && name !== stored)!;
  await until(() => expect(report(world)?.store).toBe(storeId([stored, digest])));
});

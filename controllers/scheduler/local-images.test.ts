/** Images over the local Mesos and a real executor process (imitation hypervisor): from the order to the copy, and back when one is lost. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Image } from '#lib/api/generated/image.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { systemClock } from '#lib/std/clock.ts';
import { signalProcess } from '#lib/std/process-identity.ts';
import { importImage, lab, want } from './testing/local-lab.ts';

const at = { name: 'debian', namespace: 'default' };
const patiently = { timeout: 150_000, interval: 100 };

test('a copy is made by order, machines stand on it, and a file that is lost from the store comes back', async () => {
  const world = await lab(['h1'], {
    imageCache: true,
    images: {
      imageFiles: { periodMs: 200, graceMs: 3_600_000, lostMs: 1_000, againMs: 1_000 },
      prefetch: { periodMs: 200, paceMs: 200, listenMs: 0 },
    },
  });
  const { client, directory } = world;
  const digest = await importImage(world, { prefetch: { copies: 'All' } });
  const row = async () => (await client.get(Image, at)).status?.clusters?.[0];
  const whole = { phase: 'Ready', attempts: 1, warmHosts: 1, prefetch: { wanted: 1, done: 1, failed: 0 } };
  await expect.poll(row, patiently).toMatchObject(whole);
  const copy = join(directory, 'h1', 'cache', digest);
  expect(existsSync(copy)).toBe(true);

  await want(client, 'a', 4, digest);
  const machine = async () => await client.get(VirtualMachine, { name: 'a', namespace: 'default' });
  await expect.poll(async () => (await machine()).status?.phase, patiently).toBe('Running');
  const disk = join(directory, 'h1', 'root', 'vms', (await machine()).metadata.uid, 'root.qcow2');
  expect(JSON.parse(readFileSync(disk, 'utf8')).backing.path).toBe(copy);

  // Who imported it looks at once: it is not missed because the host has last looked before it came.
  await systemClock.sleep(2_000);
  expect(await row()).toMatchObject(whole);
  const file = join(directory, 'images', digest);
  rmSync(file);
  // Hosts look once a minute, and when their executor starts.
  for (const pid of world.executorsOf('h1')) signalProcess(pid, 'SIGKILL');
  await expect.poll(row, patiently).toMatchObject({ phase: 'Lost', digest });
  await expect.poll(row, patiently).toMatchObject({ phase: 'Ready', digest });
  expect((await row())!.attempts).toBeGreaterThan(1);
  expect(existsSync(file)).toBe(true);
  expect((await machine()).status?.phase).toBe('Running');
}, 400_000);

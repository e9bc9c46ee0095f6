import { randomUUID } from 'node:crypto';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import type { MachineDisk } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { consolePaths } from '../console/paths.ts';
import { describeHypervisor } from '../hypervisor.suite.ts';
import type { DomainSpec } from '../hypervisor.ts';
import { openSim } from './hypervisor.ts';

const bootMs = 20;

async function openWorld() {
  const stack = new AsyncDisposableStack();
  const { path: root } = stack.use(await mkdtempDisposable(join(tmpdir(), 'cf-')));
  const open = () => openSim({ root, bootMs, agents: true, clock: systemClock, log: silentLog });
  const sim = open();
  stack.use(sim.hypervisor);
  return {
    ...sim,
    root,
    guestMs: 5000,
    async spec(uid: string, disks: readonly MachineDisk[] = []) {
      const spec = specOf(root, uid);
      await writeFile(spec.rootDisk, 'a disk');
      const image = { path: spec.rootDisk, format: 'raw' } as const;
      const seed = { label: 'cidata', files: {} };
      const { dataDisks } = await sim.devices.makeDisks({ uid, image, rootDiskBytes: 1, disks, seed });
      return { ...spec, dataDisks };
    },
    spoil: async (disk: string, file: string) =>
      await writeFile(disk, JSON.stringify({ virtualSize: 1, backing: { path: file } })),
    async failing(uid: string) {
      const fail = vi.waitUntil(async () => (await sim.hypervisor.get(uid))?.power === 'On', 5000);
      void fail.then(() => sim.hypervisor.inject(uid, 'break'));
      return { spec: specOf(root, uid), mend: async () => sim.hypervisor.inject(uid, 'mend') };
    },
    reopen: async () => open().hypervisor,
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

function specOf(root: string, uid: string): DomainSpec {
  return {
    uid,
    installation: 'i',
    namespace: 'n',
    name: 'm',
    attempt: 3,
    cores: 1,
    memoryMiB: 64,
    rootDisk: join(root, `${uid}.disk`),
    seedDisk: '',
    nics: [],
    ...consolePaths(root, uid),
  };
}

describe('the contract', () => describeHypervisor(openWorld));

test('a file in the inject directory crashes the guest', async () => {
  await using world = await openWorld();
  await world.hypervisor.define(specOf(world.root, 'u'));
  await world.hypervisor.start('u');
  await writeFile(join(world.root, 'sim', 'inject', 'u.crash'), '');
  await vi.waitFor(
    async () => expect(await world.hypervisor.get('u')).toMatchObject({ power: 'Off', offReason: 'Crashed' }),
    5000,
  );
});

test('the console answers on the machine socket', async () => {
  await using world = await openWorld();
  await world.hypervisor.define(specOf(world.root, 'u'));
  await world.hypervisor.start('u');
  const heard = await vi.waitFor(
    () =>
      new Promise<string>((resolve, reject) => {
        const socket = connect(consolePaths(world.root, 'u').consoleSocket, () => socket.write('hello'));
        socket.once('error', reject).once('data', (data) => {
          socket.destroy();
          resolve(String(data));
        });
      }),
    5000,
  );
  expect(heard).toBe('hello');
});

test('machines with volumes are taken', async () => {
  await using world = await openWorld();
  const uid = randomUUID();
  const volume = { uid: randomUUID(), name: 'd', type: 'Disk', glusterVolume: 'vm', bytes: 1, grant: 1 } as const;
  const volumes = await world.devices.volumes.attach({ uid, installation: 'i', attempt: 1, volumes: [volume] });
  expect(volumes).toEqual([{ name: 'd', type: 'Disk', path: expect.stringContaining(volume.uid) }]);
  expect(await world.devices.owners()).toEqual([uid]);
  expect(await world.devices.volumes.look()).toMatchObject([{ name: 'vm', usable: true }]);
  await world.devices.volumes.detach(uid);
  expect([await world.devices.owners(), await world.devices.volumes.look()]).toEqual([[], []]);
  await world.hypervisor.define({ ...(await world.spec(uid)), volumes });
  await world.hypervisor.start(uid);
  expect(await world.hypervisor.get(uid)).toMatchObject({ power: 'On' });
});

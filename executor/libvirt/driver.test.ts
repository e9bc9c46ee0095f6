/** The driver against a real libvirtd and real guests. */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { consolePaths } from '../console/paths.ts';
import { describeHypervisor } from '../hypervisor.suite.ts';
import type { DomainEvent, DomainSpec, HostDevices } from '../hypervisor.ts';
import { libvirtDevices } from './devices.ts';
import { libvirtHypervisor } from './driver.ts';

const installation = 'test-installation';

describe.skipIf(whyNoRealHost() !== undefined)('libvirt', { timeout: 120_000 }, () => {
  let host: RealHost;
  let devices: HostDevices;
  beforeAll(async () => {
    host = await openRealHost();
    devices = libvirtDevices({ root: host.root, netns: host.netns });
  }, 120_000);
  afterAll(async () => await host?.[Symbol.asyncDispose]());

  const open = () => libvirtHypervisor({ socket: host.socket, installation });

  async function spec(uid: string): Promise<DomainSpec> {
    mkdirSync(host.root, { recursive: true });
    const image = { path: host.image, format: 'qcow2' } as const;
    const disks = await devices.makeDisks({
      uid,
      image,
      rootDiskBytes: 64 * 2 ** 20,
      seed: { 'meta-data': '', 'user-data': '' },
    });
    const size = { cores: 1, memoryMiB: 96, nics: [] };
    return {
      uid,
      installation,
      namespace: 'n',
      name: 'm',
      attempt: 3,
      ...size,
      ...disks,
      ...consolePaths(host.root, uid),
    };
  }

  async function openWorld() {
    const hypervisor = open();
    return {
      hypervisor,
      spec,
      guestMs: 60_000,
      reopen: async () => open(),
      async [Symbol.asyncDispose]() {
        for (const { uid } of (await hypervisor.list()).ours) {
          await hypervisor.destroy(uid);
          await hypervisor.undefine(uid);
          await devices.removeDisks(uid);
        }
        await hypervisor[Symbol.asyncDispose]();
      },
    };
  }

  describeHypervisor(openWorld);

  test('libvirtd is killed: the guest runs on, watchers are told to look again, calls work', async () => {
    await using world = await openWorld();
    const { hypervisor } = world;
    const uid = randomUUID();
    await hypervisor.define(await spec(uid));
    await hypervisor.start(uid);
    const events: (DomainEvent | 'lost')[] = [];
    using _ = hypervisor.watch((event) => events.push(event));
    const qemu = await pidsOf('qemu-system-x86');
    const [libvirtd] = await pidsOf('libvirtd');
    process.kill(libvirtd!, 'SIGKILL');
    await vi.waitFor(() => expect(events).toContain('lost'), 20_000);
    expect(await hypervisor.get(uid)).toMatchObject({ power: 'On' });
    expect(await pidsOf('qemu-system-x86')).toEqual(qemu);
    await hypervisor.suspend(uid);
    await vi.waitFor(() => expect(events).toContainEqual({ uid, power: 'Paused' }));
  });

  test('a guest that is killed is off, crashed; one whose host lost its power is off', async () => {
    await using world = await openWorld();
    const { hypervisor } = world;
    const uid = randomUUID();
    await hypervisor.define(await spec(uid));
    await hypervisor.start(uid);
    for (const pid of await pidsOf('qemu-system-x86')) process.kill(pid, 'SIGKILL');
    const crashed = { power: 'Off', offReason: 'Crashed' };
    await vi.waitFor(async () => expect(await hypervisor.get(uid)).toMatchObject(crashed), 20_000);
    await hypervisor.start(uid);
    await host.powerCycle();
    expect(await hypervisor.get(uid)).toMatchObject({ uid, power: 'Off' });
  });

  test('an adopted machine keeps running under a new attempt; domains of others are counted', async () => {
    await using world = await openWorld();
    const uid = randomUUID();
    await world.hypervisor.define(await spec(uid));
    await world.hypervisor.start(uid);
    await world.hypervisor.define({ ...(await spec(uid)), attempt: 4 });
    expect(await world.hypervisor.get(uid)).toEqual({ uid, attempt: 4, power: 'On' });
    await using other = libvirtHypervisor({ socket: host.socket, installation: 'other' });
    expect(await other.list()).toEqual({ ours: [], foreign: { count: 1, cores: 1, memoryMiB: 96 } });
    await expect(other.define({ ...(await spec(uid)), installation: 'other' })).rejects.toThrow('not ours');
  });

  async function pidsOf(name: string): Promise<readonly number[]> {
    return (await host.processes()).filter((each) => each.name === name).map(({ pid }) => pid);
  }
});

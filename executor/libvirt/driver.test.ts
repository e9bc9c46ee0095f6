/** The driver against a real libvirtd and real guests. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { MachineDisk } from '#lib/api/launch.ts';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { consolePaths } from '../console/paths.ts';
import { describeHypervisor } from '../hypervisor.suite.ts';
import type { DomainEvent, DomainSpec, HostDevices } from '../hypervisor.ts';
import { libvirtDevices } from './devices.ts';
import { libvirtHypervisor } from './driver.ts';
import type { LibvirtEvent } from './events.ts';
import { Libvirt } from './libvirt.ts';

const run = promisify(execFile);
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

  async function spec(uid: string, wanted: readonly MachineDisk[] = [], root = host.root): Promise<DomainSpec> {
    mkdirSync(root, { recursive: true });
    const image = { path: host.image, format: 'qcow2' } as const;
    const disks = await libvirtDevices({ root, netns: host.netns }).makeDisks({
      uid,
      image,
      rootDiskBytes: 64 * 2 ** 20,
      disks: wanted,
      seed: { label: 'cidata', files: { 'meta-data': '', 'user-data': '' } },
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
      ...consolePaths(root, uid),
    };
  }

  /** The machine's directory in the host is a file system with room for what is there and no cluster more. */
  async function failing(uid: string) {
    const whole = await spec(uid);
    const directory = dirname(whole.rootDisk);
    const [libvirtd] = await pidsOf('libvirtd');
    const inHost = (script: string) =>
      run('nsenter', ['-m', '-t', String(libvirtd), 'sh', '-ec', script, 'sh', directory]);
    const { stdout } = await run('du', ['-sk', '--apparent-size', directory]);
    await inHost(
      `mkdir "$1.small"; mount -t tmpfs -o size=${Number.parseInt(stdout, 10) + 16}k,mode=755 none "$1.small"
       cp -p "$1"/* "$1.small"; mount --move "$1.small" "$1"; rmdir "$1.small"`,
    );
    return {
      spec: { ...whole, consoleLog: join(host.root, `${uid}.log`) },
      mend: async () => void (await inHost('mount -o remount,size=64m "$1"')),
    };
  }

  async function openWorld() {
    const hypervisor = open();
    return {
      hypervisor,
      spec,
      spoil: async (disk: string, file: string) =>
        void (await run('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', file, disk])),
      failing,
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
    await vi.waitFor(() => expect(events).toContainEqual({ uid, power: 'Paused', pausedReason: 'User' }));
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

  test('libvirt tells any listener which disk failed and why', async () => {
    await using world = await openWorld();
    const events: LibvirtEvent[] = [];
    await using _ = new Libvirt({ socket: host.socket, onEvent: (event) => events.push(event) });
    const uid = randomUUID();
    const { spec } = await world.failing(uid);
    await world.hypervisor.define(spec);
    await world.hypervisor.start(uid);
    const error = { type: 'IOError', path: spec.rootDisk, device: 'virtio-disk0', action: 'Pause', reason: 'enospc' };
    const domain = { name: `cf-${uid}`, uuid: uid, id: expect.any(Number) };
    await vi.waitFor(() => expect(events).toContainEqual({ ...error, domain }), 60_000);
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

  test('names and paths that mean something to XML or QEMU are only names and paths; others never reach libvirt', async () => {
    await using world = await openWorld();
    const { hypervisor } = world;
    const uid = randomUUID();
    const ours = await spec(uid, [], join(host.root, `a,readonly=off&amp; "b" <c> 'é😀' json:{}`));
    await using reader = libvirtHypervisor({ socket: host.socket, installation: `]]><i a="1"/>&#65;ü` });
    await hypervisor.define({ ...ours, installation: `]]><i a="1"/>&#65;ü`, name: '</cf:name><evil/>' });
    await reader.start(uid);
    expect(await reader.get(uid)).toEqual({ uid, attempt: 3, power: 'On' });
    expect(existsSync(ours.consoleLog)).toBe(true);
    await reader.destroy(uid);
    await reader.undefine(uid);
    await expect(hypervisor.define({ ...ours, name: 'a\0b' })).rejects.toThrow('with the name "a\\u0000b"');
    expect(await reader.get(uid)).toBeUndefined();
    await rm(join(ours.rootDisk, '../../..'), { recursive: true });
  });

  async function pidsOf(name: string): Promise<readonly number[]> {
    return (await host.processes()).filter((each) => each.name === name).map(({ pid }) => pid);
  }
});

/** Volumes in real guests: three Gluster servers, two hosts with libvirt of their own, each mounting as a host of the first and second server. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { MachineVolume } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { consolePaths } from '../console/paths.ts';
import type { DomainSpec, HostDevices, Hypervisor } from '../hypervisor.ts';
import { libvirtDevices } from '../libvirt/devices.ts';
import { libvirtHypervisor } from '../libvirt/driver.ts';
import { removeMachine } from '../machine/host.ts';
import { noCloud } from '../seed/nocloud.ts';
import { shell } from '../testing/guest-shell.ts';
import { machineLaunch } from '../testing/world.ts';
import { lookAtMount } from './client.ts';
import { type Gluster, openGluster, whyNoGluster } from './testing/gluster.ts';
import { glusterVolumes } from './volumes.ts';

const name = 'vm';
const mebibyte = 2 ** 20;
const bootMs = 120_000;
const patiently = { timeout: 90_000, interval: 500 };

interface Host {
  readonly real: RealHost;
  readonly hypervisor: Hypervisor;
  readonly devices: HostDevices;
  /** pids of the Gluster clients of its mount. */
  clients(): readonly number[];
}

const why = whyNoGluster() ?? whyNoRealHost();

describe.skipIf(why !== undefined)('volumes in guests', { timeout: 300_000 }, () => {
  const stack = new AsyncDisposableStack();
  let gluster: Gluster;
  let hosts: readonly [Host, Host];
  beforeAll(async () => {
    gluster = stack.use(await openGluster(3));
    await gluster.makeVolume(name, 1, 2, 3);
    hosts = [await openHost(1), await openHost(2)];
  }, 400_000);
  afterAll(() => stack.disposeAsync(), 120_000);

  async function openHost(n: number): Promise<Host> {
    const real = stack.use(await openRealHost({ mounts: true }));
    const hypervisor = stack.use(libvirtHypervisor({ socket: real.socket, installation: 'i' }));
    const place = { root: real.root, netns: gluster.netns(n), servers: gluster.servers };
    const options = { ...place, names: [name], command: gluster.command, host: `host-${n}` };
    const volumes = glusterVolumes({ ...options, answerMs: 20_000, clock: systemClock, log: silentLog });
    const devices = libvirtDevices({ root: real.root, netns: real.netns, volumes });
    stack.defer(async () => {
      for (const uid of await devices.owners()) await removeMachine({ hypervisor, devices }, uid);
    });
    const seen = () => lookAtMount({ ...place, gluster: { name, servers: gluster.servers } });
    return { real, hypervisor, devices, clients: () => seen().clients.map(({ pid }) => pid) };
  }

  const shared = (changes: Partial<MachineVolume> = {}): MachineVolume => ({
    ...{
      uid: randomUUID(),
      name: 'data',
      glusterVolume: name,
      make: true,
      type: 'SharedFilesystem',
      bytes: 20 * mebibyte,
    },
    ...changes,
  });

  /** As an executor would, whatever there is of the machine already. */
  async function start(
    { real, hypervisor, devices }: Host,
    volume: MachineVolume,
    uid: string = randomUUID(),
  ): Promise<DomainSpec> {
    const volumes = [volume];
    const seed = noCloud({ ...machineLaunch(uid), hostname: 'web', networks: [], volumes });
    const image = { path: real.image, format: 'qcow2' } as const;
    const spec = {
      ...{ uid, installation: 'i', namespace: 'n', name: 'web', attempt: 1, cores: 1, memoryMiB: 96, nics: [] },
      ...(await devices.makeDisks({ uid, image, rootDiskBytes: 64 * mebibyte, seed })),
      ...consolePaths(real.root, uid),
      volumes: await devices.volumes.attach({ uid, installation: 'i', attempt: 1, volumes }),
    };
    await hypervisor.define(spec);
    await hypervisor.start(uid);
    return spec;
  }

  const printed = async ({ consoleLog }: DomainSpec, text: string | RegExp, times = 1) =>
    await vi.waitFor(
      () => expect(readFileSync(consoleLog, 'latin1').split(text).length - 1).toBeGreaterThanOrEqual(times),
      bootMs,
    );

  test('two guests on two hosts see the same directory, up to its quota', async () => {
    const volume = shared({ mountPath: '/mnt/scenes' });
    const [first, second] = [await start(hosts[0], volume), await start(hosts[1], volume)];
    await printed(first, 'MOUNTED data /mnt/scenes');
    await printed(second, 'MOUNTED data /mnt/scenes');
    await Promise.all([printed(first, 'READY'), printed(second, 'READY')]);
    await shell(first, 'echo hello from one >/mnt/scenes/a; sync');
    expect(await shell(second, 'cat /mnt/scenes/a')).toContain('hello from one');
    await shell(second, 'echo more >>/mnt/scenes/a; sync');
    expect(await shell(first, 'cat /mnt/scenes/a')).toMatch(/hello from one[\s\S]*more/);
    expect(await shell(first, 'df -m /mnt/scenes')).toMatch(/data +20 /);
    expect(await shell(first, 'dd if=/dev/zero of=/mnt/scenes/big bs=1M count=60 conv=fsync')).toMatch(/quota/i);
    await vi.waitFor(async () => {
      const [report] = await hosts[0].devices.volumes.look();
      expect(report?.used?.[volume.uid]).toBeGreaterThan(0.95 * 20 * mebibyte);
    }, patiently);
    await hosts[0].devices.volumes.make({ ...volume, bytes: 40 * mebibyte }, 'i');
    expect(await shell(first, 'df -m /mnt/scenes')).toMatch(/data +40 /);
    await removeMachine(hosts[0], first.uid);
    expect(await shell(second, 'rm /mnt/scenes/big; cat /mnt/scenes/a')).toContain('hello from one');
    await removeMachine(hosts[1], second.uid);
    expect(hosts.flatMap(({ clients }) => clients())).toEqual([]);
    await hosts[0].devices.volumes.remove(volume);
  });

  test('a disk goes from a machine to the next on another host, with what was written', async () => {
    const volume = shared({ type: 'Disk', grant: 1, bytes: 64 * mebibyte });
    const first = await start(hosts[0], volume);
    await printed(first, 'READY');
    expect(await shell(first, 'cat /sys/block/vdc/serial /sys/block/vdc/size')).toMatch(/data\s*131072/);
    await shell(first, 'echo kept for the next | dd of=/dev/vdc conv=fsync');
    // The control plane says that the first is gone, which is not so: QEMU's lock is the last one.
    await expect(start(hosts[1], { ...volume, grant: 2 })).rejects.toThrow(/lock/);
    await hosts[0].hypervisor.destroy(first.uid);
    await expect(start(hosts[0], volume, first.uid)).rejects.toMatchObject({ reason: 'WriterHeld' });
    await removeMachine(hosts[0], first.uid);
    const second = await start(hosts[1], { ...volume, grant: 3 });
    await printed(second, 'READY');
    expect(await shell(second, 'head -c 17 /dev/vdc')).toContain('kept for the next');
    await removeMachine(hosts[1], second.uid);
    for (const uid of await hosts[1].devices.owners()) await removeMachine(hosts[1], uid);
    await hosts[0].devices.volumes.remove(volume);
  });

  test('the root of a guest cannot write to a directory that it is to read alone', async () => {
    const [host] = hosts;
    const volume = shared({ mountPath: '/mnt/scenes' });
    const [writer, reader] = [await start(host, volume), await start(host, { ...volume, readOnly: true })];
    await Promise.all([writer, reader].map(async (each) => await printed(each, 'READY')));
    await shell(writer, 'echo from the writer >/mnt/scenes/a; mkdir /mnt/scenes/d; sync');
    expect(await shell(reader, 'cat /mnt/scenes/a')).toContain('from the writer');
    // By itself the guest may mount it as it likes.
    await shell(reader, 'umount /mnt/scenes; mount -t virtiofs -o rw data /mnt/scenes');
    expect(await shell(reader, 'grep scenes /proc/mounts')).toMatch(/virtiofs rw/);
    for (const attempt of [
      'echo x >/mnt/scenes/a',
      'echo x >/mnt/scenes/b',
      'rm /mnt/scenes/a',
      'mv /mnt/scenes/a /mnt/scenes/c',
      'chmod 777 /mnt/scenes/a',
      'chown 1 /mnt/scenes/a',
      'touch -t 202001010000 /mnt/scenes/a',
      'truncate -s 0 /mnt/scenes/a',
      'mkdir /mnt/scenes/e',
      'rmdir /mnt/scenes/d',
      'ln -s a /mnt/scenes/l',
      'ln /mnt/scenes/a /mnt/scenes/h',
      'mknod /mnt/scenes/n p',
      'mount -o remount,rw /mnt/scenes && echo x >/mnt/scenes/a',
    ])
      expect(await shell(reader, `${attempt} || echo REF"USED"`), attempt).toContain('REFUSED');
    expect(await shell(writer, 'ls /mnt/scenes; cat /mnt/scenes/a')).toMatch(/a +d\s+from the writer/);
    for (const { uid } of [writer, reader]) await removeMachine(host, uid);
    expect(host.clients()).toEqual([]);
    await host.devices.volumes.remove(volume);
  });

  test('guests on two hosts read one disk, and none writes to it', async () => {
    const volume = shared({ type: 'Disk', grant: 1, bytes: 64 * mebibyte });
    const writer = await start(hosts[0], volume);
    await printed(writer, 'READY');
    await shell(writer, 'echo for all of them | dd of=/dev/vdc conv=fsync');
    await removeMachine(hosts[0], writer.uid);
    const { grant: _, make: _m, ...read } = { ...volume, readOnly: true as const };
    const readers = [await start(hosts[0], read), await start(hosts[0], read), await start(hosts[1], read)];
    for (const reader of readers) {
      await printed(reader, 'READY');
      expect(await shell(reader, 'cat /sys/block/vdc/ro; head -c 15 /dev/vdc')).toMatch(/1\s+for all of them/);
      await shell(reader, 'echo 0 >/sys/block/vdc/ro; blockdev --setrw /dev/vdc');
      expect(await shell(reader, 'echo x | dd of=/dev/vdc conv=fsync || echo REF"USED"')).toContain('REFUSED');
    }
    await expect(start(hosts[1], { ...volume, grant: 2 })).rejects.toMatchObject({ reason: 'WriterHeld' });
    // Those that are left read on when one of them goes.
    await removeMachine(hosts[0], readers[0]!.uid);
    for (const reader of readers.slice(1))
      expect(await shell(reader, 'dd if=/dev/vdc iflag=direct bs=4096 count=1 2>/dev/null | head -c 15')).toContain(
        'for all of them',
      );
    for (const host of hosts) for (const uid of await host.devices.owners()) await removeMachine(host, uid);
    await hosts[0].devices.volumes.remove(volume);
  });

  test('a guest whose disk lost its quorum stands still, and goes on when the bricks are back', async () => {
    const [host] = hosts;
    const volume = shared({ type: 'Disk', grant: 1, bytes: 64 * mebibyte });
    const machine = await start(host, volume);
    await printed(machine, 'READY');
    for (const n of [2, 3]) await gluster.killBrick(name, n);
    await vi.waitFor(
      async () => expect(await host.devices.volumes.look()).toMatchObject([{ reason: 'QuorumLost' }]),
      patiently,
    );
    const writing = shell(machine, 'echo through the night | dd of=/dev/vdc conv=fsync && echo WR"ITTEN"', 200_000);
    await vi.waitFor(
      async () =>
        expect(await host.hypervisor.get(machine.uid)).toMatchObject({ power: 'Paused', pausedReason: 'IOError' }),
      patiently,
    );
    await gluster.startBricks(name);
    await vi.waitFor(async () => {
      await host.hypervisor.resume(machine.uid);
      expect(await host.hypervisor.get(machine.uid)).toMatchObject({ power: 'On' });
    }, patiently);
    expect(await writing).toContain('WRITTEN');
    await removeMachine(host, machine.uid);
    await host.devices.volumes.remove(volume);
  });

  test('a machine on a mount that died has it again once it is turned off and on', async () => {
    const [host] = hosts;
    const volume = shared({ mountPath: '/mnt/scenes' });
    const machine = await start(host, volume);
    await printed(machine, 'READY');
    await shell(machine, 'echo before >/mnt/scenes/a; sync');
    const [client] = host.clients();
    process.kill(client!, 'SIGKILL');
    await vi.waitFor(
      async () => expect(await shell(machine, 'cat /mnt/scenes/a')).toMatch(/not connected|error/i),
      patiently,
    );
    await host.hypervisor.destroy(machine.uid);
    await vi.waitFor(async () => await start(host, { ...volume, make: false as never }, machine.uid), patiently);
    expect(host.clients()).not.toContain(client);
    await printed(machine, 'MOUNTED data /mnt/scenes', 2);
    await printed(machine, 'READY', 2);
    expect(await shell(machine, 'cat /mnt/scenes/a')).toContain('before');
    await removeMachine(host, machine.uid);
    await host.devices.volumes.remove(volume);
  });
});

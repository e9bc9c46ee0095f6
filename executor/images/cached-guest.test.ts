/** What a copy of its image on the host is good for: a real guest reads on while the real GlusterFS mount that the image came from is away. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { consolePaths } from '../console/paths.ts';
import type { DomainSpec, HostDevices, Hypervisor } from '../hypervisor.ts';
import { libvirtDevices } from '../libvirt/devices.ts';
import { libvirtHypervisor } from '../libvirt/driver.ts';
import { removeMachine } from '../machine/host.ts';
import { shell } from '../testing/guest-shell.ts';
import { sha256 } from '../testing/image-store.ts';
import { type Gluster, openGluster, whyNoGluster } from '../volumes/testing/gluster.ts';
import { ImageCache } from './cache.ts';
import { imageStore } from './store.ts';

const run = promisify(execFile);
const volume = 'images';
const bootMs = 120_000;
const patiently = { timeout: 90_000, interval: 500 };

describe.skipIf((whyNoGluster() ?? whyNoRealHost()) !== undefined)('a guest', { timeout: 300_000 }, () => {
  const stack = new AsyncDisposableStack();
  let gluster: Gluster;
  let host: RealHost;
  let hypervisor: Hypervisor;
  let devices: HostDevices;
  let mounted: string;
  let digest: string;

  beforeAll(async () => {
    gluster = stack.use(await openGluster(1));
    await gluster.makeVolume(volume, 1);
    // Else the client waits for the brick for as long as the guests are asked.
    await gluster.set(volume, 'network.ping-timeout', '5');
    // What the client keeps in memory would do for a guest as small as this one.
    for (const cache of ['io-cache', 'quick-read', 'read-ahead'])
      await gluster.set(volume, `performance.${cache}`, 'off');
    host = stack.use(await openRealHost({ mounts: true }));
    hypervisor = stack.use(libvirtHypervisor({ socket: host.socket, installation: 'i' }));
    devices = libvirtDevices({ root: host.root, netns: host.netns });
    stack.defer(async () => {
      for (const uid of await devices.owners()) await removeMachine({ hypervisor, devices }, uid);
    });
    // Where this host's QEMU sees mounts that are made outside of it.
    mounted = join(host.root, 'volumes', volume);
    mkdirSync(mounted, { recursive: true });
    digest = sha256(readFileSync(host.image));
    await mount();
    copyFileSync(host.image, join(mounted, digest));
    stack.defer(async () => void (await run('umount', ['-l', mounted])));
  }, 400_000);
  afterAll(() => stack.disposeAsync(), 120_000);

  async function mount(): Promise<void> {
    const options = [
      `--volfile-server=${gluster.servers[0]}`,
      `--volfile-id=${volume}`,
      '--log-file=/dev/null',
      '--direct-io-mode=enable',
    ];
    const command = [`--net=/run/netns/${gluster.netns(1)}`, 'glusterfs', ...options, mounted];
    await run('nsenter', command, { timeout: 60_000 });
    await vi.waitFor(() => statSync(join(mounted, '.')), patiently);
  }

  async function start(path: string): Promise<DomainSpec> {
    const uid = randomUUID();
    const seed = { label: 'cidata', files: { 'meta-data': `instance-id: ${uid}\nlocal-hostname: web\n` } };
    const disks = await devices.makeDisks({ uid, image: { path, format: 'qcow2' }, rootDiskBytes: 64 * 2 ** 20, seed });
    const spec = {
      ...{ uid, installation: 'i', namespace: 'n', name: 'web', attempt: 1, cores: 1, memoryMiB: 96, nics: [] },
      ...disks,
      ...consolePaths(host.root, uid),
    };
    await hypervisor.define(spec);
    await hypervisor.start(uid);
    return spec;
  }

  const printed = async ({ consoleLog }: DomainSpec, text: string, times = 1) =>
    await vi.waitFor(
      () => expect(readFileSync(consoleLog, 'latin1').split(text).length - 1).toBeGreaterThanOrEqual(times),
      bootMs,
    );
  const powerOf = async ({ uid }: DomainSpec) => await hypervisor.get(uid);

  test('whose disk stands on a copy of the host reads on, and boots again, while the mount is away', async () => {
    const store = imageStore(mounted, systemClock);
    const directory = join(host.root, 'cache');
    const options = { directory, bytes: 2 ** 30, bytesPerSecond: 2 ** 30, owner: host.root, clock: systemClock };
    await using cache = await ImageCache.open({
      ...{ ...options, log: silentLog, source: store.find, backings: () => devices.backings() },
    });
    const cached = await start(await cache.find(digest));
    const remote = await start(await store.find(digest));
    expect(await devices.backings()).toEqual(expect.arrayContaining([join(directory, digest), join(mounted, digest)]));
    await Promise.all([printed(cached, 'READY'), printed(remote, 'READY')]);

    await gluster.killBrick(volume, 1);
    const readAll = 'echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda of=/dev/null bs=1M && echo READ-"ALL"';
    expect(await shell(cached, readAll)).toContain('READ-ALL');
    // The other one comes to a stop at what it has not read before: this is what the copy is for.
    await vi.waitFor(async () => {
      await shell(remote, readAll, 10_000).catch(() => undefined);
      expect(await powerOf(remote)).toMatchObject({ pausedReason: 'IOError' });
    }, patiently);
    await hypervisor.destroy(cached.uid);
    await hypervisor.start(cached.uid);
    await printed(cached, 'READY', 2);

    // Nothing that a disk stands on is dropped, and what no disk stands on any more may go.
    await cache.drop(digest);
    expect(cache.held).toEqual([digest]);
    await gluster.startBricks(volume);
    await vi.waitFor(async () => {
      await hypervisor.resume(remote.uid);
      await systemClock.sleep(2000);
      expect(await powerOf(remote)).toMatchObject({ power: 'On' });
    }, patiently);
    expect(await shell(remote, readAll)).toContain('READ-ALL');
  });
});

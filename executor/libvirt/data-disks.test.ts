/** Data disks, limits and weights of a real guest: what libvirt has of them, and what the guest finds on them. */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { consolePaths } from '../console/paths.ts';
import type { DomainSpec, HostDevices, Hypervisor } from '../hypervisor.ts';
import { removeMachine } from '../machine/host.ts';
import { shell } from '../testing/guest-shell.ts';
import { libvirtDevices } from './devices.ts';
import { libvirtHypervisor } from './driver.ts';
import { Libvirt } from './libvirt.ts';
import { type Limits, readLimits } from './limits.ts';
import { parseXml } from './xml.ts';

const mib = 2 ** 20;
const bootMs = 60_000;
const limits = { bytesPerSecond: 2 * mib, requestsPerSecond: 500 };
const disks = [
  { name: 'data', bytes: 64 * mib, limits },
  { name: 'scratch', bytes: 96 * mib },
];

interface Disk {
  readonly serial?: string;
  readonly target: { readonly '@dev': string };
  readonly iotune?: object;
}

describe.skipIf(whyNoRealHost() !== undefined)('data disks of a real guest', { timeout: 240_000 }, () => {
  let host: RealHost;
  let devices: HostDevices;
  let hypervisor: Hypervisor;
  let limited: Limits;
  beforeAll(async () => {
    host = await openRealHost({ cgroups: true });
    devices = libvirtDevices({ root: host.root, netns: host.netns });
    const libvirtd = (await host.processes()).find(({ name }) => name === 'libvirtd')!;
    const [mountinfo, status] = ['mountinfo', 'status'].map((name) =>
      readFileSync(`/proc/${libvirtd.pid}/${name}`, 'utf8'),
    );
    limited = readLimits(mountinfo!, status!).limits;
    hypervisor = libvirtHypervisor({ socket: host.socket, installation: 'i', limits: limited });
  }, 180_000);
  afterAll(async () => {
    for (const { uid } of (await hypervisor?.list())?.ours ?? []) await removeMachine({ hypervisor, devices }, uid);
    await hypervisor?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
  });

  /** As an executor does before each start. */
  async function start(uid: string): Promise<DomainSpec> {
    const image = { path: host.image, format: 'qcow2' } as const;
    const seed = { label: 'cidata', files: { 'meta-data': `instance-id: ${uid}\n`, 'user-data': '' } };
    const made = await devices.makeDisks({ uid, image, rootDiskBytes: 64 * mib, disks, seed });
    const spec = {
      ...{ uid, installation: 'i', namespace: 'n', name: 'web', attempt: 1, cores: 1, memoryMiB: 96, nics: [] },
      ...{ ...made, rootDiskLimits: { requestsPerSecond: 9000 }, ioWeight: 300, ...consolePaths(host.root, uid) },
    };
    await hypervisor.define(spec);
    await hypervisor.start(uid);
    return spec;
  }

  const booted = async ({ consoleLog }: DomainSpec, times: number) =>
    await vi.waitFor(
      () => expect(readFileSync(consoleLog, 'latin1').split('READY').length - 1).toBeGreaterThanOrEqual(times),
      bootMs,
    );

  async function runningXml(uid: string): Promise<string> {
    await using libvirt = new Libvirt({ socket: host.socket });
    return await libvirt.running((await libvirt.lookup(uid))!);
  }

  test('are found by their names, keep what is on them over a reboot and a power cut, and go with the machine', async () => {
    const uid = randomUUID();
    const spec = await start(uid);
    await booted(spec, 1);
    const sysfs = await shell(spec, 'for d in /sys/block/vd[cd]; do echo "$(cat $d/serial) $(cat $d/size)"; done');
    expect(sysfs).toMatch(/data 131072\s+scratch 196608/);
    await shell(
      spec,
      'echo kept over all of it | dd of=/dev/vdc conv=fsync; echo so is this | dd of=/dev/vdd conv=fsync',
    );
    const content = async () => await shell(spec, 'head -n 1 /dev/vdc; head -n 1 /dev/vdd');
    await hypervisor.reset(uid);
    await booted(spec, 2);
    expect(await content()).toMatch(/kept over all of it\s+so is this/);
    await hypervisor.destroy(uid);
    await start(uid);
    await booted(spec, 3);
    expect(await content()).toMatch(/kept over all of it\s+so is this/);
    await removeMachine({ hypervisor, devices }, uid);
    expect(existsSync(dirname(spec.rootDisk))).toBe(false);
    expect(await devices.owners()).toEqual([]);
  });

  test('are there, as many as a machine may have beside its volumes', async () => {
    const uid = randomUUID();
    const image = { path: host.image, format: 'qcow2' } as const;
    const seed = { label: 'cidata', files: { 'meta-data': `instance-id: ${uid}\n`, 'user-data': '' } };
    const named = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, index) => ({ name: `${prefix}-${index}`, bytes: mib }));
    const wanted = [...named('data', 15), ...named('volume', 16)];
    const { dataDisks, ...made } = await devices.makeDisks({
      uid,
      image,
      rootDiskBytes: 64 * mib,
      disks: wanted,
      seed,
    });
    const spec = {
      ...{ uid, installation: 'i', namespace: 'n', name: 'web', attempt: 1, cores: 1, memoryMiB: 96, nics: [] },
      ...{ ...made, ...consolePaths(host.root, uid), dataDisks: dataDisks.slice(0, 15) },
      volumes: dataDisks.slice(15).map((disk) => ({ ...disk, type: 'Disk' as const })),
    };
    await hypervisor.define(spec);
    await hypervisor.start(uid);
    await booted(spec, 1);
    const serials = await shell(spec, 'cat /sys/block/vd*/serial; echo; ls -d /sys/block/vd* | wc -l');
    for (const { name } of wanted) expect(serials).toContain(name);
    expect(serials).toMatch(/^33\s/m);
    await removeMachine({ hypervisor, devices }, uid);
  });

  test('are as limited as they were asked to be, by QEMU; the whole is weighed and bound by control groups', async () => {
    const uid = randomUUID();
    const spec = await start(uid);
    await booted(spec, 1);
    const xml = await runningXml(uid);
    const { domain } = parseXml(xml) as { domain: { devices: { disk: readonly Disk[] } } };
    const of = (device: string) => domain.devices.disk.find(({ target }) => target['@dev'] === device);
    expect(of('vda')?.iotune).toMatchObject({ total_iops_sec: '9000' });
    expect(of('vdc')).toMatchObject({
      ...{ serial: 'data', iotune: { total_bytes_sec: String(2 * mib), total_iops_sec: '500' } },
    });
    expect(of('vdd')).not.toHaveProperty('iotune');
    // 16 MiB take 8 s at 2 MiB a second, and no time worth the name on the other disk.
    const seconds = async (device: string) => {
      const timed = `s=$(cut -d. -f1 /proc/uptime); dd if=/dev/zero of=/dev/${device} bs=1M count=16 conv=fsync 2>/dev/null`;
      const said = await shell(spec, `${timed}; echo TOOK $(( $(cut -d. -f1 /proc/uptime) - s ))`, 120_000);
      return Number(/TOOK (\d+)/.exec(said)?.[1]);
    };
    expect(await seconds('vdc')).toBeGreaterThanOrEqual(6);
    if (limited.weights) expect(xml).toMatch(/<blkiotune>\s*<weight>300<\/weight>\s*<\/blkiotune>/);
    else console.warn('The kernel of this computer weighs no requests to disks');
    if (host.cgroups) expect(xml).toContain('<global_quota>200000</global_quota>');
    await removeMachine({ hypervisor, devices }, uid);
  });
});

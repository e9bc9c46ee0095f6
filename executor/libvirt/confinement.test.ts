/** What a running QEMU may and has, seen from the host: a guest that takes it over has just that. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { consolePaths } from '../console/paths.ts';
import type { DomainSpec, HostDevices, Hypervisor } from '../hypervisor.ts';
import { QemuProcesses } from '../processes/qemu.ts';
import { seedOf } from '../seed/seed.ts';
import { machineLaunch } from '../testing/world.ts';
import { libvirtDevices } from './devices.ts';
import { libvirtHypervisor } from './driver.ts';
import { type Limits, memoryLimitMiB, readLimits } from './limits.ts';

const secrets = { userData: '#cloud-config\n# SECRET-OF-THE-USER\n', sshKeys: ['ssh-ed25519 SECRET-KEY me'] };
const data = [{ name: 'data', bytes: 2 ** 20 }];
const network = {
  ...{
    subnet: 's',
    subnetUID: 'u',
    vni: 5,
    prefix: 24,
    gateway: '',
    mtu: 1450,
    dns: [],
    domain: '',
    leaseSeconds: 3600,
  },
};

interface Guest {
  readonly spec: DomainSpec;
  readonly pid: number;
}

describe.skipIf(whyNoRealHost() !== undefined)('a running QEMU', { timeout: 120_000 }, () => {
  let host: RealHost;
  let hypervisor: Hypervisor;
  let devices: HostDevices;
  let limited: Limits;
  let [guest, other]: (Guest | undefined)[] = [];

  beforeAll(async () => {
    host = await openRealHost({ cgroups: true });
    const libvirtd = (await host.processes()).find(({ name }) => name === 'libvirtd')!;
    const { limits, why } = readLimits(procFile(libvirtd.pid, 'mountinfo'), procFile(libvirtd.pid, 'status'));
    for (const each of why) console.warn(`Not available: ${each}`);
    limited = limits;
    hypervisor = libvirtHypervisor({ socket: host.socket, installation: 'i', limits });
    devices = libvirtDevices({ root: host.root, netns: host.netns });
    guest = await run(11);
    other = await run(12);
  }, 180_000);
  afterAll(async () => {
    await hypervisor?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
  });

  async function run(last: number): Promise<Guest> {
    const uid = randomUUID();
    const launch = machineLaunch(uid, { memoryMiB: 96, hostname: `web-${last}`, ...secrets });
    const image = { path: host.image, format: 'qcow2' } as const;
    const disks = await devices.makeDisks({
      uid,
      image,
      rootDiskBytes: 64 * 2 ** 20,
      disks: data,
      seed: seedOf(launch),
    });
    const networks = [{ ...network, ip: `10.66.10.${last}`, mac: `52:54:00:00:00:${last}` }];
    const nics = await devices.attachNetworks({ uid, hostname: launch.hostname, networks });
    const { installation, namespace, name, attempt, cores, memoryMiB } = launch;
    const spec = { uid, installation, namespace, name, attempt, cores, memoryMiB, ...disks, nics };
    const whole = { ...spec, ioWeight: 300, ...consolePaths(host.root, uid) };
    await hypervisor.define(whole);
    await hypervisor.start(uid);
    // All that it opens it has opened by the time its guest is up.
    await vi.waitFor(() => expect(readFileSync(whole.consoleLog, 'latin1')).toContain('READY'), 60_000);
    return { spec: whole, pid: new QemuProcesses().look().find((each) => each.uid === uid)!.pid };
  }

  const procFile = (pid: number, name: string): string => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, 'utf8');
    } catch {
      return ''; // gone meanwhile
    }
  };
  const statusOf = ({ pid }: Guest, field: string): string[] =>
    new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(procFile(pid, 'status'))![1]!.split(/\s+/);

  test('is nobody: no root in any of its four users and groups, no capability, and no way to get one', () => {
    for (const field of ['Uid', 'Gid']) {
      const ids = statusOf(guest!, field);
      expect(ids).toHaveLength(4);
      expect(ids).not.toContain('0');
    }
    expect(statusOf(guest!, 'Groups')).not.toContain('0');
    for (const field of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
      expect(Number(`0x${statusOf(guest!, field)}`)).toBe(0);
    expect(statusOf(guest!, 'NoNewPrivs')).toEqual(['1']);
  });

  test('asks the kernel only for what its filter lets through, and starts no other program', () => {
    expect(statusOf(guest!, 'Seccomp')).toEqual(['2']);
    const sandbox = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';
    expect(procFile(guest!.pid, 'cmdline')).toContain(`-sandbox\0${sandbox}\0`);
    const children = readdirSync(`/proc/${guest!.pid}/task`).map((task) =>
      procFile(guest!.pid, `task/${task}/children`),
    );
    expect(children.join('').trim()).toBe('');
  });

  test('has only its own files open: disks, pid file, sockets; the image and the seed for reading alone', () => {
    const { spec, pid } = guest!;
    const files = readdirSync(`/proc/${pid}/fd`).map((fd) => ({
      path: readlinkSync(`/proc/${pid}/fd/${fd}`),
      writable: (Number.parseInt(/flags:\s*(\d+)/.exec(procFile(pid, `fdinfo/${fd}`))![1]!, 8) & 3) !== 0,
    }));
    const named = files.filter(({ path }) => !/^(pipe|socket|anon_inode):/.test(path));
    const devices = ['/dev/null', '/dev/urandom', '/dev/random', '/dev/net/tun'];
    expect(new Set(named.filter(({ path }) => !devices.includes(path)))).toEqual(
      new Set([
        { path: host.image, writable: false },
        { path: spec.seedDisk, writable: false },
        { path: spec.rootDisk, writable: true },
        { path: spec.dataDisks![0]!.path, writable: true },
        { path: `/run/libvirt/qemu/cf-${spec.uid}.pid`, writable: true },
      ]),
    );
    // Its socket's path is all that the kernel tells of a unix socket.
    const inodes = new Set(files.flatMap(({ path }) => /^socket:\[(\d+)\]$/.exec(path)?.[1] ?? []));
    const sockets = procFile(pid, 'net/unix')
      .split('\n')
      .flatMap((line) => {
        const [, , , , , , inode = '', path] = line.split(/\s+/);
        return inodes.has(inode) && path !== undefined ? [path] : [];
      });
    expect(sockets.length).toBeGreaterThan(0);
    // libvirt cuts the name of a domain in its own paths.
    const own = (path: string) =>
      path === spec.consoleSocket || path === spec.vncSocket || path.includes(`cf-${spec.uid}`.slice(0, 20));
    expect(sockets.filter((path) => !own(path))).toEqual([]);
  });

  test('knows nothing of another machine, and has no secret in its command line or environment', () => {
    const said = [procFile(guest!.pid, 'cmdline'), procFile(guest!.pid, 'environ')].join('\0');
    expect(said).toContain(guest!.spec.uid);
    for (const foreign of [other!.spec.uid, dirname(other!.spec.rootDisk), other!.spec.nics[0]!.mac, 'SECRET'])
      expect(said).not.toContain(foreign);
    const names = procFile(guest!.pid, 'environ')
      .split('\0')
      .map((each) => each.split('=')[0]);
    expect(names.filter((name) => !/^(|LC_ALL|PATH|HOME|USER|LOGNAME|SHELL|XDG_\w+)$/.test(name!))).toEqual([]);
  });

  test('owns its disks and nothing else: the image, which all share, stays the host’s', () => {
    const [user] = statusOf(guest!, 'Uid');
    for (const { spec } of [guest!, other!]) {
      for (const path of [spec.rootDisk, spec.dataDisks![0]!.path]) {
        const { uid, mode } = statSync(path);
        expect([String(uid), mode & 0o077]).toEqual([user, 0]);
      }
    }
    expect(statSync(host.image).uid).toBe(0);
    expect(statSync(dirname(guest!.spec.rootDisk)).uid).toBe(0);
  });

  test('takes no more of the host than its task was given', ({ skip }) => {
    if (!host.cgroups) skip('this computer has no control groups (version 1) to give to a pretended host');
    const { spec, pid } = guest!;
    const group = (controller: string) => {
      const path = new RegExp(`:${controller}:(.*)`).exec(procFile(pid, 'cgroup'))![1]!;
      return (file: string) => readFileSync(`/sys/fs/cgroup/${controller}${path}/${file}`, 'utf8').trim();
    };
    const memory = group('memory');
    const [limit, used] = [memory('memory.limit_in_bytes'), memory('memory.max_usage_in_bytes')].map(Number);
    const given = memoryLimitMiB(spec, false) * 2 ** 20;
    if (limited.memory) expect(limit).toBe(given);
    // Set or not, it has booted with less.
    expect(used).toBeLessThan(given);
    expect(limited.processors).toBe(true);
    // The process itself is in the group of what is no virtual processor; its parent is the machine's.
    const cpu = group('cpu');
    expect(cpu('cpu.cfs_quota_us')).toBe('100000');
    expect(cpu('../cpu.shares')).toBe('100');
    expect(cpu('../cpu.cfs_quota_us')).toBe('200000');
    if (limited.weights) expect(group('blkio')('blkio.bfq.weight')).toBe('300');
  });
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { isOurs, readUse } from './control-groups.ts';
import { needBetween } from './host.ts';
import { linuxHost, parseMeminfo, parseStat } from './linux.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cf-monitor-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const uid = '0a1b2c3d-0000-4000-8000-0123456789ab';

function group(path: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(join(directory, path), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, path, name), text);
}

test('version 1: groups of our machines, wherever libvirt has put them, and nobody else’s', () => {
  const mounts = ['cpu,cpuacct', 'memory'].map(
    (name, index) => `3${index} 31 0:29 / ${join(directory, name)} rw shared:9 - cgroup cgroup rw,${name}\n`,
  );
  group(`cpu,cpuacct/machine/qemu-3-cf-${uid}.libvirt-qemu`, { 'cpuacct.usage': '2500000000\n' });
  group('cpu,cpuacct/machine/qemu-4-database.libvirt-qemu', { 'cpuacct.usage': '9000000000\n' });
  group(`memory/machine/qemu-3-cf-${uid}.libvirt-qemu`, {
    'memory.stat': 'cache 7\ntotal_rss 1048576\ntotal_shmem 4096\n',
  });
  expect(readUse(mounts.join(''))).toEqual({
    busyMs: new Map([[join(directory, `cpu,cpuacct/machine/qemu-3-cf-${uid}.libvirt-qemu`), 2500]]),
    memoryBytes: 1_052_672,
  });
});

test('version 2, under systemd', () => {
  const name = `machine-qemu\\x2d12\\x2dcf\\x2d${uid.replaceAll('-', '\\x2d')}.scope`;
  group(`machine.slice/${name}`, {
    'cpu.stat': 'usage_usec 3000000\nuser_usec 1\n',
    'memory.stat': 'anon 2097152\nfile 9\nshmem 1024\n',
  });
  const use = readUse(`35 24 0:30 / ${directory} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n`);
  expect([...use.busyMs.values()]).toEqual([3000]);
  expect(use.memoryBytes).toBe(2_098_176);
});

test.each([
  [`qemu-1-cf-${uid}.libvirt-qemu`, true],
  ['qemu-1-cf-website.libvirt-qemu', false],
  ['qemu-1-database.libvirt-qemu', false],
  ['system.slice', false],
])('%s is ours: %s', (name, expected) => {
  expect(isOurs(name)).toBe(expected);
});

test('what a kernel never writes is refused', () => {
  expect(() => parseStat('cpu0 1 2 3\n')).toThrow('no line of processor times');
  expect(() => parseMeminfo('MemTotal: 1024 kB\n')).toThrow('no MemAvailable');
  const stat = 'cpu  10 1 2 100 50 3 4 5 6 0\ncpu0 5 0 1 50 25 1 2 2 3 0\ncpu1 5 1 1 50 25 2 2 3 3 0\n';
  expect(parseStat(stat)).toEqual({ processors: 2, busyMs: 250 });
});

test('this computer: a program that is busy for a second is a need of its processors', async () => {
  mkdirSync(join(directory, 'vms', 'a'), { recursive: true });
  writeFileSync(join(directory, 'vms', 'a', 'disk'), Buffer.alloc(3 * 2 ** 20, 1));
  const read = linuxHost({ clock: systemClock, root: directory });
  const before = await read();
  const from = process.cpuUsage();
  while (systemClock.monotonic() < before.atMs + 1_000);
  const { user } = process.cpuUsage(from);
  const now = await read();
  expect(now.capacity.cpus).toBe(cpus().length * 1000);
  expect(Math.abs(now.capacity.mem - totalmem() / 2 ** 20)).toBeLessThan(2);
  expect(now.used.mem).toBeGreaterThan(50);
  expect(now.used.mem).toBeLessThan(now.capacity.mem);
  expect(now.own.disk).toBe(3);
  const need = needBetween(before, now);
  // As much as we got of it; a tick less for each processor is lost to rounding.
  expect(need.cpus).toBeGreaterThan(((user / 1000 - 50) / (now.atMs - before.atMs)) * 1000);
  expect(need.cpus).toBeLessThanOrEqual(now.capacity.cpus);
}, 120_000);

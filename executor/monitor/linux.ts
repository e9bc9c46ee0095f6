/** Reads a Linux host: /proc, the file system of machines' disks, and the control groups of machines. */
import { readFileSync } from 'node:fs';
import { lstat, opendir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#lib/std/clock.ts';
import { readUse } from './control-groups.ts';
import type { Counters, ReadHost } from './host.ts';

const mebibyte = 2 ** 20;
/** Of /proc/stat: USER_HZ is 100 wherever Linux runs machines. */
const tickMs = 10;

export interface LinuxOptions {
  readonly clock: Clock;
  /** The executor's `root`: its file system is the one that is shared, and `vms` in it is what machines take of it. */
  readonly root: string;
  /** /proc unless told. */
  readonly proc?: string;
}

export function linuxHost({ clock, root, proc = '/proc' }: LinuxOptions): ReadHost {
  const read = (name: string) => readFileSync(join(proc, name), 'utf8');
  return async () => {
    const { processors, busyMs } = parseStat(read('stat'));
    const memory = parseMeminfo(read('meminfo'));
    const own = readUse(read('self/mountinfo'));
    const disk = await statfs(root);
    const blocksMiB = (blocks: number) => Math.floor((blocks * disk.bsize) / mebibyte);
    return {
      atMs: clock.monotonic(),
      capacity: { cpus: processors * 1000, mem: memory.totalMiB, disk: blocksMiB(disk.blocks) },
      busyMs,
      ownBusyMs: own.busyMs,
      // What root alone may use counts as used: machines do not run as root.
      used: { mem: memory.totalMiB - memory.availableMiB, disk: blocksMiB(disk.blocks - disk.bavail) },
      own: {
        mem: Math.floor(own.memoryBytes / mebibyte),
        disk: Math.floor((await allocatedBytes(join(root, 'vms'))) / mebibyte),
      },
    } satisfies Counters;
  };
}

/** Throws Error where it is not what a kernel writes. */
export function parseStat(text: string): { readonly processors: number; readonly busyMs: number } {
  const [, line] = /^cpu +([\d ]+)$/m.exec(text) ?? [];
  const processors = text.match(/^cpu\d+ /gm)?.length ?? 0;
  if (line === undefined || processors === 0) throw new Error('/proc/stat has no line of processor times');
  // What guests of KVM use is in `user` already. Stolen time is as little ours as that of others.
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(' ').map(Number);
  return { processors, busyMs: (user + nice + system + irq + softirq + steal) * tickMs };
}

/** Throws Error where it is not what a kernel writes. */
export function parseMeminfo(text: string): { readonly totalMiB: number; readonly availableMiB: number } {
  const mib = (name: string) => {
    const [, kib] = new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text) ?? [];
    if (kib === undefined) throw new Error(`/proc/meminfo has no ${name}`);
    return Math.floor(Number(kib) / 1024);
  };
  return { totalMiB: mib('MemTotal'), availableMiB: mib('MemAvailable') };
}

/** What files take, not how long they are: overlays have holes. Links are not followed. */
async function allocatedBytes(folder: string): Promise<number> {
  let sum = 0;
  try {
    for await (const entry of await opendir(folder)) {
      const path = join(folder, entry.name);
      sum += entry.isDirectory() ? await allocatedBytes(path) : (await lstat(path)).blocks * 512;
    }
  } catch (error) {
    // Gone meanwhile, or no machine was here yet.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return sum;
}

/** The control groups that libvirt has put our machines into, version 1 or 2, and what they have used. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Use {
  /** Milliseconds of processor time, by group. */
  readonly busyMs: ReadonlyMap<string, number>;
  /** What cannot be dropped: page cache is left out, as it is out of what the host counts as used. */
  readonly memoryBytes: number;
}

/** Below a mount point: libvirt's own folder, one of systemd, or in a pretended host one more. */
const depthMax = 4;

interface Mount {
  readonly point: string;
  readonly version: 1 | 2;
}

/** Where a controller is mounted; version 1 where both are. Undefined: nowhere. */
export function mountOf(controller: string, mountinfo: string): Mount | undefined {
  // Mount point; then, after the dash, type, source and options.
  const mounts = mountinfo.split('\n').map((line) => /^\S+ \S+ \S+ \S+ (\S+) .*- (\S+) \S+ (\S+)$/.exec(line));
  const first = mounts.find((mount) => mount?.[2] === 'cgroup' && mount[3]!.split(',').includes(controller));
  if (first) return { point: first[1]!, version: 1 };
  const second = mounts.find((mount) => mount?.[2] === 'cgroup2');
  return second ? { point: second[1]!, version: 2 } : undefined;
}

/** A group of a machine of ours: its name has that of the domain, `cf-` and a uid, with or without systemd's escapes. */
export function isOurs(group: string): boolean {
  const name = group.replaceAll('\\x2d', '-');
  return /qemu-\d+-cf-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\D|$)/.test(name);
}

export function readUse(mountinfo: string): Use {
  const cpu = mountOf('cpuacct', mountinfo);
  const memory = mountOf('memory', mountinfo);
  return {
    busyMs: new Map(groupsUnder(cpu).flatMap((group) => found(group, () => busyMs(group, cpu!.version)))),
    memoryBytes: groupsUnder(memory)
      .flatMap((group) => found(group, () => memoryBytes(group, memory!.version)))
      .reduce((sum, [, bytes]) => sum + bytes, 0),
  };
}

function groupsUnder(mount: Mount | undefined): readonly string[] {
  return mount ? under(mount.point, depthMax) : [];
}

function under(folder: string, depth: number): readonly string[] {
  const [entries = []] = found(folder, () => readdirSync(folder, { withFileTypes: true })).map(([, list]) => list);
  return entries
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      const path = join(folder, name);
      if (isOurs(name)) return [path];
      return depth > 1 ? under(path, depth - 1) : [];
    });
}

/** Nothing for a group that has gone meanwhile. */
function found<T>(group: string, read: () => T): readonly (readonly [string, T])[] {
  try {
    return [[group, read()]];
  } catch (error) {
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

function busyMs(group: string, version: 1 | 2): number {
  if (version === 1) return Number(readFileSync(join(group, 'cpuacct.usage'), 'utf8')) / 1e6;
  return field(join(group, 'cpu.stat'), 'usage_usec') / 1000;
}

function memoryBytes(group: string, version: 1 | 2): number {
  const file = join(group, 'memory.stat');
  const names = version === 1 ? ['total_rss', 'total_shmem'] : ['anon', 'shmem'];
  return names.reduce((sum, name) => sum + field(file, name), 0);
}

/** Of lines `name value`; 0 where an older kernel does not have it. */
function field(file: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(readFileSync(file, 'utf8'))?.[1] ?? 0);
}

/**
 * What a guest's QEMU may take of its host, by control groups: as much as its task was given and no more, whatever the guest does to it.
 * Virtual processors are threads, so that there is no need to limit those; QEMU's others are limited, all together too, and guests share what is
 * scarce by size, or by the weight that they were given. What a guest asks of one disk is limited by QEMU itself, wherever it runs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DiskLimits } from '#lib/api/launch.ts';
import type { DomainSpec } from '../hypervisor.ts';
import type { Element } from './xml.ts';

/** QEMU's own default, a gigabyte per guest without KVM, would be several times the guest. */
export const translationCacheMiB = 32;
/** What the scheduler counts for QEMU beside the guest's memory (controllers/scheduler/overhead.ts). */
const overhead = { fixedMiB: 64, percent: 2 } as const;
/** Of shares of the processor: version 2 of control groups knows no more. */
const sharesMax = 10_000;
const periodUs = 100_000;

export function memoryLimitMiB({ memoryMiB }: Pick<DomainSpec, 'memoryMiB'>, kvm: boolean): number {
  const counted = Math.ceil((memoryMiB * (100 + overhead.percent)) / 100) + overhead.fixedMiB;
  return kvm ? counted : counted + translationCacheMiB;
}

/** What libvirt can limit on this host. It refuses to start a domain that asks for more. */
export interface Limits {
  readonly processors: boolean;
  readonly memory: boolean;
  /** Of guests' requests to the host's disks. */
  readonly weights: boolean;
}

export function limitElements(spec: DomainSpec, kvm: boolean, limits: Limits): Readonly<Record<string, Element>> {
  const memtune = { hard_limit: { '@unit': 'MiB', '#text': String(memoryLimitMiB(spec, kvm)) } };
  const cputune = {
    shares: String(Math.min(sharesMax, 100 * spec.cores)),
    // With what runs beside QEMU for it, servers of shared directories say.
    global_period: String(periodUs),
    global_quota: String((spec.cores + 1) * periodUs),
    // Everything of QEMU that is no virtual processor, together: one core.
    emulator_period: String(periodUs),
    emulator_quota: String(periodUs),
  };
  const weight = limits.weights ? spec.ioWeight : undefined;
  return {
    ...(limits.memory ? { memtune } : {}),
    ...(limits.processors ? { cputune } : {}),
    ...(weight === undefined ? {} : { blkiotune: { weight: String(weight) } }),
  };
}

/** Of one disk, for QEMU to hold the guest back by. */
export function diskLimitElements(limits: DiskLimits | undefined): Readonly<Record<string, Element>> {
  const { bytesPerSecond: bytes, requestsPerSecond: requests } = limits ?? {};
  if (bytes === undefined && requests === undefined) return {};
  return {
    iotune: {
      ...(bytes === undefined ? {} : { total_bytes_sec: String(bytes) }),
      ...(requests === undefined ? {} : { total_iops_sec: String(requests) }),
    },
  };
}

/** Looks into the file system of control groups. */
export interface GroupFiles {
  read(file: string): string;
  /** Names in a directory; none of what is not one. */
  names(directory: string): readonly string[];
}

const realFiles: GroupFiles = {
  read: (file) => readFileSync(file, 'utf8'),
  names(directory) {
    try {
      return readdirSync(directory);
    } catch (error) {
      if (['ENOTDIR', 'ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
      throw error;
    }
  },
};

/** What `mountinfo` and `status` in /proc tell of a program that sees what libvirtd sees; with a sentence for each limit that is not there. */
export function readLimits(
  mountinfo: string,
  status: string,
  files: GroupFiles = realFiles,
): { readonly limits: Limits; readonly why: readonly string[] } {
  const hierarchies = hierarchiesIn(mountinfo, files);
  const found = new Set(hierarchies.flatMap(({ controllers }) => controllers));
  const why: string[] = [];
  if (!found.has('cpu'))
    why.push("The host has no control groups for processors: guests' shares of them are not enforced");
  if (!found.has('memory'))
    why.push("The host has no control groups for memory: what a guest's QEMU takes is not limited");
  // libvirt lets QEMU lock as much memory as it may have, which is more than a process may grant without this right.
  else if (!isCapable(status, sysResource))
    why.push(
      "libvirt cannot limit memory without the capability CAP_SYS_RESOURCE: what a guest's QEMU takes is not limited",
    );
  return {
    limits: {
      processors: found.has('cpu'),
      memory: found.has('memory') && isCapable(status, sysResource),
      weights: hierarchies.some((hierarchy) => weighs(hierarchy, files)),
    },
    why,
  };
}

/**
 * Not every kernel that counts requests to disks weighs them, and libvirt starts no domain whose weight it cannot write. The group at the top
 * has no weight, so that it is looked for in those below, and what else BFQ brings along with it counts as well.
 */
function weighs({ point, controllers }: Hierarchy, { names }: GroupFiles): boolean {
  if (!controllers.includes('blkio') && !controllers.includes('io')) return false;
  const here = names(point);
  const signs = ['blkio.weight', 'blkio.bfq.weight', 'io.weight', 'io.bfq.weight'];
  const isSaid = (found: readonly string[]) => found.some((name) => signs.includes(name));
  return (
    here.includes('blkio.bfq.io_serviced') || isSaid(here) || here.some((name) => isSaid(names(join(point, name))))
  );
}

const sysResource = 24n;

function isCapable(status: string, capability: bigint): boolean {
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
  return ((BigInt(`0x${effective}`) >> capability) & 1n) === 1n;
}

interface Hierarchy {
  readonly point: string;
  readonly controllers: readonly string[];
}

function hierarchiesIn(mountinfo: string, { read }: GroupFiles): readonly Hierarchy[] {
  // Mount point; then, after the dash, type, source and options.
  const mounts = mountinfo.split('\n').map((line) => /^\S+ \S+ \S+ \S+ (\S+) .*- (\S+) \S+ (\S+)$/.exec(line));
  return mounts
    .filter((mount) => mount !== null)
    .flatMap(([, point = '', type, options]) => {
      if (type === 'cgroup') return [{ point, controllers: options!.split(',') }];
      return type === 'cgroup2' ? [{ point, controllers: read(`${point}/cgroup.controllers`).trim().split(' ') }] : [];
    });
}

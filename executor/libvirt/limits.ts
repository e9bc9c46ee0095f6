/**
 * What a guest's QEMU may take of its host, by control groups: as much as its task was given and no more, whatever the guest does to it.
 * Virtual processors are threads, so that there is no need to limit those; QEMU's others are limited, and guests share what is scarce by size.
 */
import { readFileSync } from 'node:fs';
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
}

export function limitElements(spec: DomainSpec, kvm: boolean, limits: Limits): Readonly<Record<string, Element>> {
  const memtune = { hard_limit: { '@unit': 'MiB', '#text': String(memoryLimitMiB(spec, kvm)) } };
  const cputune = {
    shares: String(Math.min(sharesMax, 100 * spec.cores)),
    // Everything of QEMU that is no virtual processor, together: one core.
    emulator_period: String(periodUs),
    emulator_quota: String(periodUs),
  };
  return { ...(limits.memory ? { memtune } : {}), ...(limits.processors ? { cputune } : {}) };
}

/** What `mountinfo` and `status` in /proc tell of a program that sees what libvirtd sees; with a sentence for each limit that is not there. */
export function readLimits(
  mountinfo: string,
  status: string,
  read = (file: string) => readFileSync(file, 'utf8'),
): { readonly limits: Limits; readonly why: readonly string[] } {
  const found = controllersIn(mountinfo, read);
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
    limits: { processors: found.has('cpu'), memory: found.has('memory') && isCapable(status, sysResource) },
    why,
  };
}

const sysResource = 24n;

function isCapable(status: string, capability: bigint): boolean {
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
  return ((BigInt(`0x${effective}`) >> capability) & 1n) === 1n;
}

function controllersIn(mountinfo: string, read: (file: string) => string): ReadonlySet<string> {
  // Mount point; then, after the dash, type, source and options.
  const mounts = mountinfo.split('\n').map((line) => /^\S+ \S+ \S+ \S+ (\S+) .*- (\S+) \S+ (\S+)$/.exec(line));
  return new Set(
    mounts
      .filter((mount) => mount !== null)
      .flatMap(([, point, type, options]) => {
        if (type === 'cgroup') return options!.split(',');
        return type === 'cgroup2' ? read(`${point}/cgroup.controllers`).trim().split(' ') : [];
      }),
  );
}

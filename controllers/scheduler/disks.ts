/** What of the disks in a machine's spec its host is told, beside the size of the root disk. Pure. */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { DiskLimits, MachineLaunch } from '#lib/api/launch.ts';
import { parseBytes } from '#lib/api/quantity.ts';

type Wish = NonNullable<VirtualMachine['spec']['disks']>[number];

/** Empty if there is nothing that an executor before 0.7 would not know. */
export function launchDisks({
  disks = [],
  ioWeight,
}: Pick<VirtualMachine['spec'], 'disks' | 'ioWeight'>): Pick<MachineLaunch, 'rootDiskLimits' | 'disks' | 'ioWeight'> {
  const data = disks.filter(({ name }) => name !== 'root');
  const rootDiskLimits = limitsOf(disks.find(({ name }) => name === 'root'));
  return {
    ...(rootDiskLimits && { rootDiskLimits }),
    ...(data.length > 0 && { disks: data.map(machineDisk) }),
    ...(ioWeight !== undefined && { ioWeight }),
  };
}

/** The schema lets no data disk be without a size. */
function machineDisk(wish: Wish): NonNullable<MachineLaunch['disks']>[number] {
  const { name, size = '' } = wish;
  const limits = limitsOf(wish);
  return { name, bytes: parseBytes(size), ...(limits && { limits }) };
}

function limitsOf(wish: Wish | undefined): DiskLimits | undefined {
  const { throughput, iops } = wish?.limits ?? {};
  if (throughput === undefined && iops === undefined) return undefined;
  return {
    ...(throughput !== undefined && { bytesPerSecond: parseBytes(throughput) }),
    ...(iops !== undefined && { requestsPerSecond: iops }),
  };
}

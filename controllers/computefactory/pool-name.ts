import { createHash } from 'node:crypto';
import type { ComputeFactory, VMPool } from '#lib/api/generated/index.ts';
import { formatMiB } from '#lib/api/quantity.ts';
import { type Size, sameSize } from './sizes.ts';

/** What users call a size: the InstanceType's name, or 48c. */
export const shapeName = ({ cores, instanceType }: Size) => instanceType ?? `${cores}c`;

/** Ordinals are put behind it, and the whole should be a label value and a host name: both end at 63. */
const lengthMax = 56;

export const fitted = (name: string, max = lengthMax) =>
  name.length <= max
    ? name
    : `${name.slice(0, max - 6)}-${createHash('sha256').update(name).digest('hex').slice(0, 5)}`;

/**
 * The name of a pool: factory, cluster and shape. A shape with as many cores and other memory has the memory behind it as well, unless
 * it was there first. `taken` says what a name is in use for.
 */
export function poolName(
  factory: ComputeFactory,
  cluster: string,
  size: Size,
  taken: (name: string) => { cluster: string; size: Size } | undefined,
): string {
  const short = fitted(`${factory.metadata.name}-${cluster}-${shapeName(size)}`);
  const owner = taken(short);
  if (!owner || (owner.cluster === cluster && sameSize(owner.size, size))) return short;
  return fitted(`${factory.metadata.name}-${cluster}-${shapeName(size)}-${formatMiB(size.memoryMiB).toLowerCase()}`);
}

/** Label value of a name: what does not fit is cut and made unique. */
export const labelValue = (name: string) => fitted(name, 63);

export const poolCluster = (pool: VMPool) => pool.spec.cluster ?? '';

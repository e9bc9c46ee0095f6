/** What of the disks of a machine is a number that a schema cannot compare. */
import { invalid } from '#apiserver/schema/causes.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { parseBytes } from '#lib/api/quantity.ts';
import type { Cause } from '#lib/std/errors.ts';

/** Up to what one file of ext4 can hold. */
const sizes = { least: 2 ** 20, most: 2 ** 44, words: 'must be from 1Mi to 16Ti' };
/** With less a guest would take its disk for broken; what is beyond QEMU does not count. */
const throughputs = { least: 2 ** 20, most: 2 ** 40, words: 'must be from 1Mi to 1Ti, in bytes a second' };

/** `field` is that of the spec. */
export function checkDisks({ disks = [] }: Pick<VirtualMachine['spec'], 'disks'>, field: string): Cause[] {
  return disks.flatMap(({ name, size, limits }, index) => {
    const at = `${field}.disks[${index}]`;
    return [
      ...(name === 'root' ? [] : checkRange(size, `${at}.size`, sizes)),
      ...checkRange(limits?.throughput, `${at}.limits.throughput`, throughputs),
    ];
  });
}

function checkRange(value: string | undefined, field: string, { least, most, words }: typeof sizes): Cause[] {
  if (value === undefined) return [];
  const bytes = parseBytes(value);
  return bytes >= least && bytes <= most ? [] : [invalid(field, value, words)];
}

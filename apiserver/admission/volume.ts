/** Rules of Volume. */
import { invalid } from '#apiserver/schema/causes.ts';
import type { Volume } from '#lib/api/generated/volume.ts';
import { parseBytes } from '#lib/api/quantity.ts';
import type { Cause } from '#lib/std/errors.ts';
import { unchanged } from './immutable.ts';
import type { Rules } from './rules.ts';

const bytesMin = 2 ** 20;
/** That of one brick's file; and what a number of JavaScript holds. */
const bytesMax = 2 ** 50;

const kept = ['cluster', 'type', 'accessMode', 'backend', 'guestAccess'].map((name) => `spec.${name}`);

export const volumeRules: Rules = {
  check(object, old) {
    const { size } = (object as unknown as Volume).spec;
    const bytes = parseBytes(size);
    return [
      ...(bytes < bytesMin || bytes > bytesMax ? [invalid('spec.size', size, 'must be from 1Mi to 1024Ti')] : []),
      ...unchanged(object, old, kept, instead),
      ...(old ? resized(object as unknown as Volume, old as unknown as Volume) : []),
    ];
  },
};

const instead = 'create a new Volume, and copy over what is in this one';

/** What is in it may be more than a smaller one holds. */
function resized({ spec: { size } }: Volume, { spec: was }: Volume): readonly Cause[] {
  if (parseBytes(size) < parseBytes(was.size))
    return [invalid('spec.size', size, `may only grow (it is ${was.size}): ${instead}`)];
  return [];
}

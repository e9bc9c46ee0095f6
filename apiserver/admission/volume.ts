/** Rules of Volume. */
import { invalid } from '#apiserver/schema/causes.ts';
import type { Volume } from '#lib/api/generated/volume.ts';
import { parseBytes } from '#lib/api/quantity.ts';
import { unchanged } from './immutable.ts';
import type { Rules } from './rules.ts';

const bytesMin = 2 ** 20;
/** That of one brick's file; and what a number of JavaScript holds. */
const bytesMax = 2 ** 50;

/** Growing is not built, so that nothing here says that it is. */
const kept = ['cluster', 'type', 'size', 'accessMode', 'backend', 'guestAccess'].map((name) => `spec.${name}`);

export const volumeRules: Rules = {
  check(object, old) {
    const { size } = (object as unknown as Volume).spec;
    const bytes = parseBytes(size);
    return [
      ...(bytes < bytesMin || bytes > bytesMax ? [invalid('spec.size', size, 'must be from 1Mi to 1024Ti')] : []),
      ...unchanged(object, old, kept, 'create a new Volume, and copy over what is in this one'),
    ];
  },
};

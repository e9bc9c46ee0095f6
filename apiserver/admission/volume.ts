/** Rules of Volume. */
import { invalid } from '#apiserver/schema/causes.ts';
import type { Volume } from '#lib/api/generated/volume.ts';
import { publicNamespace } from '#lib/api/names.ts';
import { parseBytes } from '#lib/api/quantity.ts';
import type { Cause } from '#lib/std/errors.ts';
import { unchanged } from './immutable.ts';
import type { Rules } from './rules.ts';
import { exactlyOne } from './size.ts';

const bytesMin = 2 ** 20;
/** That of one brick's file; and what a number of JavaScript holds. */
const bytesMax = 2 ** 50;

const kept = ['cluster', 'type', 'sources', 'backend', 'guestAccess'].map((name) => `spec.${name}`);

export const volumeRules: Rules = {
  check(object, old) {
    const volume = object as unknown as Volume;
    const was = old as unknown as Volume | undefined;
    const { size } = volume.spec;
    const bytes = parseBytes(size);
    return [
      ...(bytes < bytesMin || bytes > bytesMax ? [invalid('spec.size', size, 'must be from 1Mi to 1024Ti')] : []),
      ...checkSources(volume),
      ...unchanged(object, old, kept, instead),
      ...(was ? [...resized(volume, was), ...changedAccess(volume, was)] : emptyForReaders(volume)),
    ];
  },
};

const sources = ['image', 'snapshot', 'volume'] as const;

function checkSources({ metadata, spec }: Volume): readonly Cause[] {
  if (!spec.sources) return [];
  const { image, volume } = spec.sources;
  const { namespace } = metadata;
  const set = sources.filter((name) => spec.sources?.[name] !== undefined);
  const allowed = `only the images of this namespace and of ${publicNamespace} can be used`;
  return [
    ...exactlyOne('spec.sources', sources, set),
    ...(image?.namespace === undefined || [namespace, publicNamespace].includes(image.namespace)
      ? []
      : [invalid('spec.sources.image.namespace', image.namespace, allowed)]),
    ...(volume?.name === metadata.name
      ? [invalid('spec.sources.volume.name', volume.name, 'is this Volume itself: name another Disk')]
      : []),
  ];
}

const instead = 'create a new Volume, and copy over what is in this one';

/** What is in it may be more than a smaller one holds. */
function resized({ spec }: Volume, { spec: was }: Volume): readonly Cause[] {
  const { size } = spec;
  if (parseBytes(size) < parseBytes(was.size))
    return [invalid('spec.size', size, `may only grow (it is ${was.size}): ${instead}`)];
  if (spec.type === 'Disk' && spec.accessMode === 'ROX' && parseBytes(size) > parseBytes(was.size))
    return [invalid('spec.size', size, 'a Disk that is ROX stays as large as it is: machines have it open')];
  return [];
}

const accessOf = ({ type, accessMode }: Volume['spec']) => accessMode ?? (type === 'Disk' ? 'RWO' : 'RWX');

/** Whoever has it as ROX counts on it that it stays as it is. */
function changedAccess({ spec }: Volume, { spec: was }: Volume): readonly Cause[] {
  const [now, before] = [accessOf(spec), accessOf(was)];
  if (spec.type !== was.type || now === before || now === 'ROX') return [];
  return [invalid('spec.accessMode', now, `what is ${before} stays that, for machines read it: ${instead}`)];
}

/** A disk without anything on it, which nobody can write to, is of no use to anybody. */
function emptyForReaders({ spec }: Volume): readonly Cause[] {
  if (spec.type !== 'Disk' || spec.accessMode !== 'ROX' || spec.sources) return [];
  const why =
    'a Disk without sources is made empty: give it sources, or make it RWO, have a machine write to it, and set accessMode to ROX when that machine is gone';
  return [invalid('spec.accessMode', 'ROX', why)];
}

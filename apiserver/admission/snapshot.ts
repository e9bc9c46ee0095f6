/** Rules of VMSnapshot and VMRestore. */
import { invalid } from '#apiserver/schema/causes.ts';
import type { VMRestore, VMSnapshot } from '#lib/api/generated/index.ts';
import { unchanged } from './immutable.ts';
import type { Rules } from './rules.ts';
import { exactlyOne } from './size.ts';

export const vmSnapshotRules: Rules = {
  check(object, old) {
    const { includeMemory } = (object as unknown as VMSnapshot).spec;
    return [
      ...(includeMemory ? [invalid('spec.includeMemory', true, 'memory cannot be kept: only false is possible')] : []),
      ...unchanged(object, old, ['spec.vm', 'spec.consistency', 'spec.deadline'], 'create a new VMSnapshot'),
    ];
  },
};

export const vmRestoreRules: Rules = {
  check(object, old) {
    const { target, identity, networks } = (object as unknown as VMRestore).spec;
    const set = (['vm', 'newVM'] as const).filter((name) => target[name] !== undefined);
    const [wanted, why] =
      target.newVM === undefined
        ? (['Keep', 'a machine keeps what it is when its disk is put back'] as const)
        : (['New', 'no two machines can have the same'] as const);
    const wrong = Object.entries({ identity, networks }).filter(([, value]) => value !== undefined && value !== wanted);
    return [
      ...exactlyOne('spec.target', ['vm', 'newVM'], set),
      ...wrong.map(([name, value]) => invalid(`spec.${name}`, value, `must be ${wanted}: ${why}`)),
      ...unchanged(object, old, ['spec'], 'create a new VMRestore'),
    ];
  },
};

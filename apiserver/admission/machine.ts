/** Rules of VirtualMachine, VMPool, VMOperation and InstanceType. */
import { invalid, tooLong } from '#apiserver/schema/causes.ts';
import type { InstanceType } from '#lib/api/generated/instancetype.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { VMOperation } from '#lib/api/generated/vmoperation.ts';
import type { VMPool } from '#lib/api/generated/vmpool.ts';
import { parseIPv4 } from '#lib/api/ipv4.ts';
import type { Cause } from '#lib/std/errors.ts';
import { admitAddresses } from './addresses.ts';
import { checkDisconnect } from './disconnect.ts';
import { checkDisks } from './disks.ts';
import { unchanged } from './immutable.ts';
import { checkPlacement } from './placement.ts';
import { checkImage, warnOfReferences } from './references.ts';
import type { Rules } from './rules.ts';
import { checkMemory, exactlyOne } from './size.ts';

/** What the spec of a machine and the template of a pool have in common. */
interface Sized {
  readonly instanceType?: string;
  readonly resources?: { readonly memory: string };
}

function checkSize(spec: Sized, field: string): Cause[] {
  const set = (['instanceType', 'resources'] as const).filter((name) => spec[name] !== undefined);
  return [
    ...exactlyOne(field, ['instanceType', 'resources'], set),
    ...checkMemory(spec.resources?.memory, `${field}.resources.memory`),
  ];
}

function checkAddresses(machine: VirtualMachine): Cause[] {
  return (machine.spec.networks ?? []).flatMap(({ ip }, index) => {
    if (ip === undefined) return [];
    try {
      parseIPv4(ip);
      return [];
    } catch (error) {
      return [invalid(`spec.networks[${index}].ip`, ip, error instanceof RangeError ? error.message : String(error))];
    }
  });
}

const warnOfMachine = warnOfReferences(['spec']);

export const virtualMachineRules: Rules = {
  check(object) {
    const machine = object as unknown as VirtualMachine;
    return [
      ...checkSize(machine.spec, 'spec'),
      ...checkAddresses(machine),
      ...checkPlacement(machine.spec, 'spec'),
      ...checkDisconnect(machine.spec, 'spec'),
      ...checkDisks(machine.spec, 'spec'),
      ...checkImage(object, ['spec']),
    ];
  },
  async admit(object, old, request) {
    if (request.part !== 'main') return;
    await admitAddresses(object, old, request);
    await warnOfMachine(object, old, request);
  },
  refuseDelete(object) {
    const machine = object as unknown as VirtualMachine;
    if (!machine.spec.deleteProtection) return undefined;
    return 'it is protected by spec.deleteProtection; set that to false first';
  },
};

const template = ['spec', 'template', 'spec'];
/** Machines are named after the pool and their ordinal, which has up to six digits. */
const maxPoolName = 253 - '-999999'.length;

export const vmPoolRules: Rules = {
  check(object, old) {
    const pool = object as unknown as VMPool;
    return [
      ...(pool.metadata.name.length > maxPoolName ? [tooLong('metadata.name', maxPoolName)] : []),
      ...checkSize(pool.spec.template.spec, 'spec.template.spec'),
      ...checkPlacement(pool.spec.template.spec, 'spec.template.spec'),
      ...checkDisconnect(pool.spec.template.spec, 'spec.template.spec'),
      ...checkDisks(pool.spec.template.spec, 'spec.template.spec'),
      ...checkImage(object, template),
      ...unchanged(object, old, ['spec.cluster'], 'create a new pool for another cluster, then scale this one down'),
    ];
  },
  admit: warnOfReferences(template),
};

export const instanceTypeRules: Rules = {
  check(object, old) {
    const type = object as unknown as InstanceType;
    return [
      ...checkMemory(type.spec.memory, 'spec.memory'),
      ...unchanged(object, old, ['spec.cores', 'spec.memory'], 'create a new InstanceType and name that one'),
    ];
  },
};

export const vmOperationRules: Rules = {
  check(object, old) {
    const { type, target, force } = (object as unknown as VMOperation).spec;
    const isCopy = type === 'Snapshot' || type === 'Clone';
    return [
      ...(type === 'Clone' && target === undefined
        ? [invalid('spec.target', null, 'Clone needs the name of the new machine')]
        : []),
      ...(!isCopy && target !== undefined ? [invalid('spec.target', target, `${type} has no target`)] : []),
      ...((isCopy || type === 'Migrate') && force ? [invalid('spec.force', force, `${type} cannot be forced`)] : []),
      ...unchanged(object, old, ['spec'], 'create a new VMOperation'),
    ];
  },
};

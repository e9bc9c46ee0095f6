import { duplicate, forbidden, invalid } from '#apiserver/schema/causes.ts';
import type { ComputeFactory, ComputeFactorySpec } from '#lib/api/generated/computefactory.ts';
import type { Cause } from '#lib/std/errors.ts';
import { checkDisconnect } from './disconnect.ts';
import { checkDisks } from './disks.ts';
import { unchanged } from './immutable.ts';
import { checkPlacement } from './placement.ts';
import { checkImage, warnOfReferences } from './references.ts';
import type { Rules } from './rules.ts';
import { checkMemory, exactlyOne } from './size.ts';

type Shape = ComputeFactorySpec['shapes'][number];

function checkCapacity({ target, min, max }: ComputeFactorySpec['capacity']): Cause[] {
  const field = 'spec.capacity';
  if (max !== undefined && min > max)
    return [invalid(`${field}.min`, min, `must not be above ${field}.max, which is ${max}`)];
  // /scale writes the same field: the sentence has to name the limit, as its user has not seen the object.
  if (target < min)
    return [invalid(`${field}.target`, target, `must not be below ${field}.min, which is ${min}; lower that first`)];
  if (max !== undefined && target > max)
    return [invalid(`${field}.target`, target, `must not be above ${field}.max, which is ${max}; raise that first`)];
  return [];
}

function checkShape(shape: Shape, field: string): Cause[] {
  const sized = shape.cores !== undefined || shape.memory !== undefined;
  const set = [
    ...(shape.instanceType === undefined ? [] : ['instanceType']),
    ...(sized ? ['cores with memory'] : []),
    ...(shape.flexible === undefined ? [] : ['flexible']),
  ];
  const both = sized && (shape.cores === undefined || shape.memory === undefined);
  return [
    ...exactlyOne(field, ['instanceType', 'cores with memory', 'flexible'], set),
    ...(both ? [invalid(field, null, 'cores and memory go together: give both')] : []),
    ...checkMemory(shape.memory, `${field}.memory`),
    ...checkFlexible(shape.flexible, `${field}.flexible`),
    ...checkShare(shape, field),
  ];
}

function checkFlexible(flexible: Shape['flexible'], field: string): Cause[] {
  if (!flexible) return [];
  const { minCores = 1, maxCores, memoryPerCore } = flexible;
  return [
    ...(minCores > maxCores
      ? [invalid(`${field}.minCores`, minCores, `must not be above ${field}.maxCores, which is ${maxCores}`)]
      : []),
    ...checkMemory(memoryPerCore, `${field}.memoryPerCore`),
  ];
}

function checkShare({ min, max }: Shape, field: string): Cause[] {
  if (min === undefined || max === undefined || min <= max) return [];
  return [invalid(`${field}.min`, min, `must not be above ${field}.max, which is ${max}`)];
}

/** Two shapes of one size would have to share their limits. */
function checkUnique(shapes: readonly Shape[]): Cause[] {
  const seen = new Set<string>();
  return shapes.flatMap((shape, index) => {
    const { instanceType, cores, memory, flexible } = shape;
    const size = JSON.stringify({ instanceType, cores, memory, flexible });
    const repeated = seen.has(size);
    seen.add(size);
    return repeated ? [duplicate(`spec.shapes[${index}]`, JSON.parse(size))] : [];
  });
}

function checkClusters({ placement }: ComputeFactorySpec): Cause[] {
  if (placement?.clusters === undefined || placement.clusterSelector === undefined) return [];
  return [forbidden('spec.placement', 'clusters and clusterSelector exclude each other: leave one out')];
}

const template = ['spec', 'template', 'spec'];

export const computeFactoryRules: Rules = {
  check(object, old) {
    const { spec } = object as unknown as ComputeFactory;
    return [
      ...checkCapacity(spec.capacity),
      ...spec.shapes.flatMap((shape, index) => checkShape(shape, `spec.shapes[${index}]`)),
      ...checkUnique(spec.shapes),
      ...checkClusters(spec),
      ...checkPlacement(spec.template.spec, 'spec.template.spec'),
      ...checkDisconnect(spec.template.spec, 'spec.template.spec'),
      ...checkDisks(spec.template.spec, 'spec.template.spec'),
      ...checkImage(object, template),
      ...unchanged(object, old, ['spec.capacity.unit'], 'create a new ComputeFactory that counts in the other unit'),
    ];
  },
  admit: warnOfReferences(template),
};

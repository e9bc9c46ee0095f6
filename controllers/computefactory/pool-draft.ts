/** The VMPool of one size on one cluster, as the factory wants it. Pure. */
import { type ComputeFactory, type InstanceType, VMPool } from '#lib/api/generated/index.ts';
import { apiVersionOf, type Draft, ownerReference } from '#lib/api/meta.ts';
import { labels } from '#lib/api/names.ts';
import { formatMiB, parseMiB } from '#lib/api/quantity.ts';
import type { PlannedPool } from './plan-state.ts';
import { labelValue, shapeName } from './pool-name.ts';
import type { Size } from './sizes.ts';

export interface WantedPool extends PlannedPool {
  /** Machines of all pools of the factory on this cluster. */
  readonly together: number;
  /** Of its lost machines so many may be replaced; all of them if undefined. */
  readonly replacements: number | undefined;
}

export function poolSpec(
  { metadata: { name }, spec: factory }: ComputeFactory,
  { cluster, size, replicas, together, replacements }: WantedPool,
): Draft<VMPool>['spec'] {
  const { metadata, spec } = factory.template;
  const shape = size.instanceType
    ? { instanceType: size.instanceType }
    : { resources: { cores: size.cores, memory: formatMiB(size.memoryMiB) } };
  const isGang = factory.fulfilment === 'AllOrNothing' && together > 0;
  return {
    replicas,
    cluster,
    ...(replacements !== undefined && { maxReplacements: replacements }),
    ...(isGang && { gang: { name, machines: together, timeout: factory.fulfilmentTimeout } }),
    template: { ...(metadata && { metadata }), spec: { ...spec, ...shape } },
  };
}

export function draftPool(factory: ComputeFactory, name: string, wanted: WantedPool): Draft<VMPool> {
  const { cluster, size } = wanted;
  return {
    apiVersion: apiVersionOf(VMPool),
    kind: VMPool.kind,
    metadata: {
      namespace: factory.metadata.namespace!,
      name,
      labels: {
        [labels.factory]: labelValue(factory.metadata.name),
        [labels.cluster]: labelValue(cluster),
        [labels.shape]: labelValue(shapeName(size)),
        ...(size.instanceType && { [labels.instanceType]: labelValue(size.instanceType) }),
      },
      ownerReferences: [ownerReference(factory)],
    },
    spec: poolSpec(factory, wanted),
  };
}

/** Size of a pool's machines; undefined if its InstanceType is gone. */
export function sizeOfPool({ spec }: VMPool, typeOf: (name: string) => InstanceType | undefined): Size | undefined {
  const { resources, instanceType } = spec.template.spec;
  if (instanceType) {
    const type = typeOf(instanceType);
    return type && { cores: type.spec.cores, memoryMiB: parseMiB(type.spec.memory), instanceType };
  }
  return resources && { cores: resources.cores, memoryMiB: parseMiB(resources.memory) };
}

/** The VMPool of one size on one cluster, as the factory wants it. Pure. */
import { type ComputeFactory, type InstanceType, VMPool } from '#lib/api/generated/index.ts';
import { apiVersionOf, type Draft, ownerReference } from '#lib/api/meta.ts';
import { labels } from '#lib/api/names.ts';
import { formatMiB, parseMiB } from '#lib/api/quantity.ts';
import { labelValue, shapeName } from './pool-name.ts';
import type { Size } from './sizes.ts';

export function poolSpec(
  factory: ComputeFactory,
  cluster: string,
  size: Size,
  replicas: number,
): Draft<VMPool>['spec'] {
  const { metadata, spec } = factory.spec.template;
  const shape = size.instanceType
    ? { instanceType: size.instanceType }
    : { resources: { cores: size.cores, memory: formatMiB(size.memoryMiB) } };
  return { replicas, cluster, template: { ...(metadata && { metadata }), spec: { ...spec, ...shape } } };
}

export function draftPool(
  factory: ComputeFactory,
  name: string,
  cluster: string,
  size: Size,
  replicas: number,
): Draft<VMPool> {
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
    spec: poolSpec(factory, cluster, size, replicas),
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

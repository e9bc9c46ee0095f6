import type { ComputeFactory, InstanceType } from '#lib/api/generated/index.ts';
import { parseMiB } from '#lib/api/quantity.ts';
import type { Shape } from './sizes.ts';

/** The spec's shapes with their sizes, or why that cannot be. */
export function shapesOf(
  { spec }: ComputeFactory,
  typeOf: (name: string) => InstanceType | undefined,
): readonly Shape[] | { readonly reason: string; readonly message: string } {
  const shapes: Shape[] = [];
  for (const { priority = 0, min = 0, max = Number.POSITIVE_INFINITY, ...shape } of spec.shapes) {
    const limits = { priority, min, max };
    if (shape.flexible) {
      const { minCores = 1, maxCores, stepCores = 1, memoryPerCore } = shape.flexible;
      shapes.push({ ...limits, minCores, maxCores, stepCores, memoryMiBPerCore: parseMiB(memoryPerCore) });
    } else if (shape.cores !== undefined && shape.memory !== undefined) {
      shapes.push({ ...limits, size: { cores: shape.cores, memoryMiB: parseMiB(shape.memory) } });
    } else {
      const type = typeOf(shape.instanceType ?? '');
      if (!type) return notFound(shape.instanceType ?? '');
      const { cores, memory } = type.spec;
      shapes.push({ ...limits, size: { cores, memoryMiB: parseMiB(memory), instanceType: type.metadata.name } });
    }
  }
  return shapes;
}

const notFound = (name: string) => ({
  reason: 'InstanceTypeNotFound',
  message: `InstanceType "${name}" does not exist. Create it, or name another in spec.shapes: nothing is planned until then`,
});

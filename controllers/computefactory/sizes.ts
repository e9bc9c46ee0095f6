/** Sizes of machines, what they weigh, and which sizes a shape allows. Pure. */
import type { ComputeFactory } from '#lib/api/generated/index.ts';

export type Unit = ComputeFactory['spec']['capacity']['unit'];

export interface Size {
  readonly cores: number;
  readonly memoryMiB: number;
  readonly instanceType?: string;
}

interface ShapeLimits {
  /** Higher is preferred; equal ones in the order of the spec. */
  readonly priority: number;
  /** In units. */
  readonly min: number;
  readonly max: number;
}

export interface FixedShape extends ShapeLimits {
  readonly size: Size;
}

export interface FlexibleShape extends ShapeLimits {
  readonly minCores: number;
  readonly maxCores: number;
  readonly stepCores: number;
  readonly memoryMiBPerCore: number;
}

export type Shape = FixedShape | FlexibleShape;

export const isFlexible = (shape: Shape): shape is FlexibleShape => 'stepCores' in shape;

/** Weight of a machine: its cores, its memory in GiB rounded up, or 1. */
export function weightOf(unit: Unit, size: Size): number {
  if (unit === 'Cores') return size.cores;
  return unit === 'MemoryGiB' ? Math.ceil(size.memoryMiB / 1024) : 1;
}

export const flexibleSize = (shape: FlexibleShape, cores: number): Size => ({
  cores,
  memoryMiB: cores * shape.memoryMiBPerCore,
});

export function allows(shape: Shape, size: Size): boolean {
  if (!isFlexible(shape)) return sameSize(shape.size, size);
  const { cores } = size;
  const isMultiple = cores % shape.stepCores === 0 && cores >= lowestCores(shape) && cores <= shape.maxCores;
  return size.instanceType === undefined && isMultiple && size.memoryMiB === cores * shape.memoryMiBPerCore;
}

export const sameSize = (a: Size, b: Size) =>
  a.cores === b.cores && a.memoryMiB === b.memoryMiB && a.instanceType === b.instanceType;

/** minCores, up to the next multiple of stepCores. Above maxCores if the shape allows no size at all. */
export const lowestCores = ({ minCores, stepCores }: FlexibleShape) => Math.ceil(minCores / stepCores) * stepCores;

/** The smallest machine of a shape; undefined if it allows none. */
export function smallestOf(shape: Shape): Size | undefined {
  if (!isFlexible(shape)) return shape.size;
  const cores = lowestCores(shape);
  return cores <= shape.maxCores ? flexibleSize(shape, cores) : undefined;
}

/**
 * The largest machine of a flexible shape that weighs at most `units` and needs at most `coresMax` cores. Something is left to the next
 * machine where that lets the target be hit exactly: 52 of 8 to 48 in steps of 4 gives 44 and 8, not 48 and an 8 that is half too much.
 */
export function largestOf(shape: FlexibleShape, unit: Unit, units: number, coresMax: number): Size | undefined {
  const byUnits = {
    Cores: units,
    MemoryGiB: (units * 1024) / shape.memoryMiBPerCore,
    Instances: units >= 1 ? coresMax : 0,
  };
  const lowest = lowestCores(shape);
  const down = (cores: number) => Math.floor(cores / shape.stepCores) * shape.stepCores;
  const cores = down(Math.min(coresMax, shape.maxCores, byUnits[unit]));
  if (cores < lowest) return undefined;
  const rest = units - cores;
  const shorter = down(units - lowest);
  const isExact = unit === 'Cores' && (units - shorter) % shape.stepCores === 0;
  const isBetter = isExact && rest > 0 && rest < lowest && shorter >= lowest && shorter < cores;
  return flexibleSize(shape, isBetter ? shorter : cores);
}

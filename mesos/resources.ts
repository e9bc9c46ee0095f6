/**
 * Scalars of Mesos have three decimals (src/common/values.cpp): all sums and comparisons here are in integer thousandths, never in
 * floating point.
 */
import type { Resource } from './types.ts';

export interface Reservation {
  readonly type: 'STATIC' | 'DYNAMIC';
  readonly role: string;
  readonly principal?: string;
  readonly labels?: { readonly labels: readonly { readonly key: string; readonly value?: string }[] };
}

export function toMilli(value: number): number {
  return Math.round(value * 1000);
}

/**
 * The reservations of a resource, lowest first, whichever of three formats it is written in: `reservations` (frameworks with
 * RESERVATION_REFINEMENT), `role` with `reservation` (older ones), or both (operator API). Empty: unreserved.
 */
export function reservationsOf(resource: Resource): readonly Reservation[] {
  if (resource.reservations !== undefined && resource.reservations.length > 0) return resource.reservations;
  if (resource.role === undefined || resource.role === '*') return [];
  const { reservation, role } = resource;
  return [reservation ? { ...reservation, type: 'DYNAMIC', role } : { type: 'STATIC', role }];
}

/** The role that may use it: that of the last reservation, or `*`. */
export function roleOf(resource: Resource): string {
  return reservationsOf(resource).at(-1)?.role ?? '*';
}

/** Sum of the scalars called `name`, in thousandths; of those that `accept` accepts. Revocable ones never count: they may be taken away. */
export function sumMilli(
  resources: readonly Resource[] | undefined,
  name: string,
  accept: (resource: Resource) => boolean = () => true,
): number {
  let sum = 0;
  for (const resource of resources ?? []) {
    if (resource.name === name && resource.scalar !== undefined && !resource.revocable && accept(resource))
      sum += toMilli(resource.scalar.value);
  }
  return sum;
}

/** Cuts `milli` thousandths of a scalar out of `available`, reserved ones first; undefined if there is less. Both come back as wire format. */
export function takeScalar(
  available: readonly Resource[],
  name: string,
  milli: number,
): { readonly taken: readonly Resource[]; readonly left: readonly Resource[] } | undefined {
  const taken: Resource[] = [];
  const left: Resource[] = [];
  let missing = milli;
  const reservedFirst = [...available].sort((a, b) => reservationsOf(b).length - reservationsOf(a).length);
  for (const resource of reservedFirst) {
    const have = resource.name === name && !resource.revocable ? toMilli(resource.scalar?.value ?? 0) : 0;
    const part = Math.min(have, missing);
    missing -= part;
    if (part > 0) taken.push({ ...resource, scalar: { value: part / 1000 } });
    if (have === 0) left.push(resource);
    else if (have > part) left.push({ ...resource, scalar: { value: (have - part) / 1000 } });
  }
  return missing > 0 ? undefined : { taken, left };
}

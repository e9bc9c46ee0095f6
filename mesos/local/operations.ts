/**
 * RESERVE, UNRESERVE, CREATE and DESTROY as changes of a bag: each takes some resources out and puts the same amounts back in another
 * guise (Mesos' ResourceConversion). Pure. Texts are those of src/master/validation.cpp and src/common/resources.cpp.
 */
import type { Resource } from '#mesos/types.ts';
import { add, type Bag, bagOf, contains, describe, reservationsOf, subtract } from './resources.ts';

export const conversionTypes = ['RESERVE', 'UNRESERVE', 'CREATE', 'DESTROY'] as const;
export type ConversionType = (typeof conversionTypes)[number];

export interface Conversion {
  readonly consumed: Bag;
  readonly converted: Bag;
}

/** The resource with its last reservation taken off. */
function popped(resource: Resource): Resource {
  const { role: _, reservation: __, ...rest } = resource;
  return { ...rest, reservations: (reservationsOf(resource) ?? []).slice(0, -1) };
}

/** The resource without the volume on it. */
function bare({ disk: _, ...resource }: Resource): Resource {
  return resource;
}

/** One conversion per resource, to be applied in order. With `source`, RESERVE turns that into `resources` at once. */
export function conversionsOf(
  type: ConversionType,
  resources: readonly Resource[],
  source: readonly Resource[] = [],
): Conversion[] {
  if (type === 'RESERVE' && source.length > 0) return [{ consumed: bagOf(source), converted: bagOf(resources) }];
  const without = type === 'RESERVE' || type === 'UNRESERVE' ? popped : bare;
  const backwards = type === 'UNRESERVE' || type === 'DESTROY';
  return resources.map((resource) => {
    const [from, to] = [bagOf([without(resource)]), bagOf([resource])];
    return backwards ? { consumed: to, converted: from } : { consumed: from, converted: to };
  });
}

/** The bag after all conversions, or why one is not possible. */
export function convert(bag: Bag, conversions: readonly Conversion[]): Bag | string {
  let result = bag;
  for (const { consumed, converted } of conversions) {
    if (!contains(result, consumed)) return `${describe(result)} does not contain ${describe(consumed)}`;
    result = add(subtract(result, consumed), converted);
  }
  return result;
}

/** What Mesos finds wrong with an operation on an agent that has `total`, or undefined. `principal`: of the authenticated caller. */
export function operationProblem(
  type: ConversionType,
  resources: readonly Resource[],
  total: Bag,
  caller: { readonly principal?: string | undefined; readonly role?: string },
): string | undefined {
  if (resources.length === 0) return 'No resources specified';
  for (const resource of resources) {
    const problem =
      type === 'RESERVE' || type === 'UNRESERVE'
        ? reservationProblem(type, resource, caller)
        : volumeProblem(type, resource, total);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function reservationProblem(
  type: 'RESERVE' | 'UNRESERVE',
  resource: Resource,
  caller: { readonly principal?: string | undefined; readonly role?: string },
): string | undefined {
  const name = describe(bagOf([resource]));
  const top = reservationsOf(resource)?.at(-1);
  if (top?.type !== 'DYNAMIC') return `Resource ${name} is not dynamically reserved`;
  if (resource.disk?.persistence !== undefined)
    return type === 'RESERVE'
      ? `A persistent volume ${name} must already be reserved`
      : `A dynamically reserved persistent volume ${name} cannot be unreserved directly. ` +
          'Please destroy the persistent volume first then unreserve the resource';
  if (type === 'UNRESERVE') return undefined;
  if (caller.role !== undefined && top.role !== caller.role)
    return `A reserve operation was attempted for a resource with role '${top.role}', but the resource is allocated to role '${caller.role}'`;
  if (top.principal !== caller.principal)
    return caller.principal === undefined
      ? `A reserve operation was attempted with no principal, but there is a reserved resource in the request with principal '${top.principal}'`
      : `A reserve operation was attempted by authenticated principal '${caller.principal}', which does not match a ` +
          `reserved resource in the request with principal '${top.principal ?? ''}'`;
  return undefined;
}

function volumeProblem(type: 'CREATE' | 'DESTROY', resource: Resource, total: Bag): string | undefined {
  const id = resource.disk?.persistence?.id;
  if (id === undefined) return `Resource ${describe(bagOf([resource]))} does not have DiskInfo`;
  const known = [...total.values()].some(({ kind }) => kind.disk?.persistence?.id === id);
  if (type === 'DESTROY') return known ? undefined : 'Persistent volumes not found';
  if (reservationsOf(resource) === undefined) return 'Persistent volumes cannot be created from unreserved resources.';
  return known ? `Persistence ID '${id}' is not unique` : undefined;
}

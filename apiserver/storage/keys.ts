import type { Resource } from '#apiserver/resources/resource.ts';

type Place = Pick<Resource, 'group' | 'plural' | 'view'>;

/**
 * Where objects are stored: `group/resource/namespace/name`, without the namespace for resources of the whole cluster. Every prefix ends
 * in a slash, or namespace `a` would also show what is in `ab`.
 */
export function prefixOf(resource: Place, namespace?: string): string {
  const { group, plural } = resource.view?.of ?? resource;
  const base = `${group === '' ? 'core' : group}/${plural}/`;
  return namespace === undefined ? base : `${base}${namespace}/`;
}

export function keyOf(resource: Place, namespace: string | undefined, name: string): string {
  return `${prefixOf(resource, namespace)}${name}`;
}

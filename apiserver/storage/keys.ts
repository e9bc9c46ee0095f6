import type { Resource } from '#apiserver/resources/resource.ts';

/**
 * Where objects are stored: `group/resource/namespace/name`, without the namespace for resources of the whole cluster. Every prefix ends
 * in a slash, or namespace `a` would also show what is in `ab`.
 */
export function prefixOf(resource: Pick<Resource, 'group' | 'plural'>, namespace?: string): string {
  const base = `${resource.group === '' ? 'core' : resource.group}/${resource.plural}/`;
  return namespace === undefined ? base : `${base}${namespace}/`;
}

export function keyOf(
  resource: Pick<Resource, 'group' | 'plural'>,
  namespace: string | undefined,
  name: string,
): string {
  return `${prefixOf(resource, namespace)}${name}`;
}

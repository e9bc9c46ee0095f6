/** One rule of a role, and what it allows (kubernetes, plugin/pkg/auth/authorizer/rbac). */
import type { Attributes } from '#apiserver/auth/attributes.ts';

/** rbac.authorization.k8s.io/v1 PolicyRule. */
export interface PolicyRule {
  readonly verbs: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
}

export const rbacGroup = 'rbac.authorization.k8s.io';

export interface RoleRef {
  readonly apiGroup: string;
  readonly kind: string;
  readonly name: string;
}

export interface Subject {
  readonly kind: string;
  readonly name: string;
  readonly apiGroup?: string;
  readonly namespace?: string;
}

/** The rule that a cluster administrator has: everything. */
export const fullAuthority: readonly PolicyRule[] = [
  { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
  { nonResourceURLs: ['*'], verbs: ['*'] },
];

/** The rule as a function: made once, asked on every request. */
export function compileRule({
  verbs,
  apiGroups,
  resources,
  resourceNames,
  nonResourceURLs = [],
}: PolicyRule): (attributes: Attributes) => boolean {
  const isVerb = oneOf(verbs);
  const isGroup = oneOf(apiGroups);
  const isResource = resourceMatcher(resources);
  const names = resourceNames && new Set(resourceNames);
  return (attributes) => {
    if (!isVerb(attributes.verb)) return false;
    if ('path' in attributes) return nonResourceURLs.some((url) => urlCovers(url, attributes.path));
    const { group, resource, subresource, name } = attributes;
    // A request without a name, such as create or an unrestricted list, is no request for one of the names.
    return isGroup(group) && isResource(resource, subresource) && (!names || (name !== undefined && names.has(name)));
  };
}

function oneOf(list: readonly string[] = []): (value: string) => boolean {
  if (list.includes('*')) return () => true;
  const set = new Set(list);
  return (value) => set.has(value);
}

function resourceMatcher(list: readonly string[] = []): (resource: string, subresource: string | undefined) => boolean {
  if (list.includes('*')) return () => true;
  const set = new Set(list);
  return (resource, subresource) =>
    subresource === undefined
      ? set.has(resource)
      : set.has(`${resource}/${subresource}`) || set.has(`*/${subresource}`);
}

/** A star at the end stands for anything. */
export function urlCovers(url: string, path: string): boolean {
  return url === path || (url.endsWith('*') && path.startsWith(url.replace(/\*+$/, '')));
}

export function includes(list: readonly string[], value: string): boolean {
  return list.includes('*') || list.includes(value);
}

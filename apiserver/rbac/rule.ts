/** One rule of a role, and what it allows (kubernetes, plugin/pkg/auth/authorizer/rbac). */
import type { Attributes, ResourceAttributes } from '#apiserver/auth/attributes.ts';

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

export function ruleAllows(rule: PolicyRule, attributes: Attributes): boolean {
  if (!includes(rule.verbs, attributes.verb)) return false;
  return 'path' in attributes ? urlMatches(rule, attributes.path) : resourceMatches(rule, attributes);
}

function resourceMatches(rule: PolicyRule, { group, resource, subresource, name }: ResourceAttributes): boolean {
  const { apiGroups = [], resources = [], resourceNames = [] } = rule;
  const full = subresource === undefined ? resource : `${resource}/${subresource}`;
  return (
    includes(apiGroups, group) &&
    (includes(resources, full) || (subresource !== undefined && resources.includes(`*/${subresource}`))) &&
    // A request without a name, such as create or an unrestricted list, is no request for one of the names.
    (resourceNames.length === 0 || (name !== undefined && resourceNames.includes(name)))
  );
}

function urlMatches({ nonResourceURLs = [] }: PolicyRule, path: string): boolean {
  return nonResourceURLs.some((url) => urlCovers(url, path));
}

/** A star at the end stands for anything. */
export function urlCovers(url: string, path: string): boolean {
  return url === path || (url.endsWith('*') && path.startsWith(url.replace(/\*+$/, '')));
}

export function includes(list: readonly string[], value: string): boolean {
  return list.includes('*') || list.includes(value);
}

/** Whether rules contain others: nobody may grant what they do not hold (kubernetes, component-helpers/auth/rbac/validation). */
import { ApiError } from '#lib/std/errors.ts';
import { includes, type PolicyRule, urlCovers } from './rule.ts';

/** A role is taken apart into single rights to be compared. More than this many would keep the server busy for too long. */
const maxRights = 20_000;

/** The single rights in `wanted` that `held` does not contain. Invalid for more rights than can be compared. */
export function missingRights(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  // A rule that is contained whole needs no taking apart.
  const open = wanted.filter((rule) => !held.some((own) => covers(own, rule)));
  const count = open.reduce((sum, rule) => sum + rightsIn(rule), 0);
  if (count > maxRights)
    throw new ApiError(
      'Invalid',
      `the rules name ${count} single rights, more than ${maxRights}: use "*" or several roles`,
    );
  return open.flatMap(rights).filter((right) => !held.some((own) => covers(own, right)));
}

function rightsIn({
  verbs,
  apiGroups = [],
  resources = [],
  resourceNames = [],
  nonResourceURLs = [],
}: PolicyRule): number {
  const onResources = apiGroups.length * resources.length * Math.max(1, resourceNames.length);
  return verbs.length * (onResources + nonResourceURLs.length);
}

function rights({ verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] }: PolicyRule) {
  const names = resourceNames.length === 0 ? [{}] : resourceNames.map((name) => ({ resourceNames: [name] }));
  const onResources = apiGroups.flatMap((group) =>
    resources.flatMap((resource) => names.map((name) => ({ apiGroups: [group], resources: [resource], ...name }))),
  );
  const onUrls = nonResourceURLs.map((url) => ({ nonResourceURLs: [url] }));
  return [...onResources, ...onUrls].flatMap((what) => verbs.map((verb): PolicyRule => ({ ...what, verbs: [verb] })));
}

function covers(own: PolicyRule, wanted: PolicyRule): boolean {
  return (
    all(own.verbs, wanted.verbs) &&
    all(own.apiGroups, wanted.apiGroups) &&
    (wanted.resources ?? []).every((resource) => coversResource(own.resources ?? [], resource)) &&
    coversNames(own.resourceNames ?? [], wanted.resourceNames ?? []) &&
    (wanted.nonResourceURLs ?? []).every((url) => (own.nonResourceURLs ?? []).some((mine) => urlCovers(mine, url)))
  );
}

function all(own: readonly string[] = [], wanted: readonly string[] = []): boolean {
  return own.includes('*') || wanted.every((value) => own.includes(value));
}

function coversResource(own: readonly string[], resource: string): boolean {
  const subresource = resource.split('/')[1];
  return includes(own, resource) || (subresource !== undefined && own.includes(`*/${subresource}`));
}

function coversNames(own: readonly string[], wanted: readonly string[]): boolean {
  if (own.length === 0) return true;
  return wanted.length > 0 && wanted.every((name) => own.includes(name));
}

/** For messages: rights on the same things are one, in Kubernetes' way of writing. */
export function describeRights(rules: readonly PolicyRule[]): string[] {
  const verbs = new Map<string, string[]>();
  for (const { verbs: own, ...what } of rules) {
    const key = describe(what);
    verbs.set(key, [...new Set([...(verbs.get(key) ?? []), ...own])]);
  }
  return [...verbs].map(([what, list]) => `{${what}, Verbs:${quoted(list)}}`).sort();
}

function describe({ apiGroups, resources, nonResourceURLs, resourceNames }: Omit<PolicyRule, 'verbs'>): string {
  const parts = [
    ['APIGroups', apiGroups],
    ['Resources', resources],
    ['NonResourceURLs', nonResourceURLs],
    ['ResourceNames', resourceNames],
  ] as const;
  return parts.flatMap(([name, list]) => (list?.length ? [`${name}:${quoted(list)}`] : [])).join(', ');
}

export function quoted(list: readonly string[]): string {
  return `[${list.map((text) => JSON.stringify(text)).join(' ')}]`;
}

/** Keeps the rules of aggregated ClusterRoles what their parts say (kubernetes, clusterrole_aggregation controller). */
import { at, isObject, type Json } from '#apiserver/json/json.ts';
import { objectsIn } from '#apiserver/json/members.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { changeObject } from '#apiserver/storage/objects.ts';
import type { ObjectCache } from '#apiserver/storage/version-view.ts';
import type { Store } from '#apiserver/store/store.ts';
import { type LabelSelector, matchesSelector } from '#lib/api/selectors.ts';
import { isCode } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { clusterRoles } from './kinds.ts';
import { rulesIn } from './read.ts';

/** Writes what differs. Safe to repeat, and for several servers to do at once. */
export async function aggregate(store: Store, cache: ObjectCache): Promise<void> {
  const stored = cache.list().entries.map(({ object }) => object);
  const settled = aggregated(stored);
  for (const [index, role] of settled.entries())
    if (role !== stored[index]) await write(store, role, at(role, 'rules') ?? []);
}

/** What the roles become. A part may be an aggregate itself: what it gains comes to those above it in the next round. Pure. */
export function aggregated(roles: readonly StoredObject[]): readonly StoredObject[] {
  let before: readonly StoredObject[] = [];
  let now = roles;
  // Rules only travel along selectors, so there are no more rounds than roles.
  for (let round = 0; round <= roles.length && now.some((role, index) => role !== before[index]); round++) {
    before = now;
    now = before.map((role) => {
      if (!isObject(at(role, 'aggregationRule'))) return role;
      const rules = gather(role, before);
      return sameJson(rules, at(role, 'rules') ?? []) ? role : { ...role, rules };
    });
  }
  return now;
}

async function write(store: Store, { metadata }: StoredObject, rules: Json): Promise<void> {
  const key = { resource: clusterRoles, namespace: undefined, name: metadata.name };
  try {
    // What has meanwhile ceased to aggregate keeps the rules it was given by hand.
    const change = (current: StoredObject) =>
      ({ type: 'write', object: isObject(at(current, 'aggregationRule')) ? { ...current, rules } : current }) as const;
    await changeObject(store, key, change, false);
  } catch (error) {
    if (!isCode(error, 'NotFound')) throw error;
  }
}

/** The rules of all roles that one of the selectors selects, in order of names, each rule once. */
function gather(role: StoredObject, all: readonly StoredObject[]): Json[] {
  const rule = at(role, 'aggregationRule');
  const selectors = isObject(rule) ? (objectsIn(rule, 'clusterRoleSelectors') as LabelSelector[]) : [];
  const parts = all
    .filter(({ metadata }) => metadata.name !== role.metadata.name)
    .filter(({ metadata }) => selectors.some((selector) => matchesSelector(selector, metadata.labels)))
    .sort((one, other) => (one.metadata.name < other.metadata.name ? -1 : 1));
  const texts = new Set(parts.flatMap(rulesIn).map((part) => JSON.stringify(part)));
  return [...texts].map((text) => JSON.parse(text) as Json);
}

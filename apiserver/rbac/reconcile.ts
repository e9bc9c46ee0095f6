/**
 * Makes the default roles and bindings, and gives those that are there what a newer server adds to them (kubernetes,
 * component-helpers/auth/rbac/reconciliation). What somebody has added stays; who sets the annotation to "false" is left alone.
 */
import { at, isObject, type Json } from '#apiserver/json/json.ts';
import { objectsIn } from '#apiserver/json/members.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { changeObject, createObject } from '#apiserver/storage/objects.ts';
import type { Store } from '#apiserver/store/store.ts';
import { type Clock, timestamp } from '#lib/std/clock.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Random } from '#lib/std/random.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { missingRights } from './covers.ts';
import { type DefaultBinding, type DefaultRole, defaultBindings, defaultRoles } from './default-roles.ts';
import { clusterRoleBindings, clusterRoles } from './kinds.ts';
import { roleRefIn, rulesIn, subjectsIn } from './read.ts';
import { rbacGroup } from './rule.ts';

export interface Reconciling {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
}

const autoUpdate = 'rbac.authorization.kubernetes.io/autoupdate';

export async function reconcileDefaults(to: Reconciling): Promise<void> {
  for (const role of defaultRoles)
    await settle(to, clusterRoles, draftRole(role), (current) => withMissingRules(current, role));
  for (const binding of defaultBindings) {
    const draft = draftBinding(binding);
    await replaceOther(to, draft);
    await settle(to, clusterRoleBindings, draft, (current) => withMissingSubjects(current, binding));
  }
}

async function settle(
  { store, clock, random }: Reconciling,
  resource: Resource,
  draft: ApiObject,
  complete: (current: StoredObject) => ApiObject,
): Promise<void> {
  const key = { resource, namespace: undefined, name: draft.metadata.name ?? '' };
  const metadata = { ...draft.metadata, uid: random.uuid(), creationTimestamp: timestamp(clock.now()) };
  try {
    await createObject(store, key, { ...draft, metadata } as ApiObject, false);
  } catch (error) {
    // There since an earlier start, or made by another server a moment ago.
    if (!isCode(error, 'AlreadyExists')) throw error;
    const change = (current: StoredObject) =>
      ({ type: 'write', object: isProtected(current) ? current : complete(current) }) as const;
    await changeObject(store, key, change, false);
  }
}

function isProtected({ metadata }: ApiObject): boolean {
  return metadata.annotations?.[autoUpdate] === 'false';
}

function draft(kind: string, name: string, labels: Readonly<Record<string, string>> = {}) {
  return {
    apiVersion: `${rbacGroup}/v1`,
    kind,
    metadata: {
      name,
      labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
      annotations: { [autoUpdate]: 'true' },
    },
  };
}

function draftRole({ name, labels, rules, aggregates }: DefaultRole): ApiObject {
  const gathers = { clusterRoleSelectors: [{ matchLabels: { [aggregates ?? '']: 'true' } }] };
  const role = { ...draft('ClusterRole', name, labels), rules, ...(aggregates ? { aggregationRule: gathers } : {}) };
  return role as unknown as ApiObject;
}

function draftBinding({ name, role, subjects }: DefaultBinding): ApiObject {
  const roleRef = { apiGroup: rbacGroup, kind: 'ClusterRole', name: role };
  return { ...draft('ClusterRoleBinding', name), subjects, roleRef } as unknown as ApiObject;
}

function withMissingRules(current: StoredObject, role: DefaultRole): ApiObject {
  const wanted = draftRole(role);
  const labelled = withMissingLabels(current, wanted);
  if (role.aggregates) return withMissingSelectors(labelled, wanted);
  const missing = role.rules.filter((rule) => missingRights(rulesIn(current), [rule]).length > 0);
  if (missing.length === 0) return labelled;
  return { ...labelled, rules: [...objectsIn(current, 'rules'), ...missing] } as ApiObject;
}

function withMissingLabels(current: StoredObject, wanted: ApiObject): ApiObject {
  const { labels, annotations } = current.metadata;
  const metadata = {
    ...current.metadata,
    labels: { ...wanted.metadata.labels, ...labels },
    annotations: { ...wanted.metadata.annotations, ...annotations },
  };
  return { ...current, metadata } as ApiObject;
}

function withMissingSelectors(current: ApiObject, wanted: ApiObject): ApiObject {
  const own = selectorsOf(current);
  const missing = selectorsOf(wanted).filter((selector) => !own.some((known) => sameJson(known, selector)));
  if (missing.length === 0) return current;
  return { ...current, aggregationRule: { clusterRoleSelectors: [...own, ...missing] } } as ApiObject;
}

function selectorsOf(role: ApiObject): Json[] {
  const rule = at(role, 'aggregationRule');
  return isObject(rule) ? objectsIn(rule, 'clusterRoleSelectors') : [];
}

function withMissingSubjects(current: StoredObject, { subjects }: DefaultBinding): ApiObject {
  const own = subjectsIn(current);
  const missing = subjects.filter(
    (wanted) => !own.some(({ kind, name }) => kind === wanted.kind && name === wanted.name),
  );
  const labelled = withMissingLabels(current, draft('ClusterRoleBinding', current.metadata.name) as ApiObject);
  if (missing.length === 0) return labelled;
  return { ...labelled, subjects: [...objectsIn(current, 'subjects'), ...missing] } as unknown as ApiObject;
}

/** A binding cannot be given another role: one that has another is taken away, and made anew. */
async function replaceOther({ store }: Reconciling, wanted: ApiObject): Promise<void> {
  const key = { resource: clusterRoleBindings, namespace: undefined, name: wanted.metadata.name ?? '' };
  try {
    const other = (current: StoredObject) =>
      !isProtected(current) && roleRefIn(current).name !== roleRefIn(wanted).name;
    const change = (current: StoredObject) =>
      other(current) ? ({ type: 'remove', object: current } as const) : ({ type: 'write', object: current } as const);
    await changeObject(store, key, change, false);
  } catch (error) {
    if (!isCode(error, 'NotFound')) throw error;
  }
}

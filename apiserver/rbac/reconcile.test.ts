import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { changeObject, readObject } from '#apiserver/storage/objects.ts';
import { openStore } from '#apiserver/store/open.ts';
import type { Store } from '#apiserver/store/store.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { defaultBindings, defaultRoles } from './default-roles.ts';
import { clusterRoleBindings, clusterRoles } from './kinds.ts';
import { rulesIn, subjectsIn } from './read.ts';
import { reconcileDefaults } from './reconcile.ts';

const rule = { apiGroups: [''], resources: ['secrets'], verbs: ['get'] };

const random = seededRandom(1);
let folder: string;
let store: Store;
const reconcile = () => reconcileDefaults({ store, clock: systemClock, random });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roles-'));
  store = await openStore(`sqlite:${join(folder, 'store')}`, { clock: systemClock, log: silentLog });
  await reconcile();
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const read = (resource: Resource, name: string) => readObject(store, { resource, namespace: undefined, name });

async function change(resource: Resource, name: string, into: (object: StoredObject) => object): Promise<void> {
  const key = { resource, namespace: undefined, name };
  await changeObject(store, key, (object) => ({ type: 'write', object: into(object) as ApiObject }), false);
}

test('every default role and binding is there after the first start', async () => {
  for (const { name, rules } of defaultRoles) expect(rulesIn(await read(clusterRoles, name))).toEqual(rules);
  for (const { name, subjects } of defaultBindings)
    expect(subjectsIn(await read(clusterRoleBindings, name))).toEqual(subjects);
});

test('a start that finds all as it should be writes nothing', async () => {
  const before = await store.currentRev();
  await reconcile();
  expect(await store.currentRev()).toBe(before);
});

test('what was added stays, what was taken away comes back', async () => {
  await change(clusterRoles, 'system:discovery', (role) => ({ ...role, rules: [rule] }));
  await change(clusterRoleBindings, 'system:discovery', (binding) => ({ ...binding, subjects: [] }));
  await reconcile();
  const wanted = defaultRoles.find(({ name }) => name === 'system:discovery')!;
  expect(rulesIn(await read(clusterRoles, 'system:discovery'))).toEqual([rule, ...wanted.rules]);
  expect(subjectsIn(await read(clusterRoleBindings, 'system:discovery'))).toHaveLength(1);
});

test('a binding to another role is made anew', async () => {
  const { metadata } = await read(clusterRoleBindings, 'system:basic-user');
  await change(clusterRoleBindings, 'system:basic-user', (binding) => ({
    ...binding,
    roleRef: { ...(binding.roleRef as object), name: 'cluster-admin' },
  }));
  await reconcile();
  const now = await read(clusterRoleBindings, 'system:basic-user');
  expect(now.roleRef).toMatchObject({ name: 'system:basic-user' });
  expect(now.metadata.uid).not.toBe(metadata.uid);
});

test('who does not want updates is left alone', async () => {
  await change(clusterRoles, 'system:discovery', (role) => ({
    ...role,
    rules: [],
    metadata: { ...role.metadata, annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'false' } },
  }));
  await reconcile();
  expect(rulesIn(await read(clusterRoles, 'system:discovery'))).toEqual([]);
});

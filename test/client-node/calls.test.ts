/** Calls of Kubernetes' own JavaScript client for objects of any kind, and for each group of kinds. */
import {
  ApiextensionsV1Api,
  AuthorizationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  type KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
  PatchStrategy,
  RbacAuthorizationV1Api,
  setHeaderOptions,
  type V1ConfigMap,
  Watch,
} from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { pool } from '../kubectl/objects.ts';
import { kubeConfig } from './config.ts';

const namespace = 'default';
const within = { timeout: 20_000, interval: 50 };

let started: TestServer;
let config: KubeConfig;
beforeAll(async () => {
  started = await startTestServer();
  config = kubeConfig(started);
});
afterAll(() => started?.[Symbol.asyncDispose]());

const merge = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
const pools = { group: 'computefactory.io', version: 'v1alpha1', namespace, plural: 'vmpools' };
const untyped = (object: object) => object as KubernetesObject & { spec?: object; metadata: { name: string } };

describe('KubernetesObjectApi', () => {
  test('creates, reads, lists, patches, applies, replaces and deletes', async () => {
    const api = KubernetesObjectApi.makeApiClient(config);
    const mine = (replicas: number) => untyped(pool('object', replicas, { namespace }));
    expect(await api.create(mine(1))).toMatchObject({ spec: { replicas: 1 } });
    await expect(api.create(mine(1))).rejects.toMatchObject({ code: 409 });
    const patch = (object: KubernetesObject, strategy: PatchStrategy, force?: boolean) =>
      api.patch(object, undefined, undefined, 'client-node', force, strategy);
    expect(await patch(mine(2), PatchStrategy.MergePatch)).toMatchObject({ spec: { replicas: 2 } });
    const other = () => api.patch(mine(3), undefined, undefined, 'other', undefined, PatchStrategy.ServerSideApply);
    await expect(other()).rejects.toMatchObject({ code: 409, body: expect.stringContaining('.spec.replicas') });
    expect(await patch(mine(3), PatchStrategy.ServerSideApply, true)).toMatchObject({ spec: { replicas: 3 } });
    const read = await api.read(mine(0));
    expect(await api.replace({ ...read, spec: mine(4).spec } as KubernetesObject)).toMatchObject({
      spec: { replicas: 4 },
    });
    await expect(api.replace(read)).rejects.toMatchObject({ code: 409 });
    expect((await api.list('computefactory.io/v1alpha1', 'VMPool', namespace)).items).toHaveLength(1);
    expect(await api.delete(mine(0))).toMatchObject({ status: 'Success' });
    await expect(api.read(mine(0))).rejects.toMatchObject({ code: 404 });
  });
});

describe('typed APIs', () => {
  test('CoreV1Api', async () => {
    const api = config.makeApiClient(CoreV1Api);
    const body = { metadata: { name: 'typed', labels: { a: 'b' } }, data: { one: '1' } };
    const made = await api.createNamespacedConfigMap({ namespace, body });
    expect(made.metadata?.creationTimestamp).toBeInstanceOf(Date);
    const listed = await api.listNamespacedConfigMap({ namespace, labelSelector: 'a=b', limit: 1 });
    expect(listed.items.map(({ data }) => data)).toEqual([{ one: '1' }]);
    const patch = { namespace, name: 'typed', body: { data: { two: '2' } } };
    const strategic = setHeaderOptions('Content-Type', PatchStrategy.StrategicMergePatch);
    expect((await api.patchNamespacedConfigMap(patch, strategic)).data).toEqual({ one: '1', two: '2' });
    expect((await api.deleteNamespacedConfigMap({ namespace, name: 'typed' })).status).toBe('Success');
    await api.createNamespacedSecret({ namespace, body: { metadata: { name: 'typed' }, stringData: { a: 'b' } } });
    expect((await api.readNamespacedSecret({ namespace, name: 'typed' })).data).toEqual({ a: 'Yg==' });
    await api.createNamespacedServiceAccount({ namespace, body: { metadata: { name: 'typed' } } });
    expect((await api.listNamespace()).items.map(({ metadata }) => metadata?.name)).toContain(namespace);
  });

  test('RbacAuthorizationV1Api and AuthorizationV1Api', async () => {
    const roles = config.makeApiClient(RbacAuthorizationV1Api);
    const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get'] }];
    await roles.createNamespacedRole({ namespace, body: { metadata: { name: 'typed' }, rules } });
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'typed' };
    const subjects = [{ kind: 'User', name: 'vera', apiGroup: 'rbac.authorization.k8s.io' }];
    await roles.createNamespacedRoleBinding({ namespace, body: { metadata: { name: 'typed' }, roleRef, subjects } });
    const reviews = config.makeApiClient(AuthorizationV1Api);
    const allowed = async (verb: string) => {
      const spec = { user: 'vera', resourceAttributes: { namespace, verb, resource: 'configmaps' } };
      return (await reviews.createSubjectAccessReview({ body: { spec } })).status?.allowed;
    };
    await vi.waitFor(async () => expect(await allowed('get')).toBe(true), within);
    expect(await allowed('delete')).toBe(false);
    const mine = await reviews.createSelfSubjectRulesReview({ body: { spec: { namespace } } });
    expect(mine.status?.resourceRules).toContainEqual(expect.objectContaining({ verbs: ['*'] }));
  });

  test('ApiextensionsV1Api', async () => {
    const api = config.makeApiClient(ApiextensionsV1Api);
    const names = (await api.listCustomResourceDefinition()).items.map(({ metadata }) => metadata?.name);
    expect(names).toContain('vmpools.computefactory.io');
    const { spec, status } = await api.readCustomResourceDefinition({ name: 'vmpools.computefactory.io' });
    expect(spec.versions[0]?.schema?.openAPIV3Schema?.properties).toHaveProperty('spec');
    expect(status?.conditions?.map(({ type }) => type)).toContain('Established');
  });

  test('CustomObjectsApi, with status and scale', async () => {
    const api = config.makeApiClient(CustomObjectsApi);
    const name = 'custom';
    await api.createNamespacedCustomObject({ ...pools, body: pool(name, 1) });
    const statusPatch = { ...pools, name, body: { status: { replicas: 1 }, spec: { replicas: 9 } } };
    const patched = await api.patchNamespacedCustomObjectStatus(statusPatch, merge);
    expect(patched).toMatchObject({ spec: { replicas: 1 }, status: { replicas: 1 } });
    const scale = await api.getNamespacedCustomObjectScale({ ...pools, name });
    expect(scale).toMatchObject({ kind: 'Scale', spec: { replicas: 1 }, status: { replicas: 1 } });
    const body = { ...scale, spec: { replicas: 5 } };
    expect(await api.replaceNamespacedCustomObjectScale({ ...pools, name, body })).toMatchObject({
      spec: { replicas: 5 },
    });
    expect(await api.getNamespacedCustomObject({ ...pools, name })).toMatchObject({ spec: { replicas: 5 } });
    await api.deleteNamespacedCustomObject({ ...pools, name });
  });
});

test('Watch hears what happens after a list', async () => {
  const api = config.makeApiClient(CoreV1Api);
  const { metadata } = await api.listNamespacedConfigMap({ namespace });
  const heard: string[] = [];
  const told = (type: string, object: V1ConfigMap) => heard.push(`${type} ${object.metadata?.name}`);
  const query = { resourceVersion: metadata?.resourceVersion, fieldSelector: 'metadata.name=watched' };
  const watch = await new Watch(config).watch(`/api/v1/namespaces/${namespace}/configmaps`, query, told, () => {});
  try {
    await api.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'stranger' } } });
    await api.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'watched' } } });
    await api.patchNamespacedConfigMap({ namespace, name: 'watched', body: { data: { a: '1' } } }, merge);
    await api.deleteNamespacedConfigMap({ namespace, name: 'watched' });
    await vi.waitFor(() => expect(heard).toEqual(['ADDED watched', 'MODIFIED watched', 'DELETED watched']), within);
  } finally {
    watch.abort();
  }
});

/** What objects look like to Kubernetes' own JavaScript client: page after page, applied, only tried, and with times to the microsecond. */
import { CoordinationV1Api, KubernetesObjectApi, PatchStrategy, V1MicroTime } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { kubeConfig } from './config.ts';

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer();
});
afterAll(() => started[Symbol.asyncDispose]());

const namespace = 'default';
const mapOf = (name: string, data: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data,
});

describe('KubernetesObjectApi', () => {
  const objects = () => KubernetesObjectApi.makeApiClient(kubeConfig(started));
  const patch = (object: object, manager: string, strategy: PatchStrategy, force?: boolean) =>
    objects().patch(object, undefined, undefined, manager, force, strategy);

  test('a dry run writes nothing', async () => {
    const api = objects();
    expect(await api.create(mapOf('dry', {}), undefined, 'All')).toMatchObject({ metadata: { name: 'dry' } });
    await expect(api.read(mapOf('dry', {}))).rejects.toMatchObject({ code: 404 });
  });

  test('applies: makes what is not there, takes back what is left out, and yields only to force', async () => {
    const apply = (data: Record<string, string>, manager: string, force?: boolean) =>
      patch(mapOf('applied', data), manager, PatchStrategy.ServerSideApply, force);
    const made = await apply({ a: '1', b: '1' }, 'one');
    expect(made).toMatchObject({ metadata: { managedFields: [{ manager: 'one', operation: 'Apply' }] } });
    expect(await apply({ a: '1', b: '1' }, 'one')).toEqual(made);
    expect(((await apply({ a: '1' }, 'one')) as { data?: object }).data).toEqual({ a: '1' });
    const conflict = { code: 409, body: expect.stringContaining('.data.a') };
    await expect(apply({ a: '2' }, 'two')).rejects.toMatchObject(conflict);
    expect(await apply({ a: '2' }, 'two', true)).toMatchObject({ data: { a: '2' } });
  });

  test('lists page after page, all as of one moment', async () => {
    const api = objects();
    const names = Array.from({ length: 23 }, (_, index) => `page-${String(index).padStart(2, '0')}`);
    for (const name of names)
      await api.create({ ...mapOf(name, {}), metadata: { name, namespace, labels: { paged: 'yes' } } });
    const page = (token?: string) =>
      api.list('v1', 'ConfigMap', namespace, undefined, undefined, undefined, undefined, 'paged=yes', 10, token);
    const seen: (string | undefined)[] = [];
    let list = await page();
    const { resourceVersion } = list.metadata!;
    await api.delete(mapOf(names.at(-1)!, {}));
    for (;;) {
      expect(list.metadata?.resourceVersion).toBe(resourceVersion);
      seen.push(...list.items.map(({ metadata }) => metadata?.name));
      if (!list.metadata?._continue) break;
      list = await page(list.metadata._continue);
    }
    expect(seen).toEqual(names);
  });
});

test('CoordinationV1Api: times to the microsecond come back as they were', async () => {
  const api = kubeConfig(started).makeApiClient(CoordinationV1Api);
  const renewTime = new V1MicroTime('2026-01-02T03:04:05.678Z');
  const typed = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
  const body = {
    ...typed,
    metadata: { name: 'role' },
    spec: { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime },
  };
  await api.createNamespacedLease({ namespace, body });
  const lease = await api.readNamespacedLease({ namespace, name: 'role' });
  expect(lease.spec).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15 });
  // A text, whatever the type says: this client turns no MicroTime back.
  expect(lease.spec?.renewTime).toBe('2026-01-02T03:04:05.678000Z');
  await api.replaceNamespacedLease({ namespace, name: 'role', body: lease });
  const stale = { namespace, name: 'role', body: { ...lease, spec: { holderIdentity: 'b' } } };
  expect((await api.replaceNamespacedLease(stale)).spec?.holderIdentity).toBe('b');
  await expect(api.replaceNamespacedLease(stale)).rejects.toMatchObject({ code: 409 });
});

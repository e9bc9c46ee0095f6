/** How Kubernetes' own JavaScript client follows changes: its Watch, and its informer. */
import { CoreV1Api, type KubernetesObject, makeInformer, Watch } from '@kubernetes/client-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { kubeConfig } from './config.ts';

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer();
});
afterAll(() => started[Symbol.asyncDispose]());

const namespace = 'default';
const path = '/api/v1/namespaces/default/configmaps';
const labelSelector = (set: string) => `set=${set}`;
const core = () => kubeConfig(started).makeApiClient(CoreV1Api);
const typed = { apiVersion: 'v1', kind: 'ConfigMap' };
const create = (set: string, name: string) =>
  core().createNamespacedConfigMap({ namespace, body: { ...typed, metadata: { name, labels: { set } } } });
const remove = (name: string) => core().deleteNamespacedConfigMap({ namespace, name });

/** Its lines, and what it ended with. */
async function watch(query: Record<string, string>, server = started) {
  const lines: { readonly type: string; readonly object: KubernetesObject & { readonly code?: number } }[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<unknown>();
  const watching = new Watch(kubeConfig(server));
  const controller = await watching.watch(path, query, (type, object) => lines.push({ type, object }), resolve);
  const told = () => lines.map(({ type, object }) => `${type} ${object.metadata?.name}`);
  return { lines, told, ended, [Symbol.dispose]: () => controller.abort() };
}

test('Watch tells what came after a list, and goes on from any version it has seen', async () => {
  const selected = { labelSelector: labelSelector('resumed') };
  await create('resumed', 'before');
  const list = await core().listNamespacedConfigMap({ namespace, ...selected });
  using first = await watch({ ...selected, resourceVersion: list.metadata!.resourceVersion! });
  await create('resumed', 'after');
  await remove('before');
  const all = ['ADDED after', 'DELETED before'];
  await expect.poll(first.told).toEqual(all);
  const { resourceVersion } = first.lines[0]!.object.metadata!;
  using second = await watch({ ...selected, resourceVersion: resourceVersion! });
  await expect.poll(second.told).toEqual(all.slice(1));
});

test('Watch ends when the time is over that it asked for', async () => {
  using timed = await watch({ labelSelector: labelSelector('none'), timeoutSeconds: '1' });
  expect(await timed.ended).toBeNull();
});

test('Watch is told by an event of 410 that a version is gone', async () => {
  const { resourceVersion } = (await create('compacted', 'gone')).metadata!;
  await remove('gone');
  await started.store.compact(await started.store.currentRev());
  // A replica that started later has nothing in memory of what was before.
  await using other = await startTestServer({ store: started.store });
  using late = await watch({ resourceVersion: String(BigInt(resourceVersion!) - 1n) }, other);
  await late.ended;
  expect(late.lines).toMatchObject([{ type: 'ERROR', object: { code: 410, reason: 'Expired' } }]);
});

test('makeInformer() holds what there is, and tells of every change once', async () => {
  const selector = labelSelector('informed');
  await create('informed', 'first');
  const list = () => core().listNamespacedConfigMap({ namespace, labelSelector: selector });
  const informer = makeInformer(kubeConfig(started), path, list, selector);
  const told: string[] = [];
  for (const verb of ['add', 'update', 'delete'] as const)
    informer.on(verb, ({ metadata }) => void told.push(`${verb} ${metadata?.name}`));
  try {
    await informer.start();
    expect(told).toEqual(['add first']);
    await create('informed', 'second');
    await create('elsewhere', 'third');
    await core().replaceNamespacedConfigMap({
      namespace,
      name: 'second',
      body: { ...typed, metadata: { name: 'second', labels: { set: 'informed', more: 'yes' } } },
    });
    // It leaves the selection, which is a deletion to who looks at no more than that.
    await core().replaceNamespacedConfigMap({
      namespace,
      name: 'first',
      body: { ...typed, metadata: { name: 'first' } },
    });
    await expect.poll(() => told).toEqual(['add first', 'add second', 'update second', 'delete first']);
    expect(informer.list().map(({ metadata }) => metadata?.name)).toEqual(['second']);
  } finally {
    await informer.stop();
  }
});

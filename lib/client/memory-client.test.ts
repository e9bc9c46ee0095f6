import { expect, it } from 'vitest';
import { VMOperation } from '#lib/api/generated/index.ts';
import { clientSuite } from './client.suite.ts';
import { memoryClient } from './memory-client.ts';

clientSuite('memoryClient()', async () => ({ client: memoryClient(), [Symbol.asyncDispose]: async () => {} }));

it('watch() from before a compaction is Expired', async () => {
  const api = memoryClient();
  const { resourceVersion } = await api.list(VMOperation);
  await api.create(VMOperation, {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'VMOperation',
    metadata: { name: 'a', namespace: 'default' },
    spec: { vm: 'web-0', type: 'Stop' },
  });
  api.store.compact();
  const watch = api.watch(VMOperation, { resourceVersion })[Symbol.asyncIterator]();
  await expect(watch.next()).rejects.toMatchObject({ code: 'Expired' });
});

it('what comes out cannot be changed', async () => {
  const api = memoryClient();
  const { items } = await api.list((await import('#lib/api/core.ts')).Namespace);
  expect(() => Object.assign(items[0]!.metadata, { name: 'x' })).toThrow(TypeError);
});

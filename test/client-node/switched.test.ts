/** The informer of Kubernetes' own JavaScript client, between two servers over one store that take turns by chance. */
import { CoreV1Api, makeInformer, type V1ConfigMap } from '@kubernetes/client-node';
import { expect, test, vi } from 'vitest';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { systemClock } from '#lib/std/clock.ts';
import { seededRandom } from '#lib/std/random.ts';
import { seed } from '../seed.ts';
import { kubeConfig } from './config.ts';
import { switchingProxy } from './switching-proxy.ts';

const namespace = 'default';
const within = { timeout: 20_000, interval: 50 };

test('an informer between two servers hears everything once', { timeout: 60_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const one = stack.use(await startTestServer());
  // Both know the first one's token.
  const tokens = `${one.token},admin,1,"system:masters"\n`;
  const two = stack.use(await startTestServer({ tokens, store: one.store }));
  const proxy = stack.use(
    await switchingProxy([one.server.port, two.server.port], {
      ...{ random: seededRandom(seed), clock: systemClock, longestMs: 400 },
    }),
  );
  const switched = kubeConfig(one, {
    url: `https://127.0.0.1:${proxy.port}`,
    authorities: [one.authority, two.authority],
  });
  const heard = new Map<string, number>();
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  let lists = 0;
  const list = async () => {
    const found = await switched.makeApiClient(CoreV1Api).listNamespacedConfigMap({ namespace });
    lists++;
    return found;
  };
  const informer = makeInformer<V1ConfigMap>(switched, path, list);
  const count = (key: string) => heard.set(key, (heard.get(key) ?? 0) + 1);
  for (const verb of ['add', 'update'] as const)
    informer.on(verb, ({ metadata }) => count(`${verb} ${metadata?.name} ${metadata?.resourceVersion}`));
  informer.on('delete', ({ metadata }) => count(`delete ${metadata?.name}`));
  let over = false;
  let cuts = 0;
  // As its documentation advises: an error ends it, and it is started again.
  informer.on('error', () => {
    cuts++;
    if (!over) void systemClock.sleep(20).then(() => (over ? undefined : informer.start()));
  });
  stack.defer(async () => {
    over = true;
    await informer.stop();
  });
  await informer.start();
  // Its first list may be cut too, and of what is written before it has one it hears the last state alone.
  await vi.waitFor(() => expect(lists).toBeGreaterThan(0), within);

  const expected: string[] = [];
  const write = async (server: TestServer, method: string, name: string, body?: object) => {
    const target = method === 'POST' ? path : `${path}/${name}`;
    const headers = { 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' };
    const reply = await server.request(target, { method, headers, body });
    expect(reply.status, reply.text).toBeLessThan(300);
    const { resourceVersion } = (reply.json().metadata ?? {}) as { resourceVersion?: string };
    const verb = { POST: 'add', PATCH: 'update' }[method];
    expected.push(verb ? `${verb} ${name} ${resourceVersion}` : `delete ${name}`);
  };
  for (let round = 0; round < 60; round++) {
    const name = `switched-${round}`;
    const [here, there] = round % 2 === 0 ? [one, two] : [two, one];
    await write(here, 'POST', name, { metadata: { name } });
    for (let change = 0; change < 3; change++) await write(there, 'PATCH', name, { data: { change: `${change}` } });
    if (round % 3 === 0) await write(here, 'DELETE', name);
    await systemClock.sleep(30);
  }
  proxy.calm();
  await vi.waitFor(() => expect([...heard.keys()].sort()).toEqual(expected.sort()), within);
  expect([...heard].filter(([, times]) => times !== 1)).toEqual([]);
  expect(informer.list()).toHaveLength(40);
  expect(cuts).toBeGreaterThan(3);
  for (const connections of proxy.counts) expect(connections).toBeGreaterThan(0);
});

/** The server as clients see it, where the recordings of a real one do not reach. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { issue } from '#lib/tls/authority.ts';
import type { Json, JsonObject } from './json/json.ts';
import type { StoredObject } from './json/object.ts';
import { encodeProtobuf } from './protobuf/body.ts';
import { readLines, type Send } from './testing/http.ts';
import { startTestServer, type TestServer } from './testing/start.ts';

const maps = (namespace = 'default') => `/api/v1/namespaces/${namespace}/configmaps`;
const map = (name: string, more: object = {}, data: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...more },
  data,
});
const merge = { 'content-type': 'application/merge-patch+json' };

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer();
});
afterAll(() => started[Symbol.asyncDispose]());

async function ask(path: string, send: Send = {}, status = 200): Promise<JsonObject> {
  const reply = await started.request(path, send);
  expect(reply.status, reply.text).toBe(status);
  return reply.json();
}

const create = (path: string, body: object) => ask(path, { method: 'POST', body }, 201) as Promise<StoredObject>;
const patch = (path: string, body: object, status = 200) =>
  ask(path, { method: 'PATCH', headers: merge, body }, status);

function watchLines(
  path: string,
  count: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<JsonObject[]> {
  const options = { ca: started.authority.certificate, token: started.token, headers };
  return readLines(`${started.server.url}${path}`, options, (lines) => lines.length >= count);
}

describe('who may ask', () => {
  test('health and version are for everybody, nothing else is', async () => {
    for (const path of ['/livez', '/readyz', '/healthz', '/readyz/etcd', '/version'])
      expect((await started.request(path, { token: undefined })).status).toBe(200);
    for (const path of ['/api', '/metrics', '/openapi/v3', maps()])
      expect((await started.request(path, { token: undefined })).status).toBe(401);
    expect((await started.request(maps(), { token: 'guessed' })).status).toBe(401);
  });

  test('a client certificate of the authority says who one is, that of another does not', async () => {
    const jo = { commonName: 'jo', usage: 'client' } as const;
    const certificate = await issue(started.authority, { ...jo, organizations: ['system:masters'] });
    expect((await started.request(maps(), { token: undefined, certificate })).status).toBe(200);
    const plain = await issue(started.authority, jo);
    expect((await started.request(maps(), { token: undefined, certificate: plain })).json().message).toBe(
      'configmaps is forbidden: User "jo" cannot list resource "configmaps" in API group "" in the namespace "default"',
    );
    const { createAuthority } = await import('#lib/tls/authority.ts');
    const stranger = await issue(await createAuthority('other'), jo);
    expect((await started.request(maps(), { token: undefined, certificate: stranger })).status).toBe(401);
  });
});

describe('writes', () => {
  test('merge patches that race all count, and none is refused', async () => {
    await create(maps(), map('race'));
    const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
    await Promise.all(keys.map((key) => patch(`${maps()}/race`, { data: { [key]: '1' } })));
    const { data } = await ask(`${maps()}/race`);
    expect(Object.keys(data as JsonObject).sort()).toEqual(keys.sort());
  });

  test('of updates with one resourceVersion exactly one succeeds', async () => {
    const object = await create(maps(), map('cas'));
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        started.request(`${maps()}/cas`, { method: 'PUT', body: { ...object, data: { by: `${index}` } } }),
      ),
    );
    expect(replies.map((reply) => reply.status).sort()).toEqual([200, ...Array.from({ length: 9 }, () => 409)]);
  });

  test('a write that changes nothing leaves the revision as it is', async () => {
    const { metadata } = await create(maps(), map('same', {}, { a: '1' }));
    const again = (await patch(`${maps()}/same`, { data: { a: '1' } })) as StoredObject;
    expect(again.metadata.resourceVersion).toBe(metadata.resourceVersion);
  });

  test('names that are dangerous in JavaScript change no prototype', async () => {
    await create(maps(), map('proto'));
    const body = '{"data":{"__proto__":{"polluted":"yes"}}}';
    expect((await started.request(`${maps()}/proto`, { method: 'PATCH', headers: merge, body })).status).toBe(400);
    const path = '[{"op":"add","path":"/__proto__/polluted","value":"yes"}]';
    const headers = { 'content-type': 'application/json-patch+json' };
    expect((await started.request(`${maps()}/proto`, { method: 'PATCH', headers, body: path })).status).toBe(400);
    const kept = await patch(`${maps()}/proto`, { data: { constructor: 'a', toString: 'b' } });
    expect(kept.data).toEqual({ constructor: 'a', toString: 'b' });
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test('bodies that are too large or too deep are refused', async () => {
    const large = await started.request(maps(), {
      method: 'POST',
      body: map('large', {}, { a: 'x'.repeat(3_200_000) }),
    });
    expect(large.status).toBe(413);
    const deep = `{"apiVersion":"v1","kind":"ConfigMap","data":${'['.repeat(100)}${']'.repeat(100)}}`;
    const headers = { 'content-type': 'application/json' };
    expect((await started.request(maps(), { method: 'POST', headers, body: deep })).status).toBe(400);
  });

  test('a body in YAML is read, and one whose aliases explode is refused', async () => {
    const headers = { 'content-type': 'application/yaml' };
    const good = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-yaml}\ndata: {a: "1"}\n';
    expect((await started.request(maps(), { method: 'POST', headers, body: good })).status).toBe(201);
    const letters = 'bcdefgh'.split('').map((name, index) => {
      const before = String.fromCharCode('a'.charCodeAt(0) + index);
      return `${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(',')}]`;
    });
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]', ...letters].join('\n');
    expect((await started.request(maps(), { method: 'POST', headers, body: bomb })).status).toBe(400);
  });

  test('objects in protobuf are stored as if they had come as JSON', async () => {
    const send = (path: string, object: JsonObject) =>
      started.request(path, {
        method: 'POST',
        headers: { 'content-type': 'application/vnd.kubernetes.protobuf' },
        body: encodeProtobuf(object),
      });
    const spec = { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: '2026-01-02T03:04:05.000678Z' };
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'go' }, spec };
    const created = await send('/apis/coordination.k8s.io/v1/namespaces/default/leases', lease);
    expect(created.status).toBe(201);
    expect(created.json()).toMatchObject(lease);
    const involvedObject = { kind: 'Lease', namespace: 'default', name: 'go' };
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'go' },
      involvedObject,
      reason: 'Led',
      count: 1,
    };
    expect((await send('/api/v1/namespaces/default/events', event)).json()).toMatchObject(event);
    const custom = await send(maps().replace('configmaps', 'secrets'), lease);
    expect(custom.status).toBe(400);
    const broken = { method: 'POST', headers: { 'content-type': 'application/vnd.kubernetes.protobuf' }, body: 'x' };
    expect((await started.request(maps(), broken)).status).toBe(400);
  });

  test('texts of a secret are stored in base64 and not given back as texts', async () => {
    const path = '/api/v1/namespaces/default/secrets';
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { key: 'value' } };
    expect(await create(path, secret)).toMatchObject({ data: { key: 'dmFsdWU=' }, type: 'Opaque' });
    expect((await ask(`${path}/s`)).stringData).toBeUndefined();
  });
});

describe('namespaces', () => {
  const namespace = (name: string) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });

  test('nothing is created in one that is not there', async () => {
    const status = await ask(maps('nowhere'), { method: 'POST', body: map('a') }, 404);
    expect(status.message).toBe('namespaces "nowhere" not found');
  });

  test('one that is being deleted takes nothing new, and goes once it is finalised', async () => {
    await create('/api/v1/namespaces', namespace('leaving'));
    await create(maps('leaving'), map('a'));
    const marked = await ask('/api/v1/namespaces/leaving', { method: 'DELETE' });
    expect(marked).toMatchObject({ status: { phase: 'Terminating' }, spec: { finalizers: ['kubernetes'] } });
    const refused = await ask(maps('leaving'), { method: 'POST', body: map('b') }, 403);
    expect(refused).toMatchObject({ details: { causes: [{ reason: 'NamespaceTerminating' }] } });
    await ask(`${maps('leaving')}/a`, { method: 'DELETE' });
    const body = { ...marked, spec: { finalizers: [] } };
    await ask('/api/v1/namespaces/leaving/finalize', { method: 'PUT', body });
    await ask('/api/v1/namespaces/leaving', {}, 404);
  });

  test('objects of one namespace are not listed with those of another whose name begins alike', async () => {
    for (const name of ['a', 'ab']) {
      await create('/api/v1/namespaces', namespace(name));
      await create(maps(name), map(`in-${name}`));
    }
    const { items } = await ask(maps('a'));
    expect((items as StoredObject[]).map((item) => item.metadata.name)).toEqual(['in-a']);
  });
});

describe('deletion', () => {
  test('finalizers hold an object back, no new ones are taken, and the last one lets it go', async () => {
    await create(maps(), map('held', { finalizers: ['test.io/a', 'test.io/b'] }));
    await ask(`${maps()}/held`, { method: 'DELETE' });
    const more = await patch(
      `${maps()}/held`,
      { metadata: { finalizers: ['test.io/a', 'test.io/b', 'test.io/c'] } },
      422,
    );
    expect(more.message).toContain('no new finalizers can be added');
    await patch(`${maps()}/held`, { metadata: { finalizers: ['test.io/b'] } });
    await patch(`${maps()}/held`, { metadata: { finalizers: null } });
    await ask(`${maps()}/held`, {}, 404);
  });

  test('foreground and orphan leave their mark for the garbage collector', async () => {
    await create(maps(), map('owner'));
    const body = { propagationPolicy: 'Foreground' };
    const marked = (await ask(`${maps()}/owner`, { method: 'DELETE', body })) as StoredObject;
    expect(marked.metadata.finalizers).toEqual(['foregroundDeletion']);
    const orphan = (await ask(`${maps()}/owner?propagationPolicy=Orphan`, { method: 'DELETE' })) as StoredObject;
    expect(orphan.metadata.finalizers).toEqual(['orphan']);
    await patch(`${maps()}/owner`, { metadata: { finalizers: null } });
    await ask(`${maps()}/owner`, {}, 404);
  });
});

describe('watch', () => {
  test('headers come at once although nothing happens', async () => {
    const { metadata } = (await ask(maps())) as { metadata: { resourceVersion: string } };
    const query = `watch=true&fieldSelector=metadata.name%3Dnone&resourceVersion=${metadata.resourceVersion}`;
    expect(await watchLines(`${maps()}?${query}`, 0)).toEqual([]);
  });

  test('an object that begins or ceases to match a selector looks added or deleted', async () => {
    const { metadata } = (await ask(maps())) as { metadata: { resourceVersion: string } };
    await create(maps(), map('mover'));
    await patch(`${maps()}/mover`, { metadata: { labels: { seen: 'yes' } } });
    await patch(`${maps()}/mover`, { data: { a: '1' } });
    await patch(`${maps()}/mover`, { metadata: { labels: { seen: 'no' } } });
    const query = `watch=true&labelSelector=seen%3Dyes&resourceVersion=${metadata.resourceVersion}`;
    const lines = await watchLines(`${maps()}?${query}`, 3);
    expect(lines.map((line) => line.type)).toEqual(['ADDED', 'MODIFIED', 'DELETED']);
    expect(lines[2]).toMatchObject({ object: { data: { a: '1' }, metadata: { labels: { seen: 'yes' } } } });
  });

  test('initial events end with a marked bookmark, and later events follow', async () => {
    await create(maps(), map('initial', { labels: { set: 'initial' } }));
    const query =
      'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=set%3Dinitial';
    const watching = watchLines(`${maps()}?${query}`, 3);
    await patch(`${maps()}/initial`, { data: { later: '1' } });
    const lines = await watching;
    const bookmark = lines.findIndex((line) => line.type === 'BOOKMARK');
    expect(lines[0]).toMatchObject({ type: 'ADDED' });
    expect(lines[bookmark]).toMatchObject({
      object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    });
  });

  test('a table names its columns only in its first event', async () => {
    await create(maps(), map('t1', { labels: { set: 'table' } }));
    await create(maps(), map('t2', { labels: { set: 'table' } }));
    const accept = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
    const lines = await watchLines(`${maps()}?watch=true&labelSelector=set%3Dtable`, 2, accept);
    const columns = lines.map((line) => ((line.object as JsonObject).columnDefinitions as Json[]).length);
    expect(columns).toEqual([3, 0]);
  });

  test('a revision that was forgotten is told as an event under status 200', async () => {
    await using other = await startTestServer();
    for (const name of ['a', 'b']) await other.request(maps(), { method: 'POST', body: map(name) });
    const current = (await other.request(maps())).json() as { metadata: { resourceVersion: string } };
    await other.store.compact(BigInt(current.metadata.resourceVersion));
    // The cache loads after that, so it cannot know what came before.
    const reply = await other.request(`${maps()}?watch=true&resourceVersion=1`);
    expect(reply.status).toBe(200);
    expect(reply.json()).toMatchObject({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
  });

  test('a stopping server ends watches', async () => {
    await using other = await startTestServer();
    const options = { ca: other.authority.certificate, token: other.token };
    const open = Promise.withResolvers<void>();
    const ended = readLines(`${other.server.url}${maps()}?watch=true&resourceVersion=0`, options, () => {
      open.resolve();
      return false;
    });
    await open.promise;
    await other.server[Symbol.asyncDispose]();
    expect(await ended).toEqual([]);
  });
});

test('pages of a list all speak of one moment', async () => {
  for (let index = 0; index < 7; index++) await create(maps('cf-public'), map(`p${index}`));
  const first = (await ask(`${maps('cf-public')}?limit=3`)) as unknown as ListPage;
  expect(first.metadata).toMatchObject({ remainingItemCount: 4 });
  await ask(`${maps('cf-public')}/p5`, { method: 'DELETE' });
  await create(maps('cf-public'), map('p55'));
  const names: string[] = first.items.map((item) => item.metadata.name);
  for (let next = first.metadata.continue; next; ) {
    const page = (await ask(`${maps('cf-public')}?limit=3&continue=${next}`)) as unknown as ListPage;
    expect(page.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    names.push(...page.items.map((item) => item.metadata.name));
    next = page.metadata.continue;
  }
  expect(names).toEqual(['p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6']);
});

interface ListPage {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly StoredObject[];
}

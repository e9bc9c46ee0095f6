/** What resourceVersion, resourceVersionMatch, limit, continue and sendInitialEvents mean together, as clients see it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { type Reply, readLines } from '#apiserver/testing/http.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer({ crds: [] });
});
afterAll(() => started[Symbol.asyncDispose]());

let folders = 0;
/** A namespace of its own for each test. */
async function folder(): Promise<string> {
  const name = `rv-${++folders}`;
  const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  await started.request('/api/v1/namespaces', { method: 'POST', body });
  return `/api/v1/namespaces/${name}/configmaps`;
}

async function put(maps: string, name: string, labels: object = {}): Promise<bigint> {
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels } };
  const reply = await started.request(maps, { method: 'POST', body });
  return BigInt((reply.json() as StoredObject).metadata.resourceVersion);
}

interface List extends JsonObject {
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
  items: StoredObject[];
}

const get = async (path: string) => (await started.request(path)).json() as List;
const names = ({ items }: List) => items.map(({ metadata }) => metadata.name);
const tooLarge = (reply: Reply) => {
  expect(reply.status).toBe(504);
  expect(reply.headers['retry-after']).toBe('1');
  expect(reply.json()).toMatchObject({
    reason: 'Timeout',
    details: { causes: [{ reason: 'ResourceVersionTooLarge' }] },
  });
};

function watchLines(path: string, count: number): Promise<JsonObject[]> {
  const options = { ca: started.authority.certificate, token: started.token };
  return readLines(`${started.server.url}${path}`, options, (lines) => lines.length >= count);
}

const told = (lines: readonly JsonObject[]) =>
  lines.map(({ type, object }) => `${type} ${(object as unknown as StoredObject).metadata.name}`);

describe('get', () => {
  test('the newest answers every revision up to now, a later one is 504, and what is none is 400', async () => {
    const maps = await folder();
    const rev = await put(maps, 'a');
    for (const version of ['', '0', '1', String(rev)])
      expect((await started.request(`${maps}/a?resourceVersion=${version}`)).status).toBe(200);
    tooLarge(await started.request(`${maps}/a?resourceVersion=${rev + 1_000n}`));
    for (const version of ['x', '-1', '9223372036854775808', '99999999999999999999'])
      expect((await started.request(`${maps}/a?resourceVersion=${version}`)).status).toBe(400);
  });
});

describe('list', () => {
  test('Exact shows what was, NotOlderThan what is, and neither what is yet to come', async () => {
    const maps = await folder();
    const rev = await put(maps, 'a');
    await put(maps, 'b');
    const exact = await get(`${maps}?resourceVersion=${rev}&resourceVersionMatch=Exact`);
    expect([names(exact), exact.metadata.resourceVersion]).toEqual([['a'], String(rev)]);
    expect(names(await get(`${maps}?resourceVersion=${rev}&limit=5`))).toEqual(['a']);
    for (const query of [
      `resourceVersion=${rev}&resourceVersionMatch=NotOlderThan`,
      `resourceVersion=${rev}`,
      'resourceVersion=0&limit=1',
    ])
      expect(names(await get(`${maps}?${query}`)), query).toEqual(['a', 'b']);
    for (const match of ['Exact', 'NotOlderThan'])
      tooLarge(await started.request(`${maps}?resourceVersion=${rev + 1_000n}&resourceVersionMatch=${match}`));
  });

  test.each([
    ['resourceVersionMatch=Exact', 422],
    ['resourceVersion=0&resourceVersionMatch=Exact', 422],
    ['resourceVersion=1&resourceVersionMatch=Newest', 422],
    ['sendInitialEvents=true', 422],
    ['continue=nonsense', 400],
    ['resourceVersion=1&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiIvYVx1MDAwMCJ9', 400],
    ['limit=many', 400],
  ])('%s is refused with %i', async (query, status) => {
    expect((await started.request(`${await folder()}?${query}`)).status).toBe(status);
  });

  test('all pages are of the first one, and count what is left where no selector leaves things out', async () => {
    const maps = await folder();
    for (const name of ['a', 'b', 'c', 'd', 'e']) await put(maps, name, { odd: String(name !== 'b') });
    const first = await get(`${maps}?limit=2`);
    expect([names(first), first.metadata.remainingItemCount]).toEqual([['a', 'b'], 3]);
    await put(maps, 'bb');
    await started.request(`${maps}/c`, { method: 'DELETE' });
    const second = await get(`${maps}?limit=2&continue=${first.metadata.continue}`);
    const third = await get(`${maps}?limit=2&continue=${second.metadata.continue}`);
    expect([names(second), names(third)]).toEqual([['c', 'd'], ['e']]);
    const revisions = [first, second, third].map(({ metadata }) => metadata.resourceVersion);
    expect(new Set(revisions).size).toBe(1);
    expect([second, third].map(({ metadata }) => metadata.remainingItemCount)).toEqual([1, undefined]);
    const selected = await get(`${maps}?limit=2&labelSelector=odd%3Dtrue`);
    expect([names(selected), selected.metadata.remainingItemCount]).toEqual([['a', 'd'], undefined]);
  });

  test('when the first page is compacted away, 410 carries a token for the rest as it is now', async () => {
    const maps = await folder();
    for (const name of ['a', 'b', 'c']) await put(maps, name);
    const first = await get(`${maps}?limit=1`);
    const rev = await put(maps, 'bb');
    await started.store.compact(rev);
    const gone = await started.request(`${maps}?limit=1&continue=${first.metadata.continue}`);
    expect([gone.status, gone.json().reason]).toEqual([410, 'Expired']);
    const rest = await get(`${maps}?continue=${(gone.json() as unknown as List).metadata.continue}`);
    expect(names(rest)).toEqual(['b', 'bb', 'c']);
    const exact = `${maps}?resourceVersion=${first.metadata.resourceVersion}&resourceVersionMatch=Exact`;
    expect((await started.request(exact)).status).toBe(410);
  });
});

describe('watch', () => {
  test('from a revision yet to come is silent until it is there', async () => {
    const maps = await folder();
    const rev = await put(maps, 'a');
    const silent = await started.request(`${maps}?watch=true&resourceVersion=${rev + 1_000n}&timeoutSeconds=1`);
    expect([silent.status, silent.text]).toEqual([200, '']);
    const watching = watchLines(`${maps}?watch=true&resourceVersion=${rev + 2n}`, 1);
    for (const name of ['b', 'c', 'd']) await put(maps, name);
    expect(told(await watching)).toEqual(['ADDED d']);
  });

  test('sendInitialEvents=false begins with now, true with a state that is not older than asked', async () => {
    const maps = await folder();
    const rev = await put(maps, 'a');
    const match = 'resourceVersionMatch=NotOlderThan';
    const later = watchLines(`${maps}?watch=true&sendInitialEvents=false&${match}`, 1);
    const all = `${maps}?watch=true&sendInitialEvents=true&${match}&allowWatchBookmarks=true`;
    expect(told(await watchLines(`${all}&resourceVersion=${rev}`, 2))).toEqual(['ADDED a', 'BOOKMARK undefined']);
    tooLarge(await started.request(`${all}&resourceVersion=${rev + 1_000n}`));
    await put(maps, 'b');
    expect(told(await later)).toEqual(['ADDED b']);
  });

  test.each([
    'sendInitialEvents=true',
    'sendInitialEvents=false&resourceVersionMatch=Exact',
    'resourceVersionMatch=NotOlderThan',
    'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x',
  ])('%s is refused with 422 before anything is sent', async (query) => {
    expect((await started.request(`${await folder()}?watch=true&${query}`)).status).toBe(422);
  });

  test('the old paths watch a collection, or one object', async () => {
    const maps = await folder();
    for (const name of ['a', 'b']) await put(maps, name);
    const old = maps.replace('/api/v1/', '/api/v1/watch/');
    expect(told(await watchLines(old, 2))).toEqual(['ADDED a', 'ADDED b']);
    const one = await started.request(`${old}/b?timeoutSeconds=1`);
    expect(one.text.trim().split('\n')).toHaveLength(1);
    expect(one.json()).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'b' } } });
  });
});

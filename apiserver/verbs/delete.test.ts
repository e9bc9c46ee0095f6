/** DELETE of one object and of collections, where the recordings do not reach. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';

const maps = '/api/v1/namespaces/default/configmaps';
const pools = '/apis/computefactory.io/v1alpha1/namespaces/default/vmpools';

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer();
});
afterAll(() => started[Symbol.asyncDispose]());

async function ask(method: string, path: string, status: number, body?: object): Promise<JsonObject> {
  const merge = { 'content-type': 'application/merge-patch+json' };
  const reply = await started.request(path, { method, body, ...(method === 'PATCH' && { headers: merge }) });
  expect(reply.status, reply.text).toBe(status);
  return reply.json();
}

async function map(name: string, metadata: object = {}): Promise<StoredObject> {
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata } };
  return (await ask('POST', maps, 201, body)) as StoredObject;
}

async function names(selector: string): Promise<string[]> {
  const { items } = await ask('GET', `${maps}?labelSelector=${selector}`, 200);
  return (items as StoredObject[]).map(({ metadata }) => metadata.name);
}

describe('one object', () => {
  test('is marked once: time, no grace, and one more generation', async () => {
    const template = { spec: { image: { name: 'x' }, resources: { cores: 1, memory: '1Gi' } } };
    const metadata = { name: 'held', finalizers: ['test.io/held'] };
    const body = { apiVersion: 'computefactory.io/v1alpha1', kind: 'VMPool', metadata, spec: { template } };
    await ask('POST', pools, 201, body);
    const marked = (await ask('DELETE', `${pools}/held`, 200)) as StoredObject;
    expect(marked.metadata).toMatchObject({ generation: 2, deletionGracePeriodSeconds: 0 });
    expect(await ask('DELETE', `${pools}/held`, 200, { gracePeriodSeconds: 30 })).toEqual(marked);
    await ask('PATCH', `${pools}/held`, 200, { metadata: { finalizers: null } });
    await ask('GET', `${pools}/held`, 404);
  });

  test('is not touched by a dry run, whichever way it would go', async () => {
    const made = await map('dry');
    expect(await ask('DELETE', `${maps}/dry?dryRun=All`, 200)).toMatchObject({ kind: 'Status', status: 'Success' });
    const marked = await ask('DELETE', `${maps}/dry`, 200, { dryRun: ['All'], propagationPolicy: 'Foreground' });
    expect(marked).toMatchObject({ metadata: { finalizers: ['foregroundDeletion'] } });
    expect(await ask('GET', `${maps}/dry`, 200)).toEqual(made);
  });

  test('goes at once in the background after all, unless somebody else holds it', async () => {
    await map('switched', { finalizers: ['test.io/held'] });
    const foreground = (await ask('DELETE', `${maps}/switched?propagationPolicy=Foreground`, 200)) as StoredObject;
    expect(foreground.metadata.finalizers).toEqual(['test.io/held', 'foregroundDeletion']);
    const both = { metadata: { finalizers: ['orphan', 'foregroundDeletion'] } };
    await ask('PATCH', `${maps}/switched`, 422, both);
    const background = (await ask('DELETE', `${maps}/switched?propagationPolicy=Background`, 200)) as StoredObject;
    expect(background.metadata.finalizers).toEqual(['test.io/held']);
    await ask('PATCH', `${maps}/switched`, 200, { metadata: { finalizers: [] } });
    await ask('GET', `${maps}/switched`, 404);
  });

  test('goes only as the version that the client has seen', async () => {
    const { metadata } = await map('seen');
    await ask('PATCH', `${maps}/seen`, 200, { data: { a: 'b' } });
    const { resourceVersion, uid } = metadata;
    await ask('DELETE', `${maps}/seen`, 409, { preconditions: { uid, resourceVersion } });
    await ask('DELETE', `${maps}/seen`, 409, { preconditions: { uid: 'another' } });
    await ask('DELETE', `${maps}/seen`, 200, { preconditions: { uid } });
  });

  test('an Event goes at once: nobody would take a finalizer away from it', async () => {
    const events = '/api/v1/namespaces/default/events';
    const involvedObject = { kind: 'ConfigMap', namespace: 'default', name: 'a' };
    await ask('POST', events, 201, { apiVersion: 'v1', kind: 'Event', metadata: { name: 'e' }, involvedObject });
    await ask('DELETE', `${events}/e`, 200, { propagationPolicy: 'Foreground' });
    await ask('GET', `${events}/e`, 404);
  });

  test.each([
    ['gracePeriodSeconds=-1', 'gracePeriodSeconds'],
    ['propagationPolicy=Sideways', 'propagationPolicy'],
    ['propagationPolicy=Orphan&orphanDependents=true', 'orphanDependents'],
    ['dryRun=Some', 'dryRun'],
  ])('%s is refused', async (query, field) => {
    await map('kept');
    const { details } = await ask('DELETE', `${maps}/kept?${query}`, 422);
    expect(details).toMatchObject({ causes: [{ field }] });
    await ask('DELETE', `${maps}/kept`, 200);
  });
});

describe('a collection', () => {
  test('takes the policy to each object, and answers with the list', async () => {
    for (const name of ['p-0', 'p-1']) await map(name, { labels: { set: 'policy' } });
    const policy = { propagationPolicy: 'Orphan' };
    expect(await ask('DELETE', `${maps}?labelSelector=set%3Dpolicy`, 200, policy)).toMatchObject({
      kind: 'ConfigMapList',
      items: [{ metadata: { name: 'p-0' } }, { metadata: { name: 'p-1' } }],
    });
    expect(await names('set%3Dpolicy')).toEqual(['p-0', 'p-1']);
    for (const name of ['p-0', 'p-1']) await ask('PATCH', `${maps}/${name}`, 200, { metadata: { finalizers: null } });
    expect(await names('set%3Dpolicy')).toEqual([]);
  });

  test('loses no more than the limit', async () => {
    for (const name of ['l-0', 'l-1', 'l-2']) await map(name, { labels: { set: 'limit' } });
    await ask('DELETE', `${maps}?labelSelector=set%3Dlimit&limit=2`, 200);
    expect(await names('set%3Dlimit')).toEqual(['l-2']);
    await ask('DELETE', `${maps}?fieldSelector=metadata.name%3Dl-2`, 200);
    expect(await names('set%3Dlimit')).toEqual([]);
  });

  test('of which no object is as the preconditions say loses none, and says so', async () => {
    const { metadata } = await map('c-0', { labels: { set: 'condition' } });
    await map('c-1', { labels: { set: 'condition' } });
    const query = `${maps}?labelSelector=set%3Dcondition`;
    await ask('DELETE', query, 409, { preconditions: { uid: 'another' } });
    expect(await names('set%3Dcondition')).toEqual(['c-0', 'c-1']);
    await ask('DELETE', query, 409, { preconditions: { uid: metadata.uid } });
    expect(await names('set%3Dcondition')).toEqual(['c-1']);
  });

  test('a field that cannot be selected by deletes nothing', async () => {
    await map('safe');
    await ask('DELETE', `${maps}?fieldSelector=data.a%3Db`, 400);
    await ask('GET', `${maps}/safe`, 200);
  });
});

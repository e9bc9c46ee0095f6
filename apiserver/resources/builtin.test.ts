/** Kubernetes' own kinds as clients meet them: rules, both views of events, tables. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '#apiserver/json/json.ts';
import { encodeProtobuf } from '#apiserver/protobuf/body.ts';
import { readLines, type Send } from '#apiserver/testing/http.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer();
});
afterAll(() => started[Symbol.asyncDispose]());

const core = '/api/v1/namespaces/default';
const newEvents = '/apis/events.k8s.io/v1/namespaces/default/events';
const leases = '/apis/coordination.k8s.io/v1/namespaces/default/leases';

async function ask(path: string, send: Send = {}, status = 200): Promise<JsonObject> {
  const reply = await started.request(path, send);
  expect(reply.status, reply.text).toBe(status);
  return reply.json();
}

const post = (path: string, body: object, status = 201) => ask(path, { method: 'POST', body }, status);
const put = (path: string, body: object, status = 200) => ask(path, { method: 'PUT', body }, status);
const named = (kind: string, name: string, more: object) => ({ apiVersion: 'v1', kind, metadata: { name }, ...more });

/** What the refusal says, field by field. */
async function refused(path: string, body: object, method = 'POST'): Promise<string[]> {
  const { details } = await ask(path, { method, body }, 422);
  const { causes } = details as { causes: { field: string; message: string }[] };
  return causes.map(({ field, message }) => `${field}: ${message.slice(0, 60)}`);
}

describe('rules', () => {
  test.each<[string, object, RegExp]>([
    ['configmaps', named('ConfigMap', 'a', { data: { 'a b': '' } }), /^data\[a b\]: .*a valid config key/],
    ['configmaps', named('ConfigMap', 'a', { data: { '..': '' } }), /must not be '\.\.'/],
    [
      'configmaps',
      named('ConfigMap', 'a', { data: { a: '1' }, binaryData: { a: 'MQ==' } }),
      /duplicate of key present/,
    ],
    ['configmaps', named('ConfigMap', 'a', { data: { a: 'x'.repeat(1024 * 1024 + 1) } }), /Too long/],
    ['secrets', named('Secret', 'a', { stringData: { a: 'x'.repeat(1024 * 1024 + 1) } }), /^data: Too long/],
    ['secrets', named('Secret', 'a', { type: 'kubernetes.io/tls' }), /^data\[tls.crt\]: Required/],
    ['secrets', named('Secret', 'a', { type: 'kubernetes.io/basic-auth' }), /^data\[username\]: Required/],
    ['secrets', named('Secret', 'a', { type: 'kubernetes.io/ssh-auth' }), /^data\[ssh-privatekey\]: Required/],
    ['secrets', named('Secret', 'a', { type: 'kubernetes.io/service-account-token' }), /^metadata.annotations\[/],
    [
      'secrets',
      named('Secret', 'a', { type: 'kubernetes.io/dockerconfigjson', stringData: { '.dockerconfigjson': '{' } }),
      /redacted/,
    ],
    ['events', named('Event', 'a', { involvedObject: { namespace: 'other' } }), /does not match event.namespace/],
    ['events', named('Event', 'a', { involvedObject: {}, eventTime: '2026-01-01T00:00:00Z' }), /^reportingComponent/],
  ])('%s: %j', async (plural, body, why) => {
    const causes = await refused(`${core}/${plural}`, body);
    expect(
      causes.some((cause) => why.test(cause)),
      causes.join('\n'),
    ).toBe(true);
  });

  test('a Lease lasts more than nothing', async () => {
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'bad' } };
    const spec = { leaseDurationSeconds: 0, leaseTransitions: -1, preferredHolder: 'b' };
    expect(await refused(leases, { ...lease, spec })).toHaveLength(3);
  });

  test('a body may leave its type to the path, but not name another one', async () => {
    const body = { metadata: { name: 'untyped' }, data: { a: '1' } };
    const typed = { kind: 'ConfigMap', apiVersion: 'v1' };
    expect(await post(`${core}/configmaps`, body)).toMatchObject(typed);
    expect(await put(`${core}/configmaps/untyped`, { ...body, kind: '', apiVersion: '' })).toMatchObject(typed);
    await post(`${core}/configmaps`, { ...body, apiVersion: 'v2' }, 400);
    expect(await refused(`${core}/configmaps`, { ...body, kind: 'Secret' })).toContainEqual(
      expect.stringMatching(/^kind: .*must be ConfigMap/),
    );
    const pools = '/apis/computefactory.io/v1alpha1/namespaces/default/vmpools';
    expect(await post(pools, body, 400)).toMatchObject({ message: expect.stringContaining("'Kind' is missing") });
  });

  test('what is immutable stays as it is, in all but its metadata', async () => {
    await post(`${core}/configmaps`, named('ConfigMap', 'fixed', { data: { a: '1' }, immutable: true }));
    const path = `${core}/configmaps/fixed`;
    const changed = await refused(path, named('ConfigMap', 'fixed', { data: { a: '2' } }), 'PUT');
    expect(changed.map((cause) => cause.split(':')[0])).toEqual(['immutable', 'data']);
    const labelled = named('ConfigMap', 'fixed', { data: { a: '1' }, immutable: true });
    await put(path, { ...labelled, metadata: { name: 'fixed', labels: { a: 'b' } } });
    await post(`${core}/secrets`, named('Secret', 'typed', {}));
    expect(await refused(`${core}/secrets/typed`, named('Secret', 'typed', { type: 'other' }), 'PUT')).toHaveLength(1);
  });

  test('null is not there, as Go writes it; stringData ends up in data', async () => {
    const secret = named('Secret', 'nulls', { data: null, stringData: { a: 'b' }, immutable: null });
    const created = await post(`${core}/secrets?fieldValidation=Strict`, secret);
    expect(created).toMatchObject({ data: { a: 'Yg==' }, type: 'Opaque' });
    expect(created).not.toHaveProperty('immutable');
  });
});

describe('events', () => {
  const event = {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: 'new', namespace: 'default' },
    eventTime: '2026-01-01T00:00:00.000001Z',
    reportingController: 'example.com/controller',
    reportingInstance: 'one',
    action: 'Starting',
    reason: 'Started',
    regarding: { kind: 'VMPool', namespace: 'default', name: 'pool' },
    note: 'it has begun',
    type: 'Normal',
  };

  test('both groups show the same ones, each in its own words', async () => {
    const body = encodeProtobuf(event);
    const headers = { 'content-type': 'application/vnd.kubernetes.protobuf' };
    const created = await ask(newEvents, { method: 'POST', headers, body }, 201);
    expect(created).toMatchObject(event);
    const old = await ask(`${core}/events/new`);
    expect(old).toMatchObject({
      apiVersion: 'v1',
      involvedObject: event.regarding,
      message: event.note,
      reportingComponent: event.reportingController,
    });
    await post(
      `${core}/events`,
      named('Event', 'old', { involvedObject: {}, message: 'm', count: 3, source: { component: 'c' } }),
    );
    const renamed = { note: 'm', deprecatedCount: 3, deprecatedSource: { component: 'c' } };
    expect(await ask(`${newEvents}/old`)).toMatchObject(renamed);
    const { items } = await ask(
      `${newEvents}?fieldSelector=regarding.kind=VMPool,reportingController=example.com/controller`,
    );
    expect(items).toEqual([created]);
    const same = await ask(`${core}/events?fieldSelector=involvedObject.kind=VMPool,reason=Started,type=Normal`);
    expect(same.items).toEqual([old]);
    await ask(`${newEvents}?fieldSelector=involvedObject.kind=VMPool`, {}, 400);
  });

  test('a watch of one group hears of what is written to the other', async () => {
    const { metadata } = await ask(newEvents);
    const { resourceVersion } = metadata as { resourceVersion: string };
    const url = `${started.server.url}${newEvents}?watch=1&resourceVersion=${resourceVersion}`;
    const options = { ca: started.authority.certificate, token: started.token };
    const lines = readLines(url, options, (seen) => seen.length >= 2);
    await post(`${core}/events`, named('Event', 'heard', { involvedObject: {}, message: 'one', count: 1 }));
    const patch = { method: 'PATCH', headers: { 'content-type': 'application/strategic-merge-patch+json' } };
    await ask(`${core}/events/heard`, { ...patch, body: { count: 2, message: 'two' } });
    expect(await lines).toMatchObject([
      { type: 'ADDED', object: { apiVersion: 'events.k8s.io/v1', note: 'one', deprecatedCount: 1 } },
      { type: 'MODIFIED', object: { note: 'two', deprecatedCount: 2 } },
    ]);
  });

  test('of events.k8s.io change in nothing but their series', async () => {
    const series = { count: 2, lastObservedTime: '2026-01-01T00:01:00.000000Z' };
    await post(newEvents, { ...event, metadata: { name: 'series' } });
    const path = `${newEvents}/series`;
    const grown = await put(path, { ...event, metadata: { name: 'series' }, series });
    expect(grown).toMatchObject({ series });
    const changed = { ...event, metadata: { name: 'series' }, series: { count: 1 }, note: 'other' };
    const causes = await refused(path, changed, 'PUT');
    expect(causes.map((cause) => cause.split(':')[0]).sort()).toEqual([
      'note',
      'series.count',
      'series.lastObservedTime',
    ]);
    const { metadata: _, eventTime: __, action: ___, ...rest } = event;
    expect(await refused(newEvents, { ...rest, metadata: { name: 'bad' }, type: 'Odd' })).toHaveLength(3);
  });
});

describe('tables', () => {
  const table = (version: string) => ({ headers: { accept: `application/json;as=Table;v=${version};g=meta.k8s.io` } });
  const cellsOf = ({ rows }: JsonObject) => (rows as { cells: unknown[] }[]).map(({ cells }) => cells);
  const namesOf = (answer: JsonObject) => (answer.columnDefinitions as { name: string }[]).map(({ name }) => name);

  test('events begin with when they were last seen, and end with their name', async () => {
    const series = { count: 7, lastObservedTime: new Date(Date.now() - 5 * 60_000).toISOString() };
    const involvedObject = { kind: 'VMPool', name: 'web', fieldPath: 'spec.x' };
    await post(
      `${core}/events`,
      named('Event', 'shown', {
        involvedObject,
        series,
        reason: 'R',
        type: 'Warning',
        message: ' text ',
        source: { component: 'c', host: 'h' },
      }),
    );
    for (const path of [`${core}/events/shown`, `${newEvents}/shown`]) {
      const answer = await ask(path, table('v1'));
      expect(namesOf(answer).slice(0, 5)).toEqual(['Last Seen', 'Type', 'Reason', 'Object', 'Subobject']);
      expect(namesOf(answer).slice(5)).toEqual(['Source', 'Message', 'First Seen', 'Count', 'Name']);
      const [cells] = cellsOf(answer);
      expect(cells).toEqual(['5m', 'Warning', 'R', 'vmpool/web', 'spec.x', 'c, h', 'text', '<unknown>', 7, 'shown']);
    }
  });

  test.each([
    [
      'configmaps',
      named('ConfigMap', 't', { data: { a: '1' }, binaryData: { b: 'MQ==' } }),
      ['Name', 'Data', 'Age'],
      ['t', 2],
    ],
    ['secrets', named('Secret', 't', { stringData: { a: '1' } }), ['Name', 'Type', 'Data', 'Age'], ['t', 'Opaque', 1]],
    [
      'serviceaccounts',
      named('ServiceAccount', 't', { secrets: [{ name: 's' }] }),
      ['Name', 'Secrets', 'Age'],
      ['t', 1],
    ],
  ])('%s', async (plural, body, names, cells) => {
    await post(`${core}/${plural}`, body);
    const answer = await ask(`${core}/${plural}/t`, table('v1'));
    expect(namesOf(answer)).toEqual(names);
    expect(cellsOf(answer)[0]!.slice(0, -1)).toEqual(cells);
  });

  test('in v1beta1 for those who know no better, with as much of the object as they ask for', async () => {
    await post(`${core}/configmaps`, named('ConfigMap', 'beta', { data: { a: '1' } }));
    const path = `${core}/configmaps/beta`;
    const answer = await ask(path, table('v1beta1'));
    expect(answer).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1beta1' });
    expect(answer.rows).toMatchObject([
      { object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1beta1' } },
    ]);
    expect((await ask(`${path}?includeObject=Object`, table('v1'))).rows).toMatchObject([
      { object: { data: { a: '1' } } },
    ]);
    expect((await ask(`${path}?includeObject=None`, table('v1'))).rows).toMatchObject([{ object: null }]);
    await ask(`${path}?includeObject=Half`, table('v1'), 422);
  });
});

describe('forms of an answer', () => {
  const map = `${core}/configmaps/kube`;
  beforeAll(() => post(`${core}/configmaps`, named('ConfigMap', 'kube', { data: { a: '1' } })));

  test.each([
    ['application/yaml', 'application/yaml'],
    ['application/yaml;q=0.5, application/json;q=0.9', 'application/json'],
    ['application/json;q=0, application/yaml', 'application/yaml'],
    ['application/vnd.kubernetes.protobuf, application/json', 'application/json'],
    ['application/json;q=0.9,application/cbor;q=1', 'application/json'],
    ['text/html, */*;q=0.1', 'application/json'],
  ])('Accept: %s gets %s', async (accept, type) => {
    const reply = await started.request(map, { headers: { accept } });
    expect([reply.status, reply.headers['content-type']]).toEqual([200, type]);
  });

  test('a refusal comes in the form that is read', async () => {
    const accept = { headers: { accept: 'application/yaml' } };
    const missing = await started.request(`${map}x`, accept);
    expect([missing.status, missing.headers['content-type']]).toEqual([404, 'application/yaml']);
    expect(missing.text).toContain('reason: NotFound');
    const neither = await started.request(map, { headers: { accept: 'application/foo' } });
    expect(neither.json()).toMatchObject({ code: 406, reason: 'NotAcceptable' });
    const protobuf = await started.request(map, { headers: { accept: 'application/vnd.kubernetes.protobuf' } });
    expect([protobuf.status, protobuf.headers['content-type']]).toEqual([406, 'application/vnd.kubernetes.protobuf']);
    const unknown = await started.request(`${core}/configmaps`, {
      method: 'POST',
      headers: { 'content-type': 'text/x' },
      body: 'x',
    });
    expect(unknown.json()).toMatchObject({ code: 415, reason: 'UnsupportedMediaType' });
  });

  test('pretty for people: by the query, or by their program', async () => {
    const lines = async (path: string, agent: string) =>
      (await started.request(path, { headers: { 'user-agent': agent } })).text.split('\n').length > 2;
    expect(await lines(map, 'kubectl/v1')).toBe(false);
    expect(await lines(map, 'curl/8.0')).toBe(true);
    expect(await lines(`${map}?pretty=false`, 'curl/8.0')).toBe(false);
    expect(await lines(`${map}?pretty=1`, 'kubectl/v1')).toBe(true);
  });

  test('HEAD is GET without the body', async () => {
    const reply = await started.request(map, { method: 'HEAD' });
    expect([reply.status, reply.text, reply.headers['content-type']]).toEqual([200, '', 'application/json']);
    expect((await started.request(`${map}x`, { method: 'HEAD' })).status).toBe(404);
  });

  test('large answers are compressed for those who ask for it', async () => {
    await post(`${core}/configmaps`, named('ConfigMap', 'large', { data: { a: 'x'.repeat(200_000) } }));
    const gzip = { headers: { 'accept-encoding': 'gzip' } };
    const large = await started.request(`${core}/configmaps/large`, gzip);
    expect(large.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding' });
    expect(JSON.parse(large.text)).toMatchObject({ metadata: { name: 'large' } });
    expect((await started.request(map, gzip)).headers).not.toHaveProperty('content-encoding');
    const refused = { headers: { 'accept-encoding': 'gzip;q=0' } };
    expect((await started.request(`${core}/configmaps/large`, refused)).headers).not.toHaveProperty('content-encoding');
  });

  test('metadata alone, of one, of a list and of a watch', async () => {
    const headers = { accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1' };
    const list = await ask(`${core}/configmaps?fieldSelector=metadata.name=kube`, { headers });
    expect(list).toMatchObject({ kind: 'PartialObjectMetadataList', items: [{ metadata: { name: 'kube' } }] });
    const one = { accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1' };
    expect(await ask(map, { headers: one })).not.toHaveProperty('data');
    const options = { ca: started.authority.certificate, token: started.token, headers: one };
    const url = `${started.server.url}${core}/configmaps?watch=1&fieldSelector=metadata.name=kube`;
    const [line] = await readLines(url, options, (seen) => seen.length >= 1);
    expect(line).toMatchObject({
      type: 'ADDED',
      object: { kind: 'PartialObjectMetadata', metadata: { name: 'kube' } },
    });
  });
});

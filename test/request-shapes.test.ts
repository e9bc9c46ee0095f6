/** What programs of the Kubernetes world send that do not run here, one request after the other as they do, and what in the answers they stand on. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isObject, type JsonObject } from '#apiserver/json/json.ts';
import { encodeProtobuf, protobufType } from '#apiserver/protobuf/body.ts';
import { readLines, type Send } from '#apiserver/testing/http.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer();
});
afterAll(() => started[Symbol.asyncDispose]());

const factories = '/apis/computefactory.io/v1alpha1/namespaces/default/computefactories';
const maps = '/api/v1/namespaces/default/configmaps';

async function ask(path: string, send: Send = {}, status = 200): Promise<JsonObject> {
  const reply = await started.request(path, send);
  expect({ status: reply.status, text: reply.status === status ? '' : reply.text }).toEqual({ status, text: '' });
  return reply.json();
}
const patch = (type: string, body: unknown): Send => ({
  method: 'PATCH',
  headers: { 'content-type': `application/${type}` },
  body: JSON.stringify(body),
});
const apply = (body: object) => patch('apply-patch+yaml', body);
const post = (body: object): Send => ({ method: 'POST', body });
const accepting = (accept: string): Send => ({ headers: { accept } });
const watch = (path: string, enough: (lines: readonly JsonObject[]) => boolean) =>
  readLines(
    `${started.server.url}${path}`,
    { ca: started.authority.certificate, token: started.token },
    enough,
  ) as Promise<WatchLine[]>;

interface WatchLine extends JsonObject {
  readonly type: string;
  readonly object: JsonObject & { readonly metadata: JsonObject & { readonly name: string } };
}

const factory = (name: string, target: number) => ({
  apiVersion: 'computefactory.io/v1alpha1',
  kind: 'ComputeFactory',
  metadata: { name, namespace: 'default' },
  spec: {
    capacity: { target },
    shapes: [{ cores: 2, memory: '1Gi' }],
    template: { spec: { image: { name: 'tiny' } } },
  },
});
const map = (name: string, data: object, labels?: object) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ...(labels && { labels }) },
  data,
});

describe('Flux', () => {
  const query = 'fieldManager=kustomize-controller&force=true';

  test('finds drift by a dry run of an apply, and applies what has drifted', async () => {
    const path = `${factories}/flux`;
    await ask(`${path}?${query}&dryRun=All`, apply(factory('flux', 4)), 201);
    await ask(path, {}, 404);
    const made = await ask(`${path}?${query}`, apply(factory('flux', 4)), 201);
    // It compares the two objects, without managedFields and status: a difference would be applied for ever.
    expect(await ask(`${path}?${query}&dryRun=All`, apply(factory('flux', 4)))).toEqual(made);
    const body = { spec: { capacity: { target: 9 } } };
    await ask(`${path}?fieldManager=somebody`, patch('merge-patch+json', body));
    expect(await ask(`${path}?${query}&dryRun=All`, apply(factory('flux', 4)))).toMatchObject(factory('flux', 4));
    expect(await ask(path)).toMatchObject(body);
    expect(await ask(`${path}?${query}`, apply(factory('flux', 4)))).toMatchObject(factory('flux', 4));
  });

  test('adopts what kubectl has applied, by a JSON patch of managedFields', async () => {
    const path = `${maps}/adopted`;
    await ask(`${maps}?fieldManager=kubectl-client-side-apply`, post(map('adopted', { a: '1', b: '1' })), 201);
    const { metadata } = (await ask(path)) as { metadata: { managedFields: JsonObject[]; resourceVersion: string } };
    const value = metadata.managedFields.map((entry) => ({
      ...entry,
      manager: 'kustomize-controller',
      operation: 'Apply',
    }));
    const operations = [
      { op: 'replace', path: '/metadata/managedFields', value },
      { op: 'replace', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
    ];
    const adopted = await ask(`${path}?fieldManager=kustomize-controller`, patch('json-patch+json', operations));
    expect(adopted).toMatchObject({
      metadata: { managedFields: [{ manager: 'kustomize-controller', operation: 'Apply' }] },
    });
    // What is its own now goes away when it is left out.
    expect((await ask(`${path}?${query}`, apply(map('adopted', { a: '1' })))).data).toEqual({ a: '1' });
    await ask(path, patch('json-patch+json', operations), 409);
  });

  test('waits until the status speaks of the generation that it has applied', async () => {
    const path = `${factories}/waited`;
    await ask(`${path}?${query}`, apply(factory('waited', 4)), 201);
    const ready = { type: 'Ready', status: 'True', reason: 'Ready', message: '', observedGeneration: 1 };
    const condition = { ...ready, lastTransitionTime: '2026-01-01T00:00:00Z' };
    const status = { observedGeneration: 1, conditions: [condition] };
    await ask(`${path}/status`, patch('merge-patch+json', { status }));
    expect(await ask(path)).toMatchObject({ metadata: { generation: 1 }, status });
    await ask(`${path}?${query}`, apply(factory('waited', 6)));
    expect(await ask(path)).toMatchObject({ metadata: { generation: 2 }, status });
  });
});

describe('Argo CD', () => {
  test('reads the schema as protobuf, and the version as numbers', async () => {
    const type = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
    const { status, headers, text } = await started.request('/openapi/v2', accepting(type));
    expect([status, headers['content-type']]).toEqual([
      200,
      'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
    ]);
    expect(text).toContain('io.computefactory.v1alpha1.ComputeFactory');
    expect(await ask('/version')).toMatchObject({
      major: expect.stringMatching(/^\d+$/),
      minor: expect.stringMatching(/^\d+$/),
      gitVersion: expect.stringMatching(/^v1\.\d+\.\d+/),
    });
  });

  test('finds of every kind the version that the server prefers, and what can be done with it', async () => {
    const { groups } = (await ask('/apis')) as unknown as {
      groups: { name: string; preferredVersion: { groupVersion: string }; versions: { groupVersion: string }[] }[];
    };
    for (const { preferredVersion, versions } of groups) {
      expect(versions).toContainEqual(preferredVersion);
      const list = (await ask(`/apis/${preferredVersion.groupVersion}`)) as { resources: { verbs: string[] }[] };
      expect(list).toMatchObject({ kind: 'APIResourceList', groupVersion: preferredVersion.groupVersion });
      for (const { verbs } of list.resources) expect(verbs.length).toBeGreaterThan(0);
    }
  });

  test('lists pages of 500, and watches from the version of the list', async () => {
    const names = Array.from({ length: 501 }, (_, index) => `argo-${String(index).padStart(3, '0')}`);
    for (let at = 0; at < names.length; at += 50)
      await Promise.all(names.slice(at, at + 50).map((name) => ask(maps, post(map(name, {}, { of: 'argo' })), 201)));
    const query = `${maps}?labelSelector=of%3Dargo`;
    interface Page {
      readonly items: readonly unknown[];
      readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
    }
    const page = async (more: string) => (await ask(`${query}&limit=500${more}`)) as unknown as Page;
    const first = await page('');
    await ask(`${maps}/argo-500`, { method: 'DELETE' });
    const second = await page(`&continue=${encodeURIComponent(first.metadata.continue!)}`);
    expect([first.items.length, second.items.length, second.metadata.continue]).toEqual([500, 1, undefined]);
    const { resourceVersion } = second.metadata;
    expect(resourceVersion).toBe(first.metadata.resourceVersion);
    const path = `${query}&watch=true&allowWatchBookmarks=true&timeoutSeconds=10&resourceVersion=${resourceVersion}`;
    const lines = await watch(path, (seen) => seen.length > 0);
    expect(lines[0]).toMatchObject({ type: 'DELETED', object: { metadata: { name: 'argo-500' } } });
  });
});

describe('Terraform', () => {
  test('takes types from the schema and from definitions', async () => {
    expect(await ask('/apis')).toMatchObject({ kind: 'APIGroupList' });
    const { swagger, definitions } = (await ask('/openapi/v2')) as { swagger: string; definitions: JsonObject };
    expect(swagger).toBe('2.0');
    expect(definitions).toHaveProperty(['io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta', 'properties', 'labels']);
    const gvk = { group: 'computefactory.io', version: 'v1alpha1', kind: 'ComputeFactory' };
    const ofKind = Object.values(definitions).filter((definition) =>
      JSON.stringify(isObject(definition) ? definition['x-kubernetes-group-version-kind'] : undefined)?.includes(
        '"ComputeFactory"',
      ),
    );
    expect(ofKind).toMatchObject([{ type: 'object', 'x-kubernetes-group-version-kind': [gvk] }]);
    const { items } = (await ask('/apis/apiextensions.k8s.io/v1/customresourcedefinitions')) as { items: unknown[] };
    expect(items).toContainEqual(
      expect.objectContaining({
        spec: expect.objectContaining({
          names: expect.objectContaining({ kind: 'ComputeFactory' }),
          versions: [
            expect.objectContaining({
              name: 'v1alpha1',
              schema: { openAPIV3Schema: expect.objectContaining({ type: 'object' }) },
            }),
          ],
        }),
      }),
    );
  });

  test('plans by a dry run, which answers with defaults and leaves nothing; then applies the same', async () => {
    const path = `${factories}/terraform`;
    const query = 'fieldManager=Terraform';
    const planned = await ask(`${path}?${query}&dryRun=All`, apply(factory('terraform', 4)), 201);
    await ask(path, {}, 404);
    const applied = await ask(`${path}?${query}`, apply(factory('terraform', 4)), 201);
    expect(applied.spec).toEqual(planned.spec);
    await ask(`${path}?fieldManager=other&force=true`, apply(factory('terraform', 5)));
    const conflict = await ask(`${path}?${query}`, apply(factory('terraform', 4)), 409);
    expect(conflict).toMatchObject({ reason: 'Conflict', details: { causes: [{ reason: 'FieldManagerConflict' }] } });
  });
});

describe('k9s', () => {
  test('asks in protobuf what it may do', async () => {
    const resourceAttributes = { namespace: 'default', verb: 'list', group: 'computefactory.io', resource: 'vmpools' };
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', metadata: {} };
    const body = encodeProtobuf({ ...review, spec: { resourceAttributes } });
    const headers = { 'content-type': protobufType, accept: `${protobufType},application/json` };
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    const reply = await started.request(path, { method: 'POST', headers, body });
    expect(reply).toMatchObject({ status: 201, headers: { 'content-type': 'application/json' } });
    expect(reply.json()).toMatchObject({ ...review, status: { allowed: true } });
  });

  test('lists tables, and follows them by a watch that begins with the list', async () => {
    await ask(maps, post(map('seen', { a: '1' }, { of: 'k9s' })), 201);
    const query = `${maps}?labelSelector=of%3Dk9s`;
    const asTable = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
    const table = await ask(`${query}&includeObject=Metadata`, accepting(asTable));
    expect(table).toMatchObject({
      kind: 'Table',
      columnDefinitions: expect.arrayContaining([expect.objectContaining({ name: 'Name' })]),
      rows: [{ cells: expect.arrayContaining(['seen']), object: { kind: 'PartialObjectMetadata' } }],
    });
    const follow = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const lines = await watch(`${query}&${follow}`, (seen) => seen.length > 1);
    expect(lines).toMatchObject([
      { type: 'ADDED', object: { metadata: { name: 'seen' } } },
      { type: 'BOOKMARK', object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } } },
    ]);
  });
});

test('Lens asks for all rules in a namespace, which say that they are complete', async () => {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectRulesReview',
    spec: { namespace: 'default' },
  };
  const answer = await ask('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', post(review), 201);
  const all = expect.objectContaining({ apiGroups: ['*'], resources: ['*'], verbs: ['*'] });
  expect(answer).toMatchObject({
    status: { incomplete: false, resourceRules: expect.arrayContaining([all]), nonResourceRules: expect.any(Array) },
  });
});

test('Helm keeps releases in secrets: one per revision, found by labels, the state of the last one changed', async () => {
  const secrets = '/api/v1/namespaces/default/secrets';
  const release = (version: number, status: string) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'helm.sh/release.v1',
    metadata: {
      name: `sh.helm.release.v1.web.v${version}`,
      labels: { owner: 'helm', name: 'web', version: String(version), status },
    },
    data: { release: Buffer.from(`H4sI${'x'.repeat(900_000)}`).toString('base64') },
  });
  await ask(secrets, post(release(1, 'deployed')), 201);
  expect(await ask(secrets, post(release(1, 'deployed')), 409)).toMatchObject({ reason: 'AlreadyExists' });
  await ask(secrets, post(release(2, 'pending-upgrade')), 201);
  await ask(`${secrets}/sh.helm.release.v1.web.v1`, { method: 'PUT', body: release(1, 'superseded') });
  await ask(`${secrets}/sh.helm.release.v1.web.v2`, { method: 'PUT', body: release(2, 'deployed') });
  const selector = encodeURIComponent('name=web,owner=helm,status=deployed');
  expect(await ask(`${secrets}?labelSelector=${selector}`)).toMatchObject({ items: [release(2, 'deployed')] });
});

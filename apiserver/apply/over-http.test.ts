/** Server-side apply and managedFields as clients meet them, beyond what the recordings show. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { atPath, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { readCrdFile } from '#apiserver/resources/crd.ts';
import type { Reply } from '#apiserver/testing/http.ts';
import { recordingsFolder } from '#apiserver/testing/recordings.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';

let started: TestServer;
beforeAll(async () => {
  const crds = readCrdFile(join(recordingsFolder, 'crd.yaml'));
  started = await startTestServer({ crds, tokens: `${patcher},patcher,2\n` });
});
afterAll(() => started[Symbol.asyncDispose]());

const pools = '/apis/factory.example.dev/v1/namespaces/default/vmpools';
/** Token of a user who may patch pools, not create them. */
const patcher = crypto.randomUUID();
const core = '/api/v1/namespaces/default';

function pool(name: string, spec: JsonObject, metadata: JsonObject = {}): JsonObject {
  return { apiVersion: 'factory.example.dev/v1', kind: 'VMPool', metadata: { name, ...metadata }, spec };
}

function applying(path: string, body: unknown, query = 'fieldManager=A'): Promise<Reply> {
  const headers = { 'content-type': 'application/apply-patch+yaml' };
  return started.request(`${path}?${query}`, { method: 'PATCH', headers, body });
}

async function applied(path: string, body: unknown, query?: string): Promise<JsonObject> {
  const reply = await applying(path, body, query);
  expect([200, 201], reply.text).toContain(reply.status);
  return reply.json();
}

function merging(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Reply> {
  return started.request(path, {
    method: 'PATCH',
    headers: { 'content-type': 'application/merge-patch+json', ...headers },
    body,
  });
}

const entriesOf = (object: JsonObject) => (atPath(object, ['metadata', 'managedFields']) ?? []) as JsonObject[];
const managersIn = (object: JsonObject) => entriesOf(object).map(({ manager }) => manager);
const versionOf = (object: JsonObject) => atPath(object, ['metadata', 'resourceVersion']);

describe('kinds of Kubernetes', () => {
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', spec: { holderIdentity: 'a' } };
  const kinds: [string, JsonObject, string[]][] = [
    [`${core}/configmaps`, { apiVersion: 'v1', kind: 'ConfigMap', data: { a: '1' } }, ['f:data', 'f:a']],
    [`${core}/secrets`, { apiVersion: 'v1', kind: 'Secret', data: { a: 'YQ==' } }, ['f:data', 'f:a']],
    ['/apis/coordination.k8s.io/v1/namespaces/default/leases', lease, ['f:spec', 'f:holderIdentity']],
    [
      '/api/v1/namespaces',
      { apiVersion: 'v1', kind: 'Namespace', metadata: { labels: { a: '1' } } },
      ['f:metadata', 'f:labels', 'f:a'],
    ],
  ];

  test.each(kinds)(
    '%s are applied, told apart by owner, and left alone the second time',
    async (path, object, owned) => {
      const name = 'applied-one';
      const made = await applying(`${path}/${name}`, object);
      expect(made.status).toBe(201);
      expect(entriesOf(made.json())).toMatchObject([{ manager: 'A', operation: 'Apply' }]);
      expect(atPath(entriesOf(made.json())[0], ['fieldsV1', ...owned])).toEqual({});
      expect(versionOf(await applied(`${path}/${name}`, object))).toBe(versionOf(made.json()));
      const emptied = await applied(`${path}/${name}`, { apiVersion: object.apiVersion!, kind: object.kind! });
      expect(
        atPath(
          emptied,
          owned.map((step) => step.slice(2)),
        ),
      ).toBeUndefined();
    },
  );
});

describe('an apply that creates', () => {
  test('takes the name from the path, keeps generateName, and is noted down', async () => {
    const body = pool('', { image: 'x' }, { generateName: 'made-' });
    const object = await applied(`${pools}/made-here`, body);
    expect(object.metadata).toMatchObject({ name: 'made-here', generateName: 'made-', generation: 1 });
    expect(entriesOf(object)[0]?.fieldsV1).toMatchObject({ 'f:metadata': { 'f:generateName': {} } });
  });

  test.each<[string, JsonObject, number]>([
    ['another name', { name: 'b' }, 400],
    ['another namespace', { namespace: 'other' }, 400],
    ['a resourceVersion', { resourceVersion: '1' }, 409],
    ['a uid', { uid: 'u' }, 409],
  ])('is refused with %s', async (_, metadata, status) => {
    expect((await applying(`${pools}/refused`, pool('refused', { image: 'x' }, metadata))).status).toBe(status);
    expect((await started.request(`${pools}/refused`)).status).toBe(404);
  });

  test('needs a namespace that is there, and never makes a status', async () => {
    const elsewhere = pools.replace('default', 'nowhere');
    expect((await applying(`${elsewhere}/p`, pool('p', { image: 'x' }))).status).toBe(404);
    expect((await applying(`${pools}/nobody/status`, pool('nobody', { image: 'x' }))).status).toBe(404);
  });

  test('is for those who may create', async () => {
    const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: 'patcher' } };
    const rules = [{ apiGroups: ['factory.example.dev'], resources: ['vmpools'], verbs: ['patch'] }];
    const binding = {
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'patcher' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'patcher' }],
    };
    await applied('/apis/rbac.authorization.k8s.io/v1/clusterroles/patcher', { ...rbac, kind: 'ClusterRole', rules });
    const bindings = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/patcher';
    await applied(bindings, { ...rbac, kind: 'ClusterRoleBinding', ...binding });
    await applied(`${pools}/theirs`, pool('theirs', { image: 'x' }));
    const asPatcher = (name: string) =>
      started.request(`${pools}/${name}?fieldManager=B`, {
        method: 'PATCH',
        token: patcher,
        headers: { 'content-type': 'application/apply-patch+yaml' },
        body: pool(name, { image: 'x' }),
      });
    await expect.poll(async () => (await asPatcher('theirs')).status, { timeout: 10_000 }).toBe(200);
    const refused = await asPatcher('new');
    expect(refused.status).toBe(403);
    expect(refused.json().message).toContain('cannot create resource "vmpools"');
  });

  test('writes nothing in a dry run', async () => {
    const reply = await applying(`${pools}/dry`, pool('dry', { image: 'x' }), 'fieldManager=A&dryRun=All');
    expect(reply.status).toBe(201);
    expect(versionOf(reply.json())).toBeUndefined();
    expect((await started.request(`${pools}/dry`)).status).toBe(404);
  });

  test('by two at once makes one object, which both own', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `m${index}`);
    const body = pool('raced', { image: 'x' });
    await Promise.all(names.map((name) => applied(`${pools}/raced`, body, `fieldManager=${name}`)));
    const object = (await started.request(`${pools}/raced`)).json();
    expect(managersIn(object).sort()).toEqual(names);
  });
});

describe('fields that are given twice', () => {
  const twice = 'apiVersion: factory.example.dev/v1\nkind: VMPool\nspec:\n  image: x\n  image: z\n';
  const twiceInJson = '{"apiVersion":"factory.example.dev/v1","kind":"VMPool","spec":{"image":"x","image":"z"}}';

  test.each([
    ['YAML', twice],
    ['JSON', twiceInJson],
  ])('in %s are refused, told or passed over, as is asked for', async (_, body) => {
    const send = (mode: string) =>
      applying(`${pools}/twice`, body, `fieldManager=A&dryRun=All&fieldValidation=${mode}`);
    expect(await send('Strict')).toMatchObject({ status: 400 });
    expect((await send('Warn')).headers.warning).toContain('duplicate field');
    const ignored = await send('Ignore');
    expect(ignored.status).toBe(201);
    expect(ignored.headers.warning).toBeUndefined();
  });
});

test('an apply may be written as a map in the braces of YAML', async () => {
  const text = '{apiVersion: factory.example.dev/v1, kind: VMPool, spec: {image: x}}';
  expect((await applied(`${pools}/braces`, text)).spec).toMatchObject({ image: 'x' });
});

test('what nests as deep as may be can be read and sent back', async () => {
  const deep = (levels: number): JsonObject => (levels === 0 ? { x: 1 } : { a: deep(levels - 1) });
  const body = pool('deep', { image: 'x', extra: deep(58) });
  const made = await started.request(pools, { method: 'POST', body });
  expect(made.status).toBe(201);
  expect((await merging(`${pools}/deep`, { spec: { replicas: 2 } })).status).toBe(200);
  const back = (await started.request(`${pools}/deep`)).json();
  expect((await started.request(`${pools}/deep`, { method: 'PUT', body: back })).status).toBe(200);
});

test.each([
  ['no document', ''],
  ['a list', '[]'],
  ['text that is no YAML', '{'],
  ['two documents', 'a: 1\n---\nb: 1\n'],
  ['a prototype', '{"apiVersion":"factory.example.dev/v1","kind":"VMPool","__proto__":{"a":1}}'],
  [
    'aliases that grow',
    `a: &a [x]\n${Array.from({ length: 9 }, (_, i) => `b${i}: &b${i} [${'*a,'.repeat(9)}]`).join('\n')}`,
  ],
])('an apply of %s is refused', async (_, body) => {
  expect((await applying(`${pools}/bad`, body)).status).toBe(400);
});

describe('managedFields', () => {
  test('name the program where no manager is named', async () => {
    await applied(`${pools}/program`, pool('program', { image: 'x' }));
    const headers = { 'user-agent': 'mytool/v1.2 (linux)' };
    const object = (await merging(`${pools}/program`, { spec: { replicas: 3 } }, headers)).json();
    expect(managersIn(object)).toEqual(['A', 'mytool']);
  });

  test.each<[string, Json, number]>([
    ['of another shape', 'x', 400],
    ['with entries of another shape', [1], 400],
    ['with fields of another type', [{ manager: 1 }], 400],
    ['that cannot be understood', [{ manager: 'x', operation: 'Delete' }], 200],
    ['that are empty', [], 200],
  ])('%s do not replace what is known', async (_, managedFields, status) => {
    await applied(`${pools}/kept`, pool('kept', { image: 'x' }));
    expect((await merging(`${pools}/kept`, { metadata: { managedFields } })).status).toBe(status);
    expect(managersIn((await started.request(`${pools}/kept`)).json())).toEqual(['A']);
  });

  test('can be edited by who understands them, but not through a subresource', async () => {
    const object = await applied(`${pools}/edited`, pool('edited', { image: 'x' }));
    const [entry] = entriesOf(object);
    const managedFields = [{ ...entry, manager: 'B' }];
    expect(managersIn((await merging(`${pools}/edited/status`, { metadata: { managedFields } })).json())).toEqual([
      'A',
    ]);
    expect(managersIn((await merging(`${pools}/edited`, { metadata: { managedFields } })).json())).toEqual(['B']);
  });

  test('whose times alone would change are not written', async () => {
    await applied(`${pools}/idle`, pool('idle', { image: 'x' }));
    const first = (await merging(`${pools}/idle`, { spec: { replicas: 2 } })).json();
    const again = (
      await merging(`${pools}/idle`, { spec: { replicas: 2 }, metadata: { creationTimestamp: null } })
    ).json();
    expect(again).toEqual(first);
  });

  test('give way where there is no room for them', async () => {
    const data = Object.fromEntries(Array.from({ length: 25_000 }, (_, index) => [`k${index}`, 'x'.repeat(35)]));
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'large' }, data };
    const reply = await started.request(`${core}/configmaps`, { method: 'POST', body });
    expect(reply.status).toBe(201);
    expect(managersIn(reply.json())).toEqual([]);
    const small = await started.request(`${core}/configmaps`, {
      method: 'POST',
      body: { ...body, metadata: { name: 'small' }, data: {} },
    });
    expect(managersIn(small.json())).toHaveLength(1);
    const grown = await merging(`${core}/configmaps/small`, { data });
    expect(grown.status).toBe(200);
    expect(managersIn(grown.json())).toEqual([]);
  });
});

describe('scale', () => {
  const scale = (replicas?: number) => ({
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    spec: replicas === undefined ? {} : { replicas },
  });
  const entryOf = async (name: string, manager: string) =>
    entriesOf((await started.request(`${pools}/${name}`)).json()).find((entry) => entry.manager === manager);

  test('is applied like anything else: by conflict, by force, and left again', async () => {
    await applied(`${pools}/scaled`, pool('scaled', { image: 'x', replicas: 2 }));
    const path = `${pools}/scaled/scale`;
    const refused = await applying(path, scale(5), 'fieldManager=hpa');
    expect(refused.status).toBe(409);
    expect(atPath(refused.json(), ['details', 'causes'])).toMatchObject([{ field: '.spec.replicas' }]);
    expect((await applied(path, scale(5), 'fieldManager=hpa&force=true')).spec).toEqual({ replicas: 5 });
    expect(await entryOf('scaled', 'hpa')).toMatchObject({
      operation: 'Apply',
      apiVersion: 'factory.example.dev/v1',
      subresource: 'scale',
      fieldsV1: { 'f:spec': { 'f:replicas': {} } },
    });
    expect((await entryOf('scaled', 'A'))?.fieldsV1).toEqual({ 'f:spec': { 'f:image': {} } });
    expect((await applying(`${pools}/scaled`, pool('scaled', { image: 'x', replicas: 2 }))).status).toBe(409);
    expect((await applied(path, scale(), 'fieldManager=hpa')).spec).toEqual({ replicas: 5 });
    expect(await entryOf('scaled', 'hpa')).toBeUndefined();
  });

  test('takes nothing from anybody as long as it changes nothing', async () => {
    await applied(`${pools}/even`, pool('even', { image: 'x', replicas: 2 }));
    const before = await entryOf('even', 'A');
    expect((await merging(`${pools}/even/scale?fieldManager=hpa`, { spec: { replicas: 2 } })).status).toBe(200);
    expect(await entryOf('even', 'A')).toEqual(before);
    expect(await entryOf('even', 'hpa')).toBeUndefined();
    await applied(`${pools}/even/scale`, scale(2), 'fieldManager=hpa');
    expect(await entryOf('even', 'A')).toEqual(before);
    expect(await entryOf('even', 'hpa')).toMatchObject({ subresource: 'scale' });
  });
});

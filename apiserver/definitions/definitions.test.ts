/** Kinds that come, change and go while two servers over one store run. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { asCrd, type Crd, type CrdSpec, isTrue } from '#apiserver/resources/crd.ts';
import { openEtcd } from '#apiserver/store/etcd.ts';
import { crdPath, createDefinitions, definitionState } from '#apiserver/testing/definitions.ts';
import { readLines, type Send } from '#apiserver/testing/http.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { startEtcd, whyNoEtcd } from '#test/etcd.ts';
import { definition, group, schemaWith, size, versionOf } from './testdata.ts';

const reason = whyNoEtcd();
if (reason) console.warn(`Skipped two servers over etcd: ${reason}`);

/** Two servers over the same objects, in a store of each kind that there is. */
const stores: readonly (readonly [
  name: string,
  open: (stack: AsyncDisposableStack) => Promise<[TestServer, TestServer]>,
])[] = [
  [
    'one SQLite store',
    async (stack) => {
      const first = stack.use(await startTestServer({ crds: [] }));
      return [first, stack.use(await startTestServer({ crds: [], store: first.store }))];
    },
  ],
  [
    'etcd',
    async (stack) => {
      const { endpoint } = stack.use(await startEtcd());
      const connect = async () => {
        const store = await openEtcd({
          endpoints: [endpoint],
          clock: systemClock,
          random: systemRandom,
          log: silentLog,
        });
        return stack.use(await startTestServer({ crds: [], store: stack.use(store) }));
      };
      return [await connect(), await connect()];
    },
  ],
];

async function ask(server: TestServer, path: string, send: Send = {}, status = 200): Promise<JsonObject> {
  const reply = await server.request(path, send);
  expect(reply.status, reply.text).toBe(status);
  return reply.json();
}

const merge = { 'content-type': 'application/merge-patch+json' };
const patch = (server: TestServer, path: string, body: object, status = 200) =>
  ask(server, path, { method: 'PATCH', headers: merge, body }, status);
const objectsOf = (plural: string, version = 'v1') => `/apis/${group}/${version}/namespaces/default/${plural}`;
const pathOf = (crd: Crd) => `${crdPath}/${crd.metadata.name}`;
const create = (server: TestServer, path: string, kind: string, name: string, more: object = {}) =>
  ask(
    server,
    path,
    {
      method: 'POST',
      body: { apiVersion: path.split('/').slice(2, 4).join('/'), kind, metadata: { name }, ...more },
    },
    201,
  );

/** All lines of a watch until the server ends it. */
function untilEnd(server: TestServer, path: string): Promise<JsonObject[]> {
  const options = { ca: server.authority.certificate, token: server.token };
  return readLines(`${server.server.url}${path}`, options, () => false);
}

const conditionOf = (object: StoredObject, type: string) =>
  asCrd(object).status?.conditions?.find((condition) => condition.type === type);

async function gone(server: TestServer, path: string): Promise<void> {
  await expect.poll(async () => (await server.request(path)).status, { timeout: 10_000 }).toBe(404);
}

describe.each(reason ? stores.slice(0, 1) : stores)('two servers over %s', (_, open) => {
  const stack = new AsyncDisposableStack();
  let one: TestServer;
  let other: TestServer;
  beforeAll(async () => {
    [one, other] = await open(stack);
  }, 30_000);
  afterAll(() => stack.disposeAsync());

  describe('a kind at run time', () => {
    const crd = definition('Shirt', {
      names: { plural: 'shirts', kind: 'Shirt', shortNames: ['sh'], categories: ['clothes'] },
      versions: [
        versionOf('v1', {
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [{ name: 'Size', type: 'string', jsonPath: '.spec.size' }],
        }),
      ],
    });
    const shirts = objectsOf('shirts');

    test('is served by every replica as soon as it is established, with names and columns', async () => {
      await createDefinitions(one, [crd]);
      for (const server of [other, one]) {
        const { resources } = await ask(server, `/apis/${group}/v1`);
        expect(resources).toMatchObject([
          { name: 'shirts', singularName: 'shirt', kind: 'Shirt', shortNames: ['sh'], categories: ['clothes'] },
          { name: 'shirts/status', kind: 'Shirt' },
        ]);
      }
      expect(asCrd((await ask(other, pathOf(crd))) as StoredObject)).toMatchObject({
        spec: { names: { singular: 'shirt', listKind: 'ShirtList' }, conversion: { strategy: 'None' } },
        status: { acceptedNames: { plural: 'shirts', kind: 'Shirt' }, storedVersions: ['v1'] },
      });
    });

    test('can be written on one replica, and read and watched on the other', async () => {
      const options = { ca: other.authority.certificate, token: other.token };
      const seen = readLines(`${other.server.url}${shirts}?watch=true`, options, (lines) => lines.length === 3);
      await create(one, shirts, 'Shirt', 'blue', { spec: {} });
      await patch(one, `${shirts}/blue`, { spec: { size: 'L' } });
      const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
      expect((await ask(other, shirts, { headers })).rows).toMatchObject([{ cells: ['blue', 'L'] }]);
      await ask(other, `${shirts}/blue`, { method: 'DELETE' });
      expect((await seen).map((line) => [line.type, ((line.object as JsonObject).spec as JsonObject).size])).toEqual([
        ['ADDED', 'M'],
        ['MODIFIED', 'L'],
        ['DELETED', 'L'],
      ]);
    });

    test('changes: open watches end, and the new schema holds on every replica', async () => {
      await create(one, shirts, 'Shirt', 'red', { spec: { size: 'S' } });
      const ended = untilEnd(other, `${shirts}?watch=true&timeoutSeconds=60`);
      await ask(one, shirts);
      const colour = { type: 'string', default: 'red' } as const;
      const versions = crd.spec.versions.map((version) => ({
        ...version,
        schema: { openAPIV3Schema: schemaWith({ size, colour }) },
      }));
      await patch(one, pathOf(crd), { spec: { versions } });
      await ended;
      for (const server of [one, other])
        await expect.poll(async () => (await ask(server, `${shirts}/red`)).spec).toEqual({ size: 'S', colour: 'red' });
      await create(other, shirts, 'Shirt', 'green', { spec: { colour: 'green' } });
    });

    test('a change of its status, labels or annotations ends no watch', async () => {
      const watching = untilEnd(other, `${shirts}?watch=true&timeoutSeconds=2&fieldSelector=metadata.name%3Dlater`);
      await patch(one, pathOf(crd), { metadata: { labels: { team: 'a' } } });
      // What kubectl patch sends unless told otherwise.
      const headers = { 'content-type': 'application/strategic-merge-patch+json' };
      await ask(one, pathOf(crd), { method: 'PATCH', headers, body: { metadata: { annotations: { note: 'b' } } } });
      await create(one, shirts, 'Shirt', 'later');
      expect((await watching).map(({ type }) => type)).toEqual(['ADDED']);
    });

    test('goes with all its objects, once their finalizers let them', async () => {
      await patch(one, `${shirts}/red`, { metadata: { finalizers: ['example.dev/hold'] } });
      const ended = untilEnd(other, `${shirts}?watch=true&timeoutSeconds=60`);
      await ask(other, pathOf(crd), { method: 'DELETE' });
      const dying = await definitionState(one, crd.metadata.name, (object) =>
        isTrue(asCrd(object).status, 'Terminating'),
      );
      expect(dying.metadata.finalizers).toEqual(['customresourcecleanup.apiextensions.k8s.io']);
      for (const server of [one, other]) {
        const refused = await ask(
          server,
          shirts,
          { method: 'POST', body: { apiVersion: `${group}/v1`, kind: 'Shirt', metadata: { name: 'new' } } },
          405,
        );
        expect(refused.message).toContain('while custom resource definition is terminating');
      }
      await expect.poll(async () => ((await ask(one, shirts)).items as unknown[]).length, { timeout: 5_000 }).toBe(1);
      await patch(one, `${shirts}/red`, { metadata: { finalizers: null } });
      await gone(one, pathOf(crd));
      for (const server of [one, other]) {
        await gone(server, shirts);
        await gone(server, `/apis/${group}`);
      }
      expect((await ended).at(-1)).toMatchObject({ type: 'DELETED', object: { metadata: { name: 'red' } } });
    });

    test('comes back empty', async () => {
      await createDefinitions(other, [crd]);
      expect((await ask(one, shirts)).items).toEqual([]);
      await ask(one, pathOf(crd), { method: 'DELETE' });
      await gone(other, pathOf(crd));
    });
  });

  describe('names', () => {
    test('belong to the first; whoever comes later is told, and gets them when they are free', async () => {
      const first = definition('Hat', { names: { plural: 'hats', kind: 'Hat', shortNames: ['h'] } });
      const second = definition('Cap', { names: { plural: 'caps', kind: 'Hat', shortNames: ['c'] } });
      await createDefinitions(one, [first]);
      await ask(other, crdPath, { method: 'POST', body: second }, 201);
      const refused = await definitionState(
        one,
        second.metadata.name,
        (object) => conditionOf(object, 'NamesAccepted') !== undefined,
      );
      expect(conditionOf(refused, 'NamesAccepted')).toMatchObject({ status: 'False', reason: 'ListKindConflict' });
      expect(conditionOf(refused, 'Established')).toMatchObject({ status: 'False', reason: 'NotAccepted' });
      expect((await other.request(objectsOf('caps'))).status).toBe(404);
      await ask(one, pathOf(first), { method: 'DELETE' });
      await definitionState(other, second.metadata.name, (object) => isTrue(asCrd(object).status, 'Established'));
      expect((await ask(one, objectsOf('caps'))).kind).toBe('HatList');
      await ask(one, pathOf(second), { method: 'DELETE' });
    });

    test('wanted by many at once go to one of them', async () => {
      const rivals = Array.from({ length: 6 }, (_, index) =>
        definition('Coat', { names: { plural: `coats${index}`, kind: 'Coat' } }),
      ).map((crd) => ({ ...crd, metadata: { name: `${crd.spec.names.plural}.${group}` } }));
      await Promise.all(
        rivals.map((crd, index) => ask(index % 2 ? one : other, crdPath, { method: 'POST', body: crd }, 201)),
      );
      const states = await Promise.all(
        rivals.map(({ metadata }) =>
          definitionState(one, metadata.name, (object) => conditionOf(object, 'Established') !== undefined),
        ),
      );
      expect(states.filter((object) => isTrue(asCrd(object).status, 'Established')).length).toBe(1);
      for (const crd of rivals) await ask(one, pathOf(crd), { method: 'DELETE' });
      for (const crd of rivals) await gone(other, pathOf(crd));
    });
  });

  describe('versions', () => {
    const versions = [
      versionOf('v1', { storage: true }),
      versionOf('v1beta1', {
        schema: { openAPIV3Schema: schemaWith({ size, fit: { type: 'string', default: 'slim' } }) },
      }),
      versionOf('v1alpha1', { served: false }),
    ];
    const crd = definition('Shoe', { versions });
    const [v1, beta] = [objectsOf('shoes', 'v1'), objectsOf('shoes', 'v1beta1')];

    test('show the same objects, each under its apiVersion and with its defaults', async () => {
      await createDefinitions(one, [crd]);
      await create(one, v1, 'Shoe', 'brown', { spec: { size: 'S' } });
      for (const server of [one, other]) {
        expect(await ask(server, `${beta}/brown`)).toMatchObject({
          apiVersion: `${group}/v1beta1`,
          spec: { size: 'S', fit: 'slim' },
        });
        expect((await ask(server, `${v1}/brown`)).spec).toEqual({ size: 'S' });
        expect((await ask(server, beta)).items).toMatchObject([
          { apiVersion: `${group}/v1beta1`, spec: { fit: 'slim' } },
        ]);
        expect((await server.request(objectsOf('shoes', 'v1alpha1'))).status).toBe(404);
      }
    });

    test('are watched through one cache, converted for each', async () => {
      const options = { ca: other.authority.certificate, token: other.token };
      const watch = (path: string) =>
        readLines(`${other.server.url}${path}?watch=true`, options, (lines) => lines.length === 2);
      const seen = Promise.all([watch(v1), watch(beta)]);
      await create(one, beta, 'Shoe', 'white', { spec: { fit: 'wide' } });
      const shown = (await seen).map((lines) => lines.map(({ object }) => object));
      expect(shown).toMatchObject([
        [{ apiVersion: `${group}/v1` }, { apiVersion: `${group}/v1`, metadata: { name: 'white' } }],
        [{ apiVersion: `${group}/v1beta1` }, { apiVersion: `${group}/v1beta1`, spec: { fit: 'wide' } }],
      ]);
    });

    test('one that objects may be stored in cannot be taken away', async () => {
      const storage = versions.map((version) => ({ ...version, storage: version.name === 'v1beta1' }));
      await patch(one, pathOf(crd), { spec: { versions: storage } });
      expect(asCrd((await ask(one, pathOf(crd))) as StoredObject).status?.storedVersions).toEqual(['v1', 'v1beta1']);
      const without = storage.filter(({ name }) => name !== 'v1');
      const refused = await patch(one, pathOf(crd), { spec: { versions: without } }, 422);
      expect(refused.message).toContain('status.storedVersions[0]: Invalid value: "v1": missing from spec.versions');
      await patch(one, `${pathOf(crd)}/status`, { status: { storedVersions: ['v1beta1'] } });
      await patch(one, pathOf(crd), { spec: { versions: without } });
      await gone(other, v1);
      expect((await ask(other, beta)).items).toHaveLength(2);
    });

    test('where and as what objects are stored cannot change', async () => {
      const change = (spec: Partial<CrdSpec>) => patch(one, pathOf(crd), { spec }, 422);
      expect((await change({ scope: 'Cluster' })).message).toContain(
        'spec.scope: Invalid value: "Cluster": field is immutable',
      );
      expect((await change({ names: { plural: 'shoes', kind: 'Boot' } })).message).toContain('spec.names.kind');
      expect((await change({ group: 'other.example.dev' })).message).toContain('spec.group');
    });
  });
});

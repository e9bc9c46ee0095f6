/** Rules from the definition of a kind to the answer that its clients get. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Json } from '#apiserver/json/json.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ crds: [] });
});
afterAll(() => server[Symbol.asyncDispose]());

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const lamps = '/apis/light.example.com/v1/namespaces/default/lamps';

function definition(rules: Json): Json {
  const spec = {
    type: 'object',
    properties: { watts: { type: 'integer' }, note: { type: 'string' } },
    'x-kubernetes-validations': rules,
  };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'lamps.light.example.com' },
    spec: {
      group: 'light.example.com',
      scope: 'Namespaced',
      names: { plural: 'lamps', kind: 'Lamp' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', properties: { spec } } },
        },
      ],
    },
  };
}

function lamp(name: string, spec: Json): { method: string; body: Json } {
  return { method: 'POST', body: { apiVersion: 'light.example.com/v1', kind: 'Lamp', metadata: { name }, spec } };
}

function patch(spec: Json): { method: string; body: Json; headers: Record<string, string> } {
  return { method: 'PATCH', body: { spec }, headers: { 'content-type': 'application/merge-patch+json' } };
}

const untilServed = async () => {
  await expect.poll(async () => (await server.request(lamps)).status, { timeout: 10_000 }).toBe(200);
};

test('a definition whose rules cannot be computed is refused; one that can is kept to; what was there may stay', async () => {
  const broken = await server.request(definitions, { method: 'POST', body: definition([{ rule: 'self.wats > 0' }]) });
  expect(broken.status).toBe(422);
  expect(broken.text).toContain("undefined field 'wats'");

  const loose = await server.request(definitions, { method: 'POST', body: definition([]) });
  expect(loose.status).toBe(201);
  await untilServed();
  expect((await server.request(lamps, lamp('old', { watts: 100, note: 'a' }))).status).toBe(201);

  const strict = [
    {
      rule: 'self.watts <= 60',
      messageExpression: "'%d watts are too many'.format([self.watts])",
      fieldPath: '.watts',
    },
    { rule: 'self.watts <= oldSelf.watts', message: 'only dimmer' },
  ];
  const tightened = await server.request(`${definitions}/lamps.light.example.com`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json-patch+json' },
    body: [
      {
        op: 'add',
        path: '/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations',
        value: strict,
      },
    ],
  });
  expect(tightened.status).toBe(200);
  await expect
    .poll(async () => (await server.request(lamps, lamp('new', { watts: 61 }))).json(), { timeout: 10_000 })
    .toMatchObject({
      code: 422,
      details: { causes: [{ field: 'spec.watts', message: 'Invalid value: 61 watts are too many' }] },
    });

  expect(
    (await server.request(`${lamps}/old`, { ...patch({}), body: { metadata: { labels: { a: 'b' } } } })).status,
  ).toBe(200);
  const changed = await server.request(`${lamps}/old`, patch({ note: 'b' }));
  expect(changed.status).toBe(422);
  expect((await server.request(`${lamps}/old`, patch({ watts: 60 }))).status).toBe(200);
  expect((await server.request(`${lamps}/old`, patch({ watts: 61 }))).json()).toMatchObject({ code: 422 });
});

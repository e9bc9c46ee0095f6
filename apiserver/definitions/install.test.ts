/** What a server that starts makes of the definitions in the store. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StoredObject } from '#apiserver/json/object.ts';
import { asCrd, isTrue } from '#apiserver/resources/crd.ts';
import { prefixOf } from '#apiserver/storage/keys.ts';
import { openSqlite } from '#apiserver/store/sqlite.ts';
import { crdPath, createDefinitions } from '#apiserver/testing/definitions.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { definitionKind } from './kind.ts';
import { definition, group, schemaWith, versionOf } from './testdata.ts';

const lamp = definition('Lamp');
const brighter = definition('Lamp', {
  versions: [
    versionOf('v1', {
      storage: true,
      schema: { openAPIV3Schema: schemaWith({ lumen: { type: 'integer', default: 800 } }) },
    }),
  ],
});
const lamps = `/apis/${group}/v1/namespaces/default/lamps`;

async function read({ request }: TestServer, path: string): Promise<StoredObject> {
  const reply = await request(path);
  expect(reply.status, reply.text).toBe(200);
  return reply.json() as StoredObject;
}

test('a server installs its definitions, brings them up to date at the next start, and leaves the rest alone', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.adopt(mkdtempSync(join(tmpdir(), 'install-')), (path) => rmSync(path, { recursive: true }));
  const store = stack.use(openSqlite({ file: join(folder, 'store'), clock: systemClock, log: silentLog }));
  const path = `${crdPath}/${lamp.metadata.name}`;
  let before: StoredObject;
  {
    await using first = await startTestServer({ store, crds: [lamp] });
    await createDefinitions(first, [definition('Vase')]);
    const body = { metadata: { labels: { team: 'a' } } };
    const headers = { 'content-type': 'application/merge-patch+json' };
    expect((await first.request(path, { method: 'PATCH', headers, body })).status).toBe(200);
    const object = { apiVersion: `${group}/v1`, kind: 'Lamp', metadata: { name: 'desk' } };
    expect((await first.request(lamps, { method: 'POST', body: object })).status).toBe(201);
    before = await read(first, path);
    expect(isTrue(asCrd(before).status, 'Established')).toBe(true);
  }
  {
    await using same = await startTestServer({ store, crds: [lamp] });
    expect(await read(same, path)).toEqual(before);
  }
  await using second = await startTestServer({ store, crds: [brighter] });
  const after = await read(second, path);
  expect(after.metadata).toMatchObject({ uid: before.metadata.uid, generation: 2, labels: { team: 'a' } });
  expect((await read(second, `/apis/${group}/v1/namespaces/default/vases`)).kind).toBe('VaseList');
  expect((await read(second, `${lamps}/desk`)).kind).toBe('Lamp');
});

test('a server does not start with a definition that is not valid, and says which and why', async () => {
  const broken = { ...lamp, metadata: { name: 'lamps' } };
  await expect(startTestServer({ crds: [broken] })).rejects.toThrow(
    /Cannot install lamps: .*metadata\.name: Invalid value: "lamps"/,
  );
});

test('a damaged definition in the store stops neither the server nor other kinds', async () => {
  await using first = await startTestServer({ crds: [lamp] });
  const metadata = { name: 'broken.example.dev', uid: 'u', creationTimestamp: '2026-01-01T00:00:00Z' };
  const damaged = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata };
  for (const [name, text] of Object.entries({ 'broken.example.dev': JSON.stringify(damaged), cut: '{"kind' }))
    expect(await first.store.create(`${prefixOf(definitionKind)}${name}`, Buffer.from(text))).toMatchObject({
      ok: true,
    });
  await using second = await startTestServer({ store: first.store, crds: [lamp] });
  for (const server of [first, second]) {
    await createDefinitions(server, [definition(server === first ? 'Vase' : 'Bowl')]);
    expect((await read(server, lamps)).kind).toBe('LampList');
  }
});

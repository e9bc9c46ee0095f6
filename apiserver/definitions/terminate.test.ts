import { expect, test } from 'vitest';
import type { StoredObject } from '#apiserver/json/object.ts';
import { crdPath, createDefinitions } from '#apiserver/testing/definitions.ts';
import { startTestServer } from '#apiserver/testing/start.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { terminate } from './terminate.ts';
import { definition, group } from './testdata.ts';

test('terminate() leaves alone what belongs to a later definition of the same name', async () => {
  await using started = await startTestServer({ crds: [] });
  const crd = definition('Vase');
  await createDefinitions(started, [crd]);
  const vases = `/apis/${group}/v1/namespaces/default/vases`;
  const body = { apiVersion: `${group}/v1`, kind: 'Vase', metadata: { name: 'blue' } };
  expect((await started.request(vases, { method: 'POST', body })).status).toBe(201);
  const now = (await started.request(`${crdPath}/${crd.metadata.name}`)).json() as StoredObject;
  const earlier: StoredObject = { ...now, metadata: { ...now.metadata, uid: 'of-an-earlier-one' } };
  const context = { store: started.store, clock: systemClock, random: systemRandom } as ServerContext;
  await terminate(earlier, context, silentLog, AbortSignal.timeout(10_000));
  expect((await started.request(`${vases}/blue`)).status).toBe(200);
});

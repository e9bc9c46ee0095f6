import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { JsonObject } from '#apiserver/json/json.ts';
import { readLines } from '#apiserver/testing/http.ts';
import { startTestServer } from '#apiserver/testing/start.ts';
import { readPolicy } from './policy.ts';

const policy = readPolicy(`
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - {level: RequestResponse, resources: [{group: "", resources: [configmaps, secrets]}]}
  - {level: Metadata}
`);
const maps = '/api/v1/namespaces/default/configmaps';
const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { k: 'v' } };

async function audited(
  work: (started: Awaited<ReturnType<typeof startTestServer>>) => Promise<unknown>,
): Promise<JsonObject[]> {
  const folder = mkdtempSync(join(tmpdir(), 'audit-'));
  const path = join(folder, 'audit.log');
  try {
    {
      await using started = await startTestServer({ crds: [], audit: { path, policy, maxBytes: 1e9, maxBackups: 1 } });
      await work(started);
      await started.server[Symbol.asyncDispose]();
    }
    return readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as JsonObject);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('a request leaves a line when it came and one when it was answered, with what was sent and what came back', async () => {
  const headers = { 'audit-id': 'my-id', 'user-agent': 'test/1' };
  const lines = await audited(({ request }) => request(maps, { method: 'POST', headers, body }));
  expect(lines.map(({ stage }) => stage)).toEqual(['RequestReceived', 'ResponseComplete']);
  expect(lines[1]).toMatchObject({
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'RequestResponse',
    auditID: 'my-id',
    requestURI: maps,
    verb: 'create',
    user: { username: 'admin', groups: ['system:masters', 'system:authenticated'] },
    sourceIPs: ['127.0.0.1'],
    userAgent: 'test/1',
    objectRef: { resource: 'configmaps', namespace: 'default', apiVersion: 'v1' },
    responseStatus: { code: 201 },
    requestObject: body,
    responseObject: { metadata: { name: 'a', uid: expect.any(String) } },
    stageTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
  });
});

test('secrets are told of, never told', async () => {
  const secret = { ...body, kind: 'Secret', data: { password: 'aHVudGVyMg==' } };
  const lines = await audited(({ request }) =>
    request('/api/v1/namespaces/default/secrets', { method: 'POST', body: secret }),
  );
  expect(lines).toHaveLength(2);
  expect(JSON.stringify(lines)).not.toContain('aHVudGVyMg');
});

test('refusals, strangers and borrowed names are there', async () => {
  const lines = await audited(async ({ request }) => {
    await request(`${maps}/none`);
    await request(maps, { token: 'stolen' });
    await request(maps, { headers: { 'impersonate-user': 'jo' } });
  });
  const [missing, stranger, borrowed] = lines.filter(({ stage }) => stage !== 'RequestReceived');
  expect(missing).toMatchObject({ responseStatus: { code: 404, reason: 'NotFound', status: 'Failure' } });
  expect(stranger).toMatchObject({
    stage: 'ResponseStarted',
    user: { username: 'system:anonymous' },
    responseStatus: { code: 401 },
  });
  expect(borrowed).toMatchObject({
    user: { username: 'admin' },
    impersonatedUser: { username: 'jo' },
    responseStatus: { code: 403 },
  });
  expect(JSON.stringify(lines)).not.toContain('stolen');
});

test('a watch leaves a line when it begins and one when it ends', async () => {
  const lines = await audited(({ server, authority, token }) =>
    readLines(`${server.url}${maps}?watch=1&timeoutSeconds=1`, { ca: authority.certificate, token }, () => false),
  );
  expect(lines.map(({ stage }) => stage)).toEqual(['RequestReceived', 'ResponseStarted', 'ResponseComplete']);
});

test('bodies that are too long for a line are left out of it', async () => {
  const long = { ...body, data: { k: 'x'.repeat(200_000) } };
  const lines = await audited(({ request }) => request(maps, { method: 'POST', body: long }));
  expect(lines[1]).toMatchObject({ annotations: { 'audit.k8s.io/truncated': 'true' }, responseStatus: { code: 201 } });
  expect(lines[1]).not.toHaveProperty('requestObject');
});

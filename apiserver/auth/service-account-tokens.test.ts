/** Tokens of ServiceAccounts, as clients get and use them. */
import { generateKeyPairSync } from 'node:crypto';
import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { readLines, type Send } from '#apiserver/testing/http.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import type { Log } from '#lib/std/log.ts';
import { type Key, publicHalf, readSigningKey, signJwt } from './jwt.ts';

const issuer = 'https://tokens.example';
const accounts = '/api/v1/namespaces/default/serviceaccounts';
const rbac = 'rbac.authorization.k8s.io';

function newKey(): Key {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return readSigningKey(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
}

const signingKey = newKey();
const olderKey = newKey();

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer({ serviceAccounts: { issuer, signingKey, olderKeys: [publicHalf(olderKey)] } });
});
afterAll(() => started[Symbol.asyncDispose]());

async function ask(path: string, send: Send = {}, status = 200): Promise<JsonObject> {
  const reply = await started.request(path, send);
  expect(reply.status, reply.text).toBe(status);
  return reply.json();
}

const create = (path: string, body: object) => ask(path, { method: 'POST', body }, 201) as Promise<StoredObject>;
const createAccount = (name: string) =>
  create(accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } });

function request(name: string, spec: object = {}, status = 201): Promise<JsonObject> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
  return ask(`${accounts}/${name}/token`, { method: 'POST', body }, status);
}

async function tokenOf(name: string, spec: object = {}): Promise<string> {
  return ((await request(name, spec)).status as { token: string }).token;
}

function whoami(token: string, status = 201): Promise<JsonObject> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
  return ask('/apis/authentication.k8s.io/v1/selfsubjectreviews', { method: 'POST', body, token }, status);
}

test('a token stands for its account, and says so in Kubernetes’ claims', async () => {
  const { metadata } = await createAccount('robot');
  const reply = await request('robot', { expirationSeconds: 900 });
  const { token, expirationTimestamp } = reply.status as { token: string; expirationTimestamp: string };
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>;
  expect(claims).toMatchObject({
    iss: issuer,
    aud: [issuer],
    sub: 'system:serviceaccount:default:robot',
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'robot', uid: metadata.uid } },
  });
  expect(Date.parse(expirationTimestamp)).toBe((claims.exp as number) * 1000);
  expect((claims.exp as number) - (claims.iat as number)).toBe(900);
  expect((await whoami(token)).status).toMatchObject({
    userInfo: {
      username: 'system:serviceaccount:default:robot',
      uid: metadata.uid,
      groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
      extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti as string}`] },
    },
  });
});

test('requests that make no sense are refused', async () => {
  await createAccount('wishful');
  const short = await request('wishful', { expirationSeconds: 60 }, 422);
  expect(short.message).toContain('may not specify a duration less than 10 minutes');
  await request('wishful', { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p' } }, 422);
  await request('wishful', { boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name: 'none' } }, 404);
  await request('nobody', {}, 404);
});

test('a token for others is none for this server, and TokenReview says whose it is to them', async () => {
  await createAccount('guest');
  const token = await tokenOf('guest', { audiences: ['vault'] });
  await whoami(token, 401);
  const review = (audiences: readonly string[]) =>
    create('/apis/authentication.k8s.io/v1/tokenreviews', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences },
    });
  expect((await review(['vault', 'other'])).status).toMatchObject({
    authenticated: true,
    audiences: ['vault'],
    user: { username: 'system:serviceaccount:default:guest' },
  });
  expect((await review([])).status).toMatchObject({ authenticated: false });
});

test('a token ends with its account, and is not that of the next one of the name', async () => {
  await createAccount('short');
  const token = await tokenOf('short');
  await whoami(token);
  await ask(`${accounts}/short`, { method: 'DELETE' });
  await vi.waitFor(() => whoami(token, 401));
  await createAccount('short');
  await whoami(token, 401);
  await whoami(await tokenOf('short'));
});

test('a token that is bound to a secret ends with it', async () => {
  await createAccount('bound');
  const secrets = '/api/v1/namespaces/default/secrets';
  const { metadata } = await create(secrets, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'tie' } });
  const reference = { apiVersion: 'v1', kind: 'Secret', name: 'tie' };
  await request('bound', { boundObjectRef: { ...reference, uid: 'another' } }, 409);
  const token = await tokenOf('bound', { boundObjectRef: { ...reference, uid: metadata.uid } });
  await whoami(token);
  await ask(`${secrets}/tie`, { method: 'DELETE' });
  await vi.waitFor(() => whoami(token, 401));
});

test('a watch ends with the account that opened it', async () => {
  await createAccount('watcher');
  await create(`/apis/${rbac}/v1/namespaces/default/rolebindings`, {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata: { name: 'watcher' },
    subjects: [{ kind: 'ServiceAccount', name: 'watcher' }],
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'view' },
  });
  const token = await tokenOf('watcher');
  const maps = '/api/v1/namespaces/default/configmaps';
  await vi.waitFor(() => ask(maps, { token }));
  const open = Promise.withResolvers<void>();
  const ended = readLines(
    `${started.server.url}${maps}?watch=1&resourceVersion=0&allowWatchBookmarks=true`,
    { ca: started.authority.certificate, token },
    () => {
      open.resolve();
      return false;
    },
  );
  await open.promise;
  await ask(`${accounts}/watcher`, { method: 'DELETE' });
  await ended;
});

test('an older key is still believed, a foreign one and a changed token are not', async () => {
  const { metadata } = await createAccount('veteran');
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer,
    aud: [issuer],
    sub: 'system:serviceaccount:default:veteran',
    iat: now,
    exp: now + 600,
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'veteran', uid: metadata.uid } },
  };
  await whoami(await signJwt(claims, olderKey));
  await whoami(await signJwt(claims, newKey()), 401);
  await whoami(await signJwt({ ...claims, exp: now - 1 }, signingKey), 401);
  const [header, , signature] = (await signJwt(claims, signingKey)).split('.');
  const other = Buffer.from(JSON.stringify({ ...claims, aud: [issuer, 'more'] })).toString('base64url');
  await whoami(`${header}.${other}.${signature}`, 401);
  const unsigned = Buffer.from('{"alg":"none"}').toString('base64url');
  await whoami(`${unsigned}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`, 401);
});

test('no token stands in the log, whether it was believed or not', async () => {
  const lines: string[] = [];
  const note = (message: string, fields: object = {}) => void lines.push(`${message} ${inspect(fields, { depth: 9 })}`);
  const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
  await using other = await startTestServer({ log, serviceAccounts: { issuer, signingKey, olderKeys: [] } });
  const claims = { iss: issuer, aud: [issuer], sub: 'canary-of-claims', exp: 1 };
  const tokens = [other.token, 'canary-of-a-guess', await signJwt(claims, signingKey), await signJwt(claims, newKey())];
  for (const token of tokens) await other.request('/api', { token });
  expect(lines.filter((line) => line.startsWith('Refused'))).toHaveLength(2);
  for (const secret of [...tokens, ...tokens.map((token) => token.split('.')[1] ?? token), 'canary'])
    expect(lines.join('\n')).not.toContain(secret);
});

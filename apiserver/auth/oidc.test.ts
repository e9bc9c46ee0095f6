/** ID tokens of an issuer that runs here, on loopback, behind a certificate of an authority of its own. */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { createAuthority, issue } from '#lib/tls/authority.ts';
import { type Claims, type Key, readSigningKey, signJwt } from './jwt.ts';
import { type OidcOptions, oidcTokens } from './oidc.ts';

function newKey(): Key {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return readSigningKey(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
}

const key = newKey();
let listener: Server;
let issuerUrl: string;
let ca: string;
let served: readonly Key[];
let asked: string[];
let isDown: boolean;

beforeAll(async () => {
  const authority = await createAuthority('oidc');
  const certificate = await issue(authority, { commonName: 'issuer', ips: ['127.0.0.1'], usage: 'server' });
  ca = authority.certificate;
  listener = createServer({ cert: certificate.certificate, key: certificate.key }, (request, response) => {
    asked.push(request.url!);
    if (isDown) return response.writeHead(503).end();
    if (request.url === '/.well-known/openid-configuration')
      return response.end(JSON.stringify({ issuer: issuerUrl, jwks_uri: `${issuerUrl}/keys` }));
    const keys = served.map(({ id, algorithm, key: one }) => {
      const { kty, n, e } = one.export({ format: 'jwk' });
      return { kty, n, e, kid: id, alg: algorithm, use: 'sig' };
    });
    return response.end(JSON.stringify({ keys }));
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  issuerUrl = `https://127.0.0.1:${(listener.address() as AddressInfo).port}`;
});
afterAll(async () => {
  listener.close();
  listener.closeAllConnections();
  await once(listener, 'close');
});
beforeEach(() => {
  served = [key];
  asked = [];
  isDown = false;
});

function authenticator(options: Partial<OidcOptions> = {}, clock = systemClock) {
  const standard = {
    issuerUrl,
    clientId: 'factory',
    usernameClaim: 'sub',
    usernamePrefix: undefined,
    groupsClaim: 'groups',
  };
  return oidcTokens({ ...standard, groupsPrefix: 'oidc:', ca, algorithms: ['RS256'], ...options }, clock);
}

function token(claims: Claims = {}, by = key): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return signJwt({ iss: issuerUrl, aud: 'factory', sub: 'jo', iat: now, exp: now + 600, ...claims }, by);
}

test('name and groups come from the claims, with their prefixes', async () => {
  const authenticate = authenticator();
  expect(asked).toEqual([]);
  const identity = await authenticate(await token({ groups: ['film', 'sound'] }));
  expect(identity?.user).toEqual({
    name: `${issuerUrl}#jo`,
    groups: ['oidc:film', 'oidc:sound', 'system:authenticated'],
  });
  expect(identity!.expiresMs).toBeGreaterThan(Date.now());
  await authenticate(await token({ sub: 'al' }));
  expect(asked).toEqual(['/.well-known/openid-configuration', '/keys']);
});

test.each([
  [{ usernamePrefix: '-' }, { sub: 'jo' }, 'jo'],
  [{ usernamePrefix: 'corp:' }, { sub: 'jo' }, 'corp:jo'],
  [{ usernameClaim: 'email' }, { email: 'jo@corp.example', email_verified: true }, 'jo@corp.example'],
])('%o of %o is %s', async (options, claims, name) => {
  expect((await authenticator(options)(await token(claims)))?.user.name).toBe(name);
});

test('a token of another issuer is not looked at', async () => {
  expect(await authenticator()(await token({ iss: 'https://other.example' }))).toBeUndefined();
  expect(await authenticator()('no-jwt')).toBeUndefined();
  expect(asked).toEqual([]);
});

describe('what is not believed', () => {
  test.each([
    ['another client', { aud: 'other' }, /another client/],
    ['the past', { exp: Math.floor(Date.now() / 1000) - 1 }, /exp/],
    ['no expiry', { exp: undefined }, /exp/],
    ['no name', { sub: '' }, /no claim "sub"/],
  ] as const)('%s', async (_, claims, message) => {
    await expect(authenticator()(await token(claims as Claims))).rejects.toThrow(message);
  });

  test('an email that is not verified', async () => {
    const claims = { email: 'jo@corp.example', email_verified: false };
    await expect(authenticator({ usernameClaim: 'email' })(await token(claims))).rejects.toThrow('not verified');
  });

  test('a key that the issuer does not show', async () => {
    await expect(authenticator()(await token({}, newKey()))).rejects.toThrow('no key of the issuer');
  });

  test('an issuer that another authority has signed', async () => {
    const { certificate } = await createAuthority('other');
    await expect(authenticator({ ca: certificate })(await token())).rejects.toThrow(/Cannot read/);
  });
});

test('new keys of the issuer are found, but not by asking for every token', async () => {
  let nowMs = 0;
  const authenticate = authenticator({}, { ...systemClock, monotonic: () => nowMs });
  await authenticate(await token());
  const next = newKey();
  served = [key, next];
  const fresh = await token({}, next);
  await expect(authenticate(fresh)).rejects.toThrow('no key of the issuer');
  nowMs += 60_000;
  expect(await authenticate(fresh)).toBeDefined();
  expect(asked).toHaveLength(4);
});

test('an issuer that is down is asked again after a while, and keys that were read stay good', async () => {
  let nowMs = 0;
  const authenticate = authenticator({}, { ...systemClock, monotonic: () => nowMs });
  isDown = true;
  await expect(authenticate(await token())).rejects.toThrow(/Cannot read/);
  await expect(authenticate(await token())).rejects.toThrow(/Cannot read/);
  expect(asked).toHaveLength(1);
  isDown = false;
  nowMs += 60_000;
  expect(await authenticate(await token())).toBeDefined();
  isDown = true;
  nowMs += 60_000;
  expect(await authenticate(await token({ sub: 'al' }))).toBeDefined();
});

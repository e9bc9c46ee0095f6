import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { uploadPath, uploadToken } from '#lib/api/host-endpoint.ts';
import { createAuthority, fingerprint, issue } from '#lib/tls/authority.ts';

const namespace = '/apis/computefactory.io/v1alpha1/namespaces/default';
const upload = `${namespace}/images/debian/upload`;
const sha256 = 'a'.repeat(64);
const mib = 2 ** 20;

interface TestHost extends AsyncDisposable {
  readonly url: string;
  readonly certificateSha256: string;
  readonly requests: string[];
  /** Bytes of bodies that came. */
  bytes(): number;
  digest(): string;
  gone(): number;
}

/** `refusal`: to every PUT, before its bytes. `deaf`: asks for the bytes, and reads none. */
async function startHost({
  refusal,
  deaf = false,
}: {
  refusal?: [number, string];
  deaf?: boolean;
} = {}): Promise<TestHost> {
  const authority = await createAuthority('host');
  const certificate = await issue(authority, { commonName: 'h1', ips: ['127.0.0.1'], usage: 'server' });
  const server = createServer({ cert: certificate.certificate, key: certificate.key });
  const requests: string[] = [];
  const hash = createHash('sha256');
  let [bytes, gone] = [0, 0];
  const hear = ({ method, url, headers }: IncomingMessage) =>
    requests.push(`${method} ${url} ${headers.authorization}`);
  server.on('request', (asked, response) => {
    hear(asked);
    response.end('{"received":7}');
  });
  server.on('checkContinue', (asked: IncomingMessage, response: ServerResponse) => {
    hear(asked);
    asked.on('error', () => gone++);
    if (refusal) {
      response.writeHead(refusal[0]).end(refusal[1]);
      return;
    }
    response.writeContinue();
    if (deaf) {
      asked.pause();
      return;
    }
    asked.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    });
    asked.on('end', () => response.end('{"complete":true}'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    certificateSha256: fingerprint(certificate.certificate),
    ...{ requests, bytes: () => bytes, gone: () => gone, digest: () => hash.copy().digest('hex') },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function expectOk(started: TestServer, path: string, method: string, body: object): Promise<string> {
  const headers = method === 'PATCH' ? { 'content-type': 'application/merge-patch+json' } : {};
  const reply = await started.request(path, { method, headers, body });
  expect(reply.status, reply.text).toBeLessThan(300);
  return reply.text;
}

const rows = (started: TestServer, clusters: readonly object[]) =>
  expectOk(started, `${namespace}/images/debian/status`, 'PATCH', { status: { clusters } });

const waiting = { name: 'east', phase: 'WaitingForUpload', host: 'h1' };

async function createImage(started: TestServer, spec: object = { source: { upload: {} } }): Promise<string> {
  const image = { apiVersion: 'computefactory.io/v1alpha1', kind: 'Image', metadata: { name: 'debian' }, spec };
  const text = await expectOk(started, `${namespace}/images`, 'POST', image);
  return (JSON.parse(text) as { metadata: { uid: string } }).metadata.uid;
}

async function addHost(started: TestServer, host: TestHost): Promise<void> {
  const hosts = '/apis/computefactory.io/v1alpha1/hosts';
  await expectOk(started, hosts, 'POST', {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'Host', metadata: { name: 'east-h1' } },
    spec: { cluster: 'east', hostname: 'h1' },
  });
  await expectOk(started, `${hosts}/east-h1/status`, 'PATCH', { status: { executor: { consoleURL: host.url } } });
  await expectOk(started, '/api/v1/namespaces/cf-system/secrets', 'POST', {
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'console-east-h1' } },
    stringData: { token: 'host-token', certificateSha256: host.certificateSha256 },
  });
}

/** An image that waits for its file, and a host that takes it. */
async function openWorld(options: Parameters<typeof startHost>[0] = {}, tokens = '') {
  await using stack = new AsyncDisposableStack();
  const host = stack.use(await startHost(options));
  const started = stack.use(await startTestServer({ tokens }));
  const uid = await createImage(started);
  await addHost(started, host);
  await rows(started, [waiting]);
  const kept = stack.move();
  return { host, started, uid, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const piece = (size: number, offset = 0) => `${upload}?offset=${offset}&size=${size}&sha256=${sha256}`;

/** A PUT of which the body is still to be written. */
function begin({ server, authority, token: ours }: TestServer, size: number, token = ours) {
  const sent = request(`${server.url}${piece(size)}`, {
    ...{ method: 'PUT', ca: authority.certificate, agent: false },
    headers: { authorization: `Bearer ${token}`, 'content-length': size },
  });
  sent.on('error', () => undefined).flushHeaders();
  return sent;
}

const until = (check: () => unknown) => vi.waitFor(check, { timeout: 10_000, interval: 20 });

test('the bytes reach the host, which is told what the image may have, with a token for nothing else', async () => {
  await using world = await openWorld();
  const { host, started, uid } = world;
  const body = Buffer.alloc(5 * mib, 'cf');
  const reply = await started.request(piece(6 * mib, mib), { method: 'PUT', body });
  expect(reply).toMatchObject({ status: 200, text: '{"complete":true}' });
  expect(host.digest()).toBe(createHash('sha256').update(body).digest('hex'));
  const query = `offset=${mib}&size=${6 * mib}&sha256=${sha256}&maxVirtualSize=${2 * 2 ** 40}`;
  const token = uploadToken('host-token', uid);
  expect(host.requests).toEqual([`PUT ${uploadPath(uid)}?${query} Bearer ${token}`]);
  expect(await started.request(`${upload}?cluster=east`)).toMatchObject({ status: 200, text: '{"received":7}' });
  expect(host.requests[1]).toBe(`GET ${uploadPath(uid)} Bearer ${token}`);
  expect((await started.request(upload, { method: 'POST', body: {} })).status).toBe(404);
});

test.each([
  ['is fetched', { source: { http: { url: 'https://a/' } } }, [waiting], '', 400, 'its spec.source is http'],
  ['has no cluster', undefined, [], '', 503, 'has no cluster'],
  ['has two, and none is named', undefined, [waiting, { ...waiting, name: 'west' }], '', 400, 'east, west'],
  ['is not to come there', undefined, [waiting], '&cluster=west', 400, 'There is no cluster "west"'],
  ['has no host', undefined, [{ name: 'east', phase: 'WaitingForUpload' }], '', 503, 'no host of cluster "east"'],
  ['is being imported', undefined, [{ name: 'east', phase: 'Converting' }], '', 409, 'being imported (Converting)'],
  ['is Ready', undefined, [{ name: 'east', phase: 'Ready' }], '', 409, 'New bytes are a new Image'],
  ['has failed', undefined, [{ name: 'east', phase: 'Failed', message: 'Bad' }], '', 409, 'Bad. Set its annotation'],
] as const)('an image that %s is refused, and no host asked', async (_, spec, clusters, query, status, why) => {
  await using host = await startHost();
  await using started = await startTestServer();
  await createImage(started, spec);
  await addHost(started, host);
  await rows(started, clusters);
  const reply = await started.request(`${piece(5)}${query}`, { method: 'PUT', body: 'bytes' });
  expect([reply.status, reply.text]).toEqual([status, expect.stringContaining(JSON.stringify(why).slice(1, -1))]);
  expect(host.requests).toEqual([]);
});

test.each([
  ['size=5', 'offset must be a number of bytes'],
  ['offset=0&size=5&sha256=cafe', '64 hex digits'],
  [`offset=0&size=0&sha256=${sha256}`, 'The file is empty'],
  [`offset=6&size=5&sha256=${sha256}`, 'nothing begins at 6'],
])('a piece with %s is refused', async (query, why) => {
  await using world = await openWorld();
  const reply = await world.started.request(`${upload}?${query}`, { method: 'PUT', body: 'bytes' });
  expect([reply.status, reply.text]).toEqual([400, expect.stringContaining(why)]);
  expect(world.host.requests).toEqual([]);
});

test('what the host refuses is told in its words, though the client is still sending', async () => {
  await using world = await openWorld({ refusal: [409, 'Somebody else is uploading it'] });
  const body = Buffer.alloc(8 * mib);
  const reply = await world.started.request(piece(body.length), { method: 'PUT', body });
  expect(reply.status).toBe(409);
  expect(reply.json()).toMatchObject({
    ...{ reason: 'Conflict', message: 'Cannot upload the file: Somebody else is uploading it' },
  });
});

test('more or less than was announced is no whole piece', async () => {
  await using world = await openWorld();
  const reply = await world.started.request(piece(3), { method: 'PUT', body: 'bytes' });
  expect([reply.status, reply.text]).toEqual([400, expect.stringContaining('more than the 3 bytes')]);
  const less = await world.started.request(piece(9), { method: 'PUT', body: 'bytes' });
  expect([less.status, less.text]).toEqual([400, expect.stringContaining('5 of 9 bytes came')]);
});

test('a host that takes its time is waited for: what it has not taken stays with the client', async () => {
  await using world = await openWorld({ deaf: true });
  const size = 256 * mib;
  const sent = begin(world.started, size);
  const chunk = Buffer.alloc(mib);
  let written = 0;
  while (written < size) {
    written += mib;
    if (sent.write(chunk)) continue;
    const drained = once(sent, 'drain').then(() => true);
    if (!(await Promise.race([drained, sleep(500, false)]))) break;
  }
  sent.destroy();
  expect(written).toBeLessThan(32 * mib);
});

test('a client that goes away takes the connection to the host with it', async () => {
  await using world = await openWorld();
  const sent = begin(world.started, 10 * mib);
  sent.write(Buffer.alloc(mib));
  await until(() => expect(world.host.bytes()).toBe(mib));
  sent.destroy();
  await until(() => expect(world.host.gone()).toBe(1));
});

test('only who may edit images sends them, and for as long as he may', async () => {
  await using world = await openWorld({}, 'token-of-vera,vera,,\n');
  const { started, host } = world;
  const token = 'token-of-vera';
  const bindings = '/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings';
  const bind = (role: string) =>
    expectOk(started, bindings, 'POST', {
      ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding', metadata: { name: role } },
      subjects: [{ kind: 'User', name: 'vera' }],
      roleRef: { kind: 'ClusterRole', name: role },
    });
  await bind('view');
  const mayView = () => started.request(`${namespace}/images/debian`, { token });
  await until(async () => expect((await mayView()).status).toBe(200));
  expect((await started.request(upload, { token })).status).toBe(403);
  expect((await started.request(piece(5), { method: 'PUT', body: 'bytes', token })).status).toBe(403);
  await bind('edit');
  await until(async () => expect((await started.request(upload, { token })).status).toBe(200));
  begin(started, 10 * mib, token).write(Buffer.alloc(mib));
  await until(() => expect(host.bytes()).toBe(mib));
  await started.request(`${bindings}/edit`, { method: 'DELETE' });
  await until(() => expect(host.gone()).toBe(1));
});

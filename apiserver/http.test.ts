/** The protocol itself: bodies that do not end, headers that are too large, connections that go on or are closed. */
import { once } from 'node:events';
import { connect } from 'node:http2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRaw } from './testing/raw.ts';
import { startTestServer, type TestServer } from './testing/start.ts';

const maps = '/api/v1/namespaces/default/configmaps';

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer({ strictTransportSecurity: 'max-age=31536000' });
});
afterAll(() => started[Symbol.asyncDispose]());

const head = (line: string, ...headers: readonly string[]) =>
  [`${line} HTTP/1.1`, 'host: server', `authorization: Bearer ${started.token}`, ...headers, '', ''].join('\r\n');
const json = 'content-type: application/json';

test.each([
  [
    'ten megabytes of headers',
    () => head('GET /livez', ...Array.from({ length: 1_000 }, (_, i) => `x-${i}: ${'y'.repeat(10_000)}`)),
    /^HTTP\/1.1 431 /,
  ],
  ['a URL of 100 KB', () => head(`GET /livez?${'x'.repeat(100_000)}`), /^HTTP\/1.1 431 /],
  ['what is no HTTP', () => 'EHLO server\r\n\r\n', /^HTTP\/1.1 400 /],
  ['two lengths', () => `${head(`POST ${maps}`, json, 'content-length: 5', 'content-length: 6')}{}`, /^HTTP\/1.1 400 /],
  [
    'a length and chunks',
    () => `${head(`POST ${maps}`, json, 'content-length: 5', 'transfer-encoding: chunked')}0\r\n\r\n`,
    /^HTTP\/1.1 400 /,
  ],
  [
    'a chunk that is no number',
    () => `${head(`POST ${maps}`, json, 'transfer-encoding: chunked')}zz\r\n`,
    /^HTTP\/1.1 400 |^$/,
  ],
])('%s: refused, and the connection closed', async (_, text, expected) => {
  using raw = await openRaw(started);
  raw.write(text());
  expect((await raw.read()).slice(0, 200)).toMatch(expected);
  expect((await started.request('/livez')).status).toBe(200);
});

test('a body that is announced as too large is refused before it comes', async () => {
  using raw = await openRaw(started);
  raw.write(head(`POST ${maps}`, json, `content-length: ${10 ** 9}`));
  const answer = await raw.read();
  expect(answer).toMatch(/^HTTP\/1.1 413 /);
  expect(answer).toContain('"reason":"RequestEntityTooLarge"');
});

test('a body that turns out too large is answered, although it still comes', async () => {
  using raw = await openRaw(started);
  raw.write(head(`POST ${maps}`, json, 'transfer-encoding: chunked'));
  const chunk = `${(1024 * 1024).toString(16)}\r\n${' '.repeat(1024 * 1024)}\r\n`;
  for (let index = 0; index < 8; index++) raw.write(chunk);
  const answer = await raw.read();
  expect(answer).toMatch(/^HTTP\/1.1 413 /);
  expect(answer).toMatch(/connection: close/i);
});

test('a chunked body without an end is given up at the deadline, and the connection with it', async () => {
  using raw = await openRaw(started);
  raw.write(`${head(`POST ${maps}?timeout=200ms`, json, 'transfer-encoding: chunked')}1\r\n{\r\n`);
  const answer = await raw.read();
  expect(answer).toMatch(/^HTTP\/1.1 504 /);
  expect(answer).toContain('Timeout: request did not complete within the allotted timeout');
  await raw.closed;
  const { text } = await started.request('/metrics');
  expect(text).toMatch(/apiserver_current_inflight_requests\{request_kind="exempt"\} 1\n/);
});

test('requests go on over one connection after one that was refused with its body read', async () => {
  using raw = await openRaw(started);
  raw.write(`${head(`POST ${maps}`, json, 'content-length: 2')}[]`);
  expect(await raw.read((text) => text.includes('"code":400'))).toMatch(/^HTTP\/1.1 400 /);
  raw.write(head('GET /livez'));
  expect(await raw.read((text) => text.endsWith('ok'))).toMatch(/HTTP\/1.1 200 OK/);
});

test('HTTP/2: a body that is too large is answered, and the session goes on', async () => {
  const session = connect(started.server.url, { ca: started.authority.certificate });
  const authorization = `Bearer ${started.token}`;
  const large = session.request({
    ':path': maps,
    ':method': 'POST',
    'content-type': 'application/json',
    authorization,
  });
  large.on('error', () => undefined);
  large.write(Buffer.alloc(4 * 1024 * 1024, 0x20));
  const [answer] = await once(large, 'response');
  expect(answer[':status']).toBe(413);
  const next = session.request({ ':path': '/livez', authorization });
  const [ok] = await once(next, 'response');
  expect(ok[':status']).toBe(200);
  session.destroy();
});

test('HTTP/2: headers that are too large end a stream, not the server', async () => {
  const session = connect(started.server.url, { ca: started.authority.certificate });
  session.on('error', () => undefined);
  const stream = session.request({ ':path': '/livez', 'x-long': 'y'.repeat(200_000) });
  stream.on('error', () => undefined);
  await new Promise((resolve) => stream.on('close', resolve));
  session.destroy();
  expect((await started.request('/livez')).status).toBe(200);
});

test.each(['/livez', '/version', maps])('HEAD %s has the headers of GET and no body', async (path) => {
  const [headed, got] = [await started.request(path, { method: 'HEAD' }), await started.request(path)];
  expect([headed.status, headed.text]).toEqual([200, '']);
  expect(headed.headers['content-type']).toBe(got.headers['content-type']);
});

test('what every answer carries', async () => {
  for (const path of ['/livez', maps, '/nothing', '/apis']) {
    const { headers } = await started.request(path, { headers: { 'audit-id': 'mine-1' } });
    expect(headers).toMatchObject({
      'audit-id': 'mine-1',
      'cache-control': 'no-cache, private',
      'strict-transport-security': 'max-age=31536000',
    });
  }
  const odd = await started.request('/livez', { headers: { 'audit-id': 'x'.repeat(65) } });
  expect(odd.headers['audit-id']).toMatch(/^[0-9a-f-]{36}$/);
});

test.each([
  ['/apis/', 200],
  ['/api/v1/', 200],
  [`${maps}/`, 200],
  ['/', 404],
  ['//api/v1', 404],
  ['/openapi/v4', 404],
  ['/metrics/x', 404],
])('%s answers %i', async (path, status) => {
  const reply = await started.request(path);
  expect(reply.status).toBe(status);
  if (status === 404) expect(reply.text).toBe('404 page not found\n');
});

import { connect } from 'node:http2';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import type { JsonObject } from '#apiserver/json/json.ts';
import { startTestServer } from '#apiserver/testing/start.ts';
import { systemClock } from '#lib/std/clock.ts';
import { isLong, sendList } from './send-list.ts';
import type { HttpResponse } from './transport.ts';

const item = (index: number) => ({ metadata: { name: `a${index}` }, text: 'é'.repeat(2_000) });
const listOf = (count: number, member = 'items'): JsonObject => ({
  kind: 'AList',
  metadata: { resourceVersion: '7' },
  [member]: Array.from({ length: count }, (_, index) => item(index)),
});

/** A response that takes 16 KiB at a time. */
function response(): PassThrough & HttpResponse {
  const stream = new PassThrough({ highWaterMark: 16 * 1024 });
  return Object.assign(stream, { headersSent: false, statusCode: 0, setHeader: () => stream, flushHeaders() {} });
}

const never = new AbortController().signal;

test.each(['items', 'rows'])('sendList() sends the same JSON as in one piece: %s', async (member) => {
  const stream = response();
  const body = listOf(500, member);
  const sent = sendList(stream, 200, body, { clock: systemClock, over: never, gzip: false });
  const text = Buffer.concat(await stream.toArray()).toString('utf8');
  await sent;
  expect(JSON.parse(text)).toEqual(body);
});

test('sendList() goes no further than the client reads, and stops when nobody waits any more', async () => {
  const stream = response();
  const over = new AbortController();
  const body = listOf(5_000);
  const sent = sendList(stream, 200, body, { clock: systemClock, over: over.signal, gzip: false });
  await systemClock.sleep(50);
  expect(stream.readableLength + stream.writableLength).toBeLessThan(300_000);
  over.abort(new Error('gone'));
  await expect(sent).rejects.toThrow('gone');
});

test('isLong() leaves short lists and what is no list alone', () => {
  expect([isLong(listOf(500)), isLong(listOf(3)), isLong({ items: 'many' })]).toEqual([true, false, false]);
});

test('a long list is whole on every way to the client', async () => {
  await using started = await startTestServer();
  const path = '/api/v1/namespaces/default/configmaps';
  const create = (index: number) => {
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `a${index}` }, data: { t: 'x'.repeat(900) } };
    return started.request(path, { method: 'POST', body });
  };
  await Promise.all(Array.from({ length: 150 }, (_, index) => create(index)));
  const table = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  expect(((await started.request(path)).json().items as object[]).length).toBe(150);
  expect(((await started.request(path, { headers: { accept: table } })).json().rows as object[]).length).toBe(150);
  expect((await started.request(path, { method: 'HEAD' })).text).toBe('');
  const session = connect(started.server.url, { ca: started.authority.certificate });
  const ask = async (method: string) => {
    const stream = session.request({ ':path': path, ':method': method, authorization: `Bearer ${started.token}` });
    return Buffer.concat(await stream.toArray()).toString('utf8');
  };
  expect((JSON.parse(await ask('GET')) as { items: object[] }).items.length).toBe(150);
  expect(await ask('HEAD')).toBe('');
  session.close();
});

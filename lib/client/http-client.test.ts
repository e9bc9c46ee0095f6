import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { ConfigMap } from '#lib/api/core.ts';
import { VirtualMachine, VMOperation } from '#lib/api/generated/index.ts';
import { seededRandom } from '#lib/std/random.ts';
import { type HttpClient, type HttpClientOptions, httpClient } from './http-client.ts';

interface Request {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

type Handler = (request: Request, response: ServerResponse) => void;

/** A server that answers as the test says, and the client to speak to it. */
async function serve(handler: Handler, options: Partial<HttpClientOptions> = {}) {
  const requests: Request[] = [];
  const server = createServer(async (message, response) => {
    const body = Buffer.concat(await message.toArray()).toString('utf8');
    const request = { method: message.method!, url: message.url!, headers: message.headers, body };
    requests.push(request);
    handler(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = {
    server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    authorization: async () => 'Bearer t0ken',
  };
  const client: HttpClient = httpClient(endpoint, { random: seededRandom(1), ...options });
  return {
    client,
    requests,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const json = (response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

const status = (code: number, reason: string, details: object = {}) => ({
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  message: `it said ${reason}`,
  reason,
  code,
  details,
});

const at = { name: 'a b', namespace: 'default' };

async function drain(events: AsyncIterable<unknown>): Promise<unknown[]> {
  const seen: unknown[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

describe('httpClient()', () => {
  it('asks the right paths, with token and content types', async () => {
    await using world = await serve((_request, response) => json(response, 200, { metadata: {} }));
    const { client, requests } = world;
    await client.get(ConfigMap, at);
    await client.patch(VirtualMachine, at, { spec: {} });
    await client.patchStatus(VirtualMachine, at, { status: {} });
    await client.delete(VirtualMachine, at, { uid: 'u', propagation: 'Foreground' });
    expect(requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'GET /api/v1/namespaces/default/configmaps/a%20b',
      'PATCH /apis/computefactory.io/v1alpha1/namespaces/default/virtualmachines/a%20b',
      'PATCH /apis/computefactory.io/v1alpha1/namespaces/default/virtualmachines/a%20b/status',
      'DELETE /apis/computefactory.io/v1alpha1/namespaces/default/virtualmachines/a%20b',
    ]);
    expect(requests[1]!.headers).toMatchObject({
      authorization: 'Bearer t0ken',
      'content-type': 'application/merge-patch+json',
    });
    expect(JSON.parse(requests[3]!.body)).toMatchObject({
      propagationPolicy: 'Foreground',
      preconditions: { uid: 'u' },
    });
  });

  it('turns a Status into an ApiError, and knows what to call an answer that is none', async () => {
    let answer: Handler = () => {};
    await using world = await serve((request, response) => answer(request, response));
    const causes = [{ reason: 'FieldValueRequired', message: 'Required value', field: 'spec.vm' }];
    answer = (_request, response) => json(response, 422, status(422, 'Invalid', { name: 'a', causes }));
    await expect(world.client.get(ConfigMap, at)).rejects.toMatchObject({
      code: 'Invalid',
      message: 'it said Invalid',
      details: { name: 'a', causes },
    });
    answer = (_request, response) => response.writeHead(403).end('<html>proxy says no</html>');
    await expect(world.client.get(ConfigMap, at)).rejects.toMatchObject({
      code: 'Forbidden',
      message: expect.stringContaining('proxy says no'),
    });
  });

  it('tries reads again, waiting as the server wishes; writes only after 429', async () => {
    let failures = 0;
    await using world = await serve(({ method }, response) => {
      failures += 1;
      if (method === 'GET' && failures === 1) return void response.socket?.destroy();
      if (method === 'GET' && failures === 2) return json(response, 503, status(503, 'ServiceUnavailable'));
      if (method === 'PATCH' && failures === 1) return json(response, 429, status(429, 'TooManyRequests'));
      if (method === 'PUT') return json(response, 503, status(503, 'ServiceUnavailable'), { 'retry-after': '1' });
      return json(response, 200, { metadata: { name: 'a' } });
    });
    const { client, requests } = world;
    expect((await client.get(ConfigMap, at)).metadata.name).toBe('a');
    expect(requests).toHaveLength(3);
    failures = 0;
    await client.patch(ConfigMap, at, {});
    expect(requests).toHaveLength(5);
    const write = client.update(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...at } as never });
    await expect(write).rejects.toMatchObject({ code: 'ServiceUnavailable', details: { retryAfterSeconds: 1 } });
    expect(requests).toHaveLength(6);
  });

  it('gives up on a call that is not answered in time, and lets the caller abort', async () => {
    await using world = await serve(() => {}, { callTimeoutMs: 50 });
    const write = world.client.patch(ConfigMap, at, {});
    await expect(write).rejects.toMatchObject({ code: 'Timeout' });
    const stop = new AbortController();
    const aborted = world.client.get(ConfigMap, at, { signal: stop.signal });
    stop.abort(new Error('changed my mind'));
    await expect(aborted).rejects.toThrow('changed my mind');
  });

  it('lists in pages, and all at once when the snapshot expired in between', async () => {
    const page = (name: string, token?: string) => ({
      metadata: { resourceVersion: '7', ...(token && { continue: token }) },
      items: [{ metadata: { name } }],
    });
    let expired = false;
    await using world = await serve(({ url }, response) => {
      if (!url.includes('limit=')) return json(response, 200, { ...page('all'), metadata: { resourceVersion: '9' } });
      if (!url.includes('continue=')) return json(response, 200, page('a', 'next'));
      return expired ? json(response, 410, status(410, 'Expired')) : json(response, 200, page('b'));
    });
    const list = await world.client.list(ConfigMap, { namespace: 'default', labelSelector: 'x in (y)' });
    expect(list.resourceVersion).toBe('7');
    expect(list.items.map((item) => `${item.kind} ${item.metadata.name}`)).toEqual(['ConfigMap a', 'ConfigMap b']);
    expect(world.requests[0]!.url).toContain('labelSelector=x+in+%28y%29&limit=500');
    expired = true;
    const whole = await world.client.list(ConfigMap);
    expect(whole).toMatchObject({ resourceVersion: '9', items: [{ metadata: { name: 'all' } }] });
  });

  it('reads a watch cut anywhere, bookmarks included, to its end', async () => {
    const events = [
      { type: 'ADDED', object: { kind: 'VMOperation', metadata: { name: 'ä' } } },
      { type: 'BOOKMARK', object: { metadata: { resourceVersion: '12' } } },
    ];
    const bytes = Buffer.from(`${events.map((event) => JSON.stringify(event)).join('\n')}\n`);
    const singly = async function* () {
      for (const byte of bytes) {
        yield Buffer.from([byte]);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await using world = await serve((_request, response) => void Readable.from(singly()).pipe(response));
    expect(await drain(world.client.watch(VMOperation, { resourceVersion: '5' }))).toEqual([
      { type: 'ADDED', object: { kind: 'VMOperation', metadata: { name: 'ä' } } },
      { type: 'BOOKMARK', resourceVersion: '12' },
    ]);
    expect(world.requests[0]!.url).toContain('watch=true&allowWatchBookmarks=true&resourceVersion=5');
  });

  it('says Expired, also when told inside the watch, and ServiceUnavailable when it is silent or cut off', async () => {
    let answer: Handler = () => {};
    await using world = await serve((request, response) => answer(request, response), { watchIdleMs: 200 });
    const watch = () => drain(world.client.watch(VMOperation, { resourceVersion: '5' }));
    answer = (_request, response) =>
      response.end(`${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') })}\n`);
    await expect(watch()).rejects.toMatchObject({ code: 'Expired' });
    answer = (_request, response) => json(response, 410, status(410, 'Gone'));
    await expect(watch()).rejects.toMatchObject({ code: 'Expired' });
    answer = (_request, response) => response.flushHeaders();
    await expect(watch()).rejects.toMatchObject({ code: 'ServiceUnavailable' });
    answer = (_request, response) => response.end('{"type":"ADD');
    await expect(watch()).rejects.toMatchObject({ code: 'ServiceUnavailable' });
  });
});

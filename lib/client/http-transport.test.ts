import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { defaultTransportOptions, httpTransport } from './http-transport.ts';

test('a connection that is reset while a body is sent is an error for whoever sends', async () => {
  const server = createServer((request, response) => {
    request.once('data', () => response.socket!.resetAndDestroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await using transport = httpTransport({ server: `http://127.0.0.1:${port}` }, defaultTransportOptions);
  const [chunk, chunks] = [Buffer.alloc(2 ** 20), 64];
  async function* body() {
    for (let sent = 0; sent < chunks; sent++) yield chunk;
  }
  const request = { method: 'PUT', path: '/', signal: AbortSignal.timeout(10_000) } as const;
  await expect(transport.send(request, body(), chunks * chunk.length)).rejects.toMatchObject({
    ...{ code: 'ServiceUnavailable', message: expect.stringContaining('PUT /') },
  });
  await new Promise((resolve) => server.close(resolve));
});

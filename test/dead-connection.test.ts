/** What a firewall does that forgets a connection: both ends believe in it, and nothing comes through. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { startTestServer } from '#apiserver/testing/start.ts';
import { Namespace } from '#lib/api/core.ts';
import { httpClient } from '#lib/client/http-client.ts';

test('calls leave a connection that leads to nobody any more', { timeout: 30_000 }, async () => {
  await using started = await startTestServer();
  const sockets: Socket[] = [];
  await using stack = new AsyncDisposableStack();
  const proxy = createServer((near) => {
    const far = connect(started.server.port, '127.0.0.1');
    sockets.push(near, far);
    near.pipe(far).on('error', () => near.destroy());
    far.pipe(near).on('error', () => far.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  stack.defer(() => void proxy.close());
  stack.defer(() => {
    for (const socket of sockets) socket.destroy();
  });
  const endpoint = {
    server: `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    ca: started.authority.certificate,
    authorization: async () => `Bearer ${started.token}`,
  };
  const client = stack.use(httpClient(endpoint, { callTimeoutMs: 500, connections: 1 }));
  const read = () => client.get(Namespace, { name: 'default' });
  await read();
  await read();
  expect(sockets.length).toBe(2);
  for (const socket of sockets) socket.unpipe().pause();
  await expect.poll(read, { timeout: 20_000 }).toMatchObject({ metadata: { name: 'default' } });
  expect(sockets.length).toBe(4);
});

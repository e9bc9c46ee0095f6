import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { silentLog } from '#lib/std/log.ts';
import { consolePaths } from './paths.ts';
import { startConsole } from './server.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 5000, interval: 10 }));

/** A console server over one machine whose guest answers what it hears in capitals. */
async function openWorld() {
  await using stack = new AsyncDisposableStack();
  const { path: root } = stack.use(await mkdtempDisposable(join(tmpdir(), 'cf-')));
  const uid = randomUUID();
  const { consoleSocket, consoleLog } = consolePaths(root, uid);
  for (const file of [consoleSocket, consoleLog]) mkdirSync(dirname(file), { recursive: true });
  writeFileSync(consoleLog, `${'x'.repeat(70_000)}login: `);
  const guests = new Set<Socket>();
  const guest = createServer((socket) => {
    guests.add(socket);
    socket.on('error', () => socket.destroy()).on('data', (data) => socket.write(String(data).toUpperCase()));
  });
  await new Promise<void>((resolve) => guest.listen(consoleSocket, resolve));
  stack.defer(async () => {
    for (const socket of guests) socket.destroy();
    await new Promise((resolve) => guest.close(resolve));
  });
  const { endpoint } = stack.use(await startConsole({ listen: '127.0.0.1:0', root, log: silentLog }));
  const kept = stack.move();
  return { uid, endpoint, guests, [Symbol.asyncDispose]: async () => await kept.disposeAsync() };
}

type World = Awaited<ReturnType<typeof openWorld>>;

function open({ endpoint, uid }: World, changes: { path?: string; token?: string } = {}) {
  const heard: string[] = [];
  const ended = { code: 0, status: 0 };
  const { path = `/machines/${uid}/console`, token = endpoint.token } = changes;
  const socket = new WebSocket(`${endpoint.url.replace('https', 'wss')}${path}`, {
    headers: { authorization: `Bearer ${token}` },
    rejectUnauthorized: false,
  });
  socket.on('message', (data) => heard.push(String(data)));
  socket.on('close', (code) => Object.assign(ended, { code }));
  socket.on('unexpected-response', (_, response) => Object.assign(ended, { status: response.statusCode }));
  socket.on('error', () => undefined);
  return { socket, heard, ended };
}

test('a client sees the last 64 KiB first, and then talks with the guest', async () => {
  await using world = await openWorld();
  const { socket, heard } = open(world);
  await until(() => expect(heard.length).toBe(1));
  expect(heard[0]).toHaveLength(65_536);
  expect(heard[0]?.endsWith('login: ')).toBe(true);
  socket.send('root');
  await until(() => expect(heard[1]).toBe('ROOT'));
  socket.terminate();
});

test('the newest client owns the console', async () => {
  await using world = await openWorld();
  const first = open(world);
  await until(() => expect(first.heard.length).toBe(1));
  const second = open(world);
  await until(() => expect(first.ended.code).toBe(4000));
  await until(() => expect(second.socket.readyState).toBe(WebSocket.OPEN));
  second.socket.send('hi');
  await until(() => expect(second.heard).toContain('HI'));
  second.socket.terminate();
});

test.each([
  ['another token', { token: 'guess' }, 401],
  ['another path', { path: '/machines/../console' }, 404],
  ['no machine', { path: '/' }, 404],
])('%s is refused', async (_, changes, status) => {
  await using world = await openWorld();
  const { ended } = open(world, changes);
  await until(() => expect(ended.status).toBe(status));
  expect(world.guests.size).toBe(0);
});

test('a machine without a console closes with a reason', async () => {
  await using world = await openWorld();
  const { ended } = open(world, { path: `/machines/${randomUUID()}/console` });
  await until(() => expect(ended.code).toBe(4404));
});

test('the certificate is the one whose fingerprint is told', async () => {
  await using world = await openWorld();
  const { hostname, port } = new URL(world.endpoint.url);
  const socket = await new Promise<TLSSocket>((resolve) => {
    const client = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => resolve(client));
  });
  const told = socket.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase();
  socket.destroy();
  expect(told).toBe(world.endpoint.certificateSha256);
});

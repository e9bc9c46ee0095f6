import { randomUUID } from 'node:crypto';
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { request } from 'node:https';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { type MachineService, machineToken } from '#lib/api/host-endpoint.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { noUploads } from '../testing/no-uploads.ts';
import { consolePaths } from './paths.ts';
import { startConsole } from './server.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 5000, interval: 10 }));

const nothing = async () => {
  throw new Error('The test has no hypervisor');
};

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
    socket.on('close', () => guests.delete(socket));
    socket.on('error', () => socket.destroy()).on('data', (data) => socket.write(String(data).toUpperCase()));
  });
  await new Promise<void>((resolve) => guest.listen(consoleSocket, resolve));
  stack.defer(async () => {
    for (const socket of guests) socket.destroy();
    await new Promise((resolve) => guest.close(resolve));
  });
  const hypervisor = { screenshot: nothing, openScreen: nothing, agent: nothing };
  const { endpoint } = stack.use(
    await startConsole({
      listen: '127.0.0.1:0',
      root,
      hypervisor,
      uploads: noUploads,
      clock: systemClock,
      log: silentLog,
    }),
  );
  const kept = stack.move();
  return { uid, root, endpoint, guests, [Symbol.asyncDispose]: async () => await kept.disposeAsync() };
}

type World = Awaited<ReturnType<typeof openWorld>>;

const tokenFor = ({ endpoint, uid }: World, service: MachineService, of = uid) =>
  machineToken(endpoint.token, of, service);

/** An answer of the host over plain HTTP; its body as it comes. */
function ask({ endpoint, uid }: World, path: string, token: string, method = 'GET') {
  const reply = { status: 0, text: '', ended: false };
  const sent = request(`${endpoint.url}/machines/${uid}/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    rejectUnauthorized: false,
  });
  sent.on('error', () => Object.assign(reply, { ended: true }));
  sent.on('response', (response) => {
    reply.status = response.statusCode ?? 0;
    response.on('data', (chunk) => (reply.text += chunk)).on('close', () => Object.assign(reply, { ended: true }));
  });
  sent.end();
  return { reply, sent };
}

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

test('the newest client types; the one before reads along, and types again when that one leaves', async () => {
  await using world = await openWorld();
  const first = open(world);
  await until(() => expect(first.heard.length).toBe(1));
  const second = open(world);
  await until(() => expect(second.heard.length).toBe(1));
  expect(first.heard[1]).toContain('You read along');
  first.socket.send('lost');
  second.socket.send('hi');
  await until(() => expect(first.heard.concat(second.heard).filter((text) => text === 'HI')).toHaveLength(2));
  second.socket.terminate();
  await until(() => expect(first.heard.at(-1)).toContain('You have the console again'));
  first.socket.send('back');
  await until(() => expect(first.heard.at(-1)).toBe('BACK'));
  expect([...first.heard, ...second.heard].join()).not.toContain('LOST');
  expect(world.guests.size).toBe(1);
  first.socket.terminate();
});

test('who asks to read only takes nothing from anybody', async () => {
  await using world = await openWorld();
  const first = open(world);
  await until(() => expect(first.heard.length).toBe(1));
  const reader = open(world, { path: `/machines/${world.uid}/console?readOnly=true` });
  await until(() => expect(reader.heard.length).toBe(1));
  reader.socket.send('unheard');
  first.socket.send('hi');
  await until(() => expect(reader.heard.at(-1)).toBe('HI'));
  expect(first.heard.slice(1)).toEqual(['HI']);
  first.socket.terminate();
  reader.socket.terminate();
});

test('a console that everybody has left opens anew, and all clients are told when the machine goes off', async () => {
  await using world = await openWorld();
  const first = open(world);
  await until(() => expect(first.heard.length).toBe(1));
  first.socket.terminate();
  const [second, reader] = [open(world), open(world, { path: `/machines/${world.uid}/console?readOnly=true` })];
  await until(() => expect([second.heard.length, reader.heard.length]).toEqual([1, 1]));
  for (const guest of world.guests) guest.destroy();
  await until(() => expect([second.ended.code, reader.ended.code]).toEqual([4404, 4404]));
});

test.each([
  ['another token', { token: 'guess' }, 401],
  ['another path', { path: '/machines/../console' }, 404],
  ['no machine', { path: '/' }, 404],
  [
    'a service without a WebSocket',
    (world: World) => ({ path: `/machines/${world.uid}/log`, token: tokenFor(world, 'log') }),
    404,
  ],
])('%s is refused', async (_, changes, status) => {
  await using world = await openWorld();
  const { ended } = open(world, typeof changes === 'function' ? changes(world) : changes);
  await until(() => expect(ended.status).toBe(status));
  expect(world.guests.size).toBe(0);
});

test('a machine without a console closes with a reason', async () => {
  await using world = await openWorld();
  const { ended } = open(world, { path: `/machines/${randomUUID()}/console` });
  await until(() => expect(ended.code).toBe(4404));
});

test('a link in the place of a console is not followed to another socket, nor is anything else', async () => {
  await using world = await openWorld();
  const { consoleSocket } = consolePaths(world.root, world.uid);
  const other = `${consoleSocket}.other`;
  renameSync(consoleSocket, other);
  const places = [() => symlinkSync(other, consoleSocket), () => writeFileSync(consoleSocket, ''), () => undefined];
  for (const put of places) {
    put();
    const { ended } = open(world);
    await until(() => expect(ended.code).toBe(4404));
    rmSync(consoleSocket, { force: true });
  }
  expect(world.guests.size).toBe(0);
  renameSync(other, consoleSocket);
  const { heard } = open(world);
  await until(() => expect(heard.length).toBe(1));
  await until(() => expect(world.guests.size).toBe(1));
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

test('the log is sent as asked for, and what is printed later if it is followed', async () => {
  await using world = await openWorld();
  const token = tokenFor(world, 'log');
  const tail = ask(world, 'log?tailLines=1&limitBytes=3', token).reply;
  await until(() => expect(tail).toMatchObject({ status: 200, text: 'xxx', ended: true }));
  const { reply, sent } = ask(world, 'log?tailLines=1&follow=true', token);
  await until(() => expect(reply.text).toMatch(/login: $/));
  appendFileSync(consolePaths(world.root, world.uid).consoleLog, 'root\n');
  await until(() => expect(reply.text).toMatch(/login: root\n$/));
  sent.destroy();
});

test('a token opens one thing of one machine', async () => {
  await using world = await openWorld();
  const wrong = [world.endpoint.token, tokenFor(world, 'screenshot'), tokenFor(world, 'log', randomUUID())].map(
    (token) => ask(world, 'log', token).reply,
  );
  await until(() =>
    expect(wrong.map(({ status, text }) => ({ status, text }))).toEqual(wrong.map(() => ({ status: 401, text: '' }))),
  );
});

test('what cannot be answered says why, and nothing of the host', async () => {
  await using world = await openWorld();
  const token = tokenFor(world, 'log');
  const wrong = ask(world, 'log?tailLines=-1', token).reply;
  await until(() => expect(wrong).toMatchObject({ status: 400, text: 'tailLines must be a whole number' }));
  const posted = ask(world, 'log', token, 'POST').reply;
  await until(() => expect(posted.status).toBe(404));
  rmSync(dirname(consolePaths(world.root, world.uid).consoleLog), { recursive: true });
  const gone = ask(world, 'log', token).reply;
  await until(() => expect(gone).toMatchObject({ status: 404, text: 'The machine is not on its host' }));
});

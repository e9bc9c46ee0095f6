import { once } from 'node:events';
import { mkdtempDisposable } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { type Connection, connect } from './connection.ts';
import { keepalive, keepaliveProgram, messageType, procedure, remoteProgram } from './protocol.ts';
import * as xdr from './xdr.ts';

/** A server that speaks only when told, and the connection to it. */
async function openPair() {
  const stack = new AsyncDisposableStack();
  const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), 'cf-')));
  const server = createServer().listen(join(path, 's'));
  await once(server, 'listening');
  stack.defer(() => void server.close());
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const events: number[] = [];
  const connection = await connect({
    socket: join(path, 's'),
    clock: systemClock,
    onMessage: (number) => events.push(number),
  });
  stack.defer(() => connection.close(new Error('test ended')));
  const [peer] = await accepted;
  stack.defer(() => void peer.destroy());
  return { connection, peer, events, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function message(program: number, number: number, type: number, serial: number, status: number, body: Buffer): Buffer {
  return Buffer.concat([...[28 + body.length, program, 1, number, type, serial, status].map(xdr.uint32), body]);
}

const reply = (serial: number, body: Buffer, status = 0) =>
  message(remoteProgram, 1, messageType.reply, serial, status, body);
const ask = (connection: Connection, deadlineMs = 5000) =>
  connection.call(procedure.connectGetVersion, Buffer.alloc(0), deadlineMs);

test('replies find their calls in any order, cut at every byte', async () => {
  await using pair = await openPair();
  const [first, second] = [ask(pair.connection), ask(pair.connection)];
  const data = Buffer.concat([
    reply(2, xdr.uint32(22)),
    message(remoteProgram, 318, messageType.message, 0, 0, Buffer.alloc(0)),
    reply(1, xdr.uint32(11)),
  ]);
  for (const byte of data) pair.peer.write(Buffer.of(byte));
  expect([(await first).uint32(), (await second).uint32()]).toEqual([11, 22]);
  expect(pair.events).toEqual([318]);
});

test('a refusal becomes a LibvirtError with its code', async () => {
  await using pair = await openPair();
  const call = ask(pair.connection);
  pair.peer.write(reply(1, Buffer.concat([xdr.int32(42), xdr.int32(10), xdr.optional('no domain', xdr.string)]), 1));
  await expect(call).rejects.toMatchObject({ name: 'LibvirtError', code: 42, message: 'no domain' });
});

test('a call that is not answered fails at its deadline; a late answer disturbs nothing', async () => {
  await using pair = await openPair();
  await expect(ask(pair.connection, 20)).rejects.toThrow('within 20 ms');
  const next = ask(pair.connection);
  pair.peer.write(Buffer.concat([reply(1, xdr.uint32(1)), reply(2, xdr.uint32(2))]));
  expect((await next).uint32()).toBe(2);
});

test('a ping is answered by a pong', async () => {
  await using pair = await openPair();
  const received: Buffer[] = [];
  pair.peer.on('data', (chunk) => received.push(chunk));
  pair.peer.write(message(keepaliveProgram, keepalive.ping, messageType.message, 0, 0, Buffer.alloc(0)));
  const pong = message(keepaliveProgram, keepalive.pong, messageType.message, 0, 0, Buffer.alloc(0));
  await vi.waitFor(() => expect(Buffer.concat(received)).toEqual(pong));
});

test.each([
  ['a frame of 4 GiB', Buffer.alloc(28, 0xff)],
  ['a frame shorter than its header', xdr.uint32(8)],
  ['a refusal that cannot be read', reply(1, Buffer.alloc(2), 1)],
])('%s ends the connection and fails what was under way', async (_, garbage) => {
  await using pair = await openPair();
  const call = ask(pair.connection);
  pair.peer.write(garbage);
  await expect(call).rejects.toThrow();
  expect(await pair.connection.closed).toBeInstanceOf(Error);
  await expect(ask(pair.connection)).rejects.toThrow();
});

test('a server that goes away fails what was under way', async () => {
  await using pair = await openPair();
  const call = ask(pair.connection);
  pair.peer.destroy();
  await expect(call).rejects.toThrow(/closed the connection|broke/);
});

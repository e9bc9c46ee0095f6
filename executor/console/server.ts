/**
 * Serves serial consoles over WebSocket: `GET /machines/<uid>/console` with a bearer token. Token and certificate are new with every
 * worker and travel in its heartbeats, so only the cluster server can tell a client how to come in. One client owns a console at a
 * time; the newest wins, because the one before may be a dead connection.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { createAuthority, fingerprint, issue } from '#lib/tls/authority.ts';
import { consolePaths } from './paths.ts';

/** How much of the past a client is shown first. */
const replayBytes = 65_536;
/** A client that reads slower than its guest writes is cut off when this much waits for it. */
const maxBuffered = 4_194_304;
const maxClients = 256;
/** Close codes of RFC 6455 and of our own. */
const code = { policy: 1008, tooSlow: 1013, replaced: 4000, noConsole: 4404 } as const;

export interface ConsoleEndpoint {
  readonly url: string;
  readonly token: string;
  readonly certificateSha256: string;
}

export interface ConsoleServer extends AsyncDisposable {
  readonly endpoint: ConsoleEndpoint;
}

export interface ConsoleOptions {
  /** `address:port`; port 0 lets the kernel choose. */
  readonly listen: string;
  /** The executor's; see consolePaths. */
  readonly root: string;
  readonly log: Log;
}

/** Listens when it returns. Throws if the address is taken. */
export async function startConsole({ listen, root, log }: ConsoleOptions): Promise<ConsoleServer> {
  const colon = listen.lastIndexOf(':');
  const address = listen.slice(0, colon);
  const authority = await createAuthority('factory-executor console');
  const identity = await issue(authority, { commonName: 'factory-executor', usage: 'server', ips: [address] });
  const token = randomBytes(32).toString('base64url');
  const server = createServer({ cert: identity.certificate, key: identity.key });
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 65_536 });
  const owners = new Map<string, WebSocket>();
  server.on('request', (_, response) => response.writeHead(404).end());
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const uid = /^\/machines\/([0-9a-f-]{36})\/console$/.exec(request.url ?? '')?.[1];
    if (!isBearer(request.headers.authorization, token)) return refuse(socket, '401 Unauthorized');
    if (uid === undefined) return refuse(socket, '404 Not Found');
    if (sockets.clients.size >= maxClients) return refuse(socket, '503 Service Unavailable');
    sockets.handleUpgrade(request, socket, head, (client) => {
      own(owners, uid, client);
      serve(client, uid, root, log).catch((error) => {
        log.info('Cannot serve a console', { uid, reason: messageOf(error) });
        // A paused client would not hear the answer to its close.
        client.resume();
        client.close(code.noConsole, 'The machine has no console here: is it running?');
      });
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(Number(listen.slice(colon + 1)), address, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: { url: `https://${address}:${port}`, token, certificateSha256: fingerprint(identity.certificate) },
    async [Symbol.asyncDispose]() {
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Compared as digests: equal in length, and the time tells nothing. */
function isBearer(header: string | undefined, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(header ?? ''), digest(`Bearer ${token}`));
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function own(owners: Map<string, WebSocket>, uid: string, client: WebSocket): void {
  owners.get(uid)?.close(code.replaced, 'Another client has taken this console over');
  owners.set(uid, client);
  client.once('close', () => {
    if (owners.get(uid) === client) owners.delete(uid);
  });
}

async function serve(client: WebSocket, uid: string, root: string, log: Log): Promise<void> {
  const { consoleSocket, consoleLog } = consolePaths(root, uid);
  client.on('error', (error) => log.info('A console client broke off', { uid, reason: error.message }));
  // What is typed before the guest's side is open waits.
  client.pause();
  const serial = connect(consoleSocket);
  client.once('close', () => serial.destroy());
  await new Promise<void>((resolve, reject) => void serial.once('connect', resolve).once('error', reject));
  serial.on('error', (error) => log.info('A console broke off', { uid, reason: error.message }));
  serial.pause();
  client.send(await tail(consoleLog));
  client.on('message', (data: Buffer) => void serial.write(data));
  serial.on('data', (data) => forward(client, serial, data));
  serial.once('close', () => client.close(code.noConsole, 'The machine was turned off'));
  serial.resume();
  client.resume();
}

function forward(client: WebSocket, serial: Socket, data: Buffer): void {
  client.send(data);
  if (client.bufferedAmount <= maxBuffered) return;
  serial.destroy();
  client.close(code.tooSlow, 'The client reads too slowly');
}

async function tail(path: string): Promise<Buffer> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    const length = Math.min(size, replayBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    // A guest that has not written yet has no log.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

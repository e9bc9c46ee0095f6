/**
 * Serves what is to be seen of the inside of machines over TLS: `/machines/<uid>/<service>` with a bearer token, which opens that and nothing
 * else (lib/api/host-endpoint.ts); takes the files of images that are uploaded, at `/images/<uid>/upload`, and machines that come as they run
 * from other hosts, at `/migrations/<uid>/<id>`. Secret and certificate are new with every worker and travel in its heartbeats, so only the
 * cluster server can tell a client how to come in.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import {
  type MachineService,
  machinePath,
  machineServices,
  machineToken,
  uploadPath,
  uploadToken,
} from '#lib/api/host-endpoint.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import { createAuthority, fingerprint, issue } from '#lib/tls/authority.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Uploads } from '../images/uploads.ts';
import type { Arrivals } from '../migration/arrivals.ts';
import { MigrationRoutes } from '../migration/routes.ts';
import { answering } from './answer.ts';
import { isOpenedBy } from './opened-by.ts';
import { screens } from './screen.ts';
import { serialConsoles } from './serial.ts';
import { uploadAnswering } from './upload.ts';

const maxClients = 256;
/** As much as the API server takes of a client at once. */
const maxFrameBytes = 1024 * 1024;
/** A client that went without a word is found out by the kernel. */
const keepAliveMs = 30_000;

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
  readonly hypervisor: Pick<Hypervisor, 'screenshot' | 'openScreen' | 'agent'>;
  readonly uploads: Pick<Uploads, 'state' | 'receive'>;
  /** Without it no machines come from other hosts. */
  readonly arrivals?: Pick<Arrivals, 'at'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** What a request is for. */
export interface Asked {
  readonly uid: string;
  readonly service: MachineService;
  readonly query: URLSearchParams;
}

/** Listens when it returns. Throws if the address is taken. */
export async function startConsole(options: ConsoleOptions): Promise<ConsoleServer> {
  const { listen, root, hypervisor, arrivals, clock, log } = options;
  const colon = listen.lastIndexOf(':');
  const address = listen.slice(0, colon);
  const authority = await createAuthority('factory-executor console');
  const identity = await issue(authority, { commonName: 'factory-executor', usage: 'server', ips: [address] });
  const token = randomBytes(32).toString('base64url');
  // A file takes as long as it takes; silence has a deadline of its own.
  const server = createServer({ cert: identity.certificate, key: identity.key, requestTimeout: 0 });
  const sockets = new WebSocketServer({ noServer: true, maxPayload: maxFrameBytes, perMessageDeflate: false });
  const streams = { console: serialConsoles(root, log), vnc: screens(hypervisor, log) };
  const answer = answering(options);
  const answerUpload = uploadAnswering(options);
  const over = new AbortController();
  const migrations = arrivals && new MigrationRoutes({ arrivals, secret: token, clock, log, over: over.signal });
  server.on('secureConnection', (socket) => socket.setKeepAlive(true, keepAliveMs));
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    if (migrations?.answers(request, response)) return;
    const uploadOf = readUpload(request);
    const asked = readAsked(request);
    if (uploadOf !== undefined && isOpenedBy(request, uploadToken(token, uploadOf)))
      void answerUpload(uploadOf, request, response, over.signal);
    else if (asked && isOpenedBy(request, machineToken(token, asked.uid, asked.service)))
      void answer(asked, request, response, over.signal);
    else response.writeHead(asked || uploadOf !== undefined ? 401 : 404).end();
  };
  server.on('request', onRequest);
  // Whoever answers it says when the body may come, or refuses before.
  server.on('checkContinue', onRequest);
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (migrations?.upgrades(request, socket, head)) return;
    const asked = readAsked(request);
    if (!asked) return refuse(socket, '404 Not Found');
    if (!isOpenedBy(request, machineToken(token, asked.uid, asked.service))) return refuse(socket, '401 Unauthorized');
    if (sockets.clients.size >= maxClients) return refuse(socket, '503 Service Unavailable');
    const { uid, service, query } = asked;
    const readOnly = query.get('readOnly') === 'true';
    if (service !== 'console' && service !== 'vnc') return refuse(socket, '404 Not Found');
    sockets.handleUpgrade(request, socket, head, (client) => streams[service].serve(client, uid, readOnly));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(Number(listen.slice(colon + 1)), address, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: { url: `https://${address}:${port}`, token, certificateSha256: fingerprint(identity.certificate) },
    async [Symbol.asyncDispose]() {
      over.abort();
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** undefined for a path that nothing is served at. */
function readAsked({ url = '' }: IncomingMessage): Asked | undefined {
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const uid = /^\/machines\/([0-9a-f-]{36})\//.exec(path)?.[1];
  const service = uid && machineServices.find((each) => machinePath(uid, each) === path);
  return service ? { uid, service, query: new URLSearchParams(mark < 0 ? '' : url.slice(mark)) } : undefined;
}

/** uid of the Image whose file is sent, or asked for. */
function readUpload({ url = '' }: IncomingMessage): string | undefined {
  const path = url.split('?')[0]!;
  const uid = /^\/images\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\//.exec(path)?.[1];
  return uid !== undefined && path === uploadPath(uid) ? uid : undefined;
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

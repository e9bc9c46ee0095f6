/** The subresources console and vnc of virtual machines: WebSockets of binary frames, passed on to the host that runs the machine. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { TLSSocket } from 'node:tls';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws';
import type { Caller } from '#apiserver/auth/access.ts';
import { type Attributes, attributesOf } from '#apiserver/auth/attributes.ts';
import { isTrue, type RequestInfo, requestInfo } from '#apiserver/http/request-info.ts';
import { statusOf, toApiError } from '#apiserver/http/status.ts';
import type { Pipeline } from '#apiserver/pipeline.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { ApiError, httpStatusOf, messageOf } from '#lib/std/errors.ts';
import { connectToHost } from './host-connection.ts';
import { isOfMachine, type MachinePath } from './path.ts';
import { hostTarget } from './target.ts';

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

const pingEveryMs = 30_000;
const maxFrameBytes = 1024 * 1024;

/** Answers requests to upgrade. Refusals are Status objects under their HTTP status, before any WebSocket is there. */
export function createConsole(server: Pipeline): UpgradeHandler {
  const webSockets = new WebSocketServer({ noServer: true, maxPayload: maxFrameBytes, perMessageDeflate: false });
  return (request, socket, head) => {
    socket.on('error', (error) => server.log.debug('A console connection failed', { error }));
    void open(server, request)
      .then(({ host, asked }) => {
        // The client may have gone meanwhile; then nobody would ever close what was opened for it.
        socket.once('close', () => host.terminate());
        if (socket.destroyed) host.terminate();
        else webSockets.handleUpgrade(request, socket, head, (client) => void join(server, client, host, asked));
      })
      .catch((error: unknown) => refuse(server, socket, error));
  };
}

interface Asked {
  readonly caller: Caller;
  readonly attributes: Attributes;
}

async function open(server: Pipeline, request: IncomingMessage): Promise<{ host: WebSocket; asked: Asked }> {
  const { headers, rawHeaders } = request;
  const { access } = server;
  const sender = await access.authenticate({ headers, socket: request.socket as TLSSocket });
  if (!sender) throw new ApiError('Unauthorized', 'Unauthorized: send a bearer token or a client certificate');
  const caller = access.impersonate(sender, rawHeaders);
  const info = requestInfo('GET', request.url ?? '/');
  const { path, service } = streamPath(info);
  const attributes = attributesOf(info);
  access.require(caller, attributes);
  const target = await hostTarget(server, path, service);
  const query = new URLSearchParams(isTrue(info.query.get('readOnly')) ? { readOnly: 'true' } : {});
  return { host: await connectToHost(target, query), asked: { caller, attributes } };
}

function streamPath({ path }: RequestInfo): { path: MachinePath; service: 'console' | 'vnc' } {
  const service = path.type === 'resource' && isOfMachine(path) ? path.subresource : undefined;
  if (service === 'console' || service === 'vnc') return { path: path as MachinePath, service };
  throw new ApiError(
    'BadRequest',
    'only the console and the screen of a virtual machine are opened by an upgrade to WebSocket',
  );
}

function refuse(server: Pipeline, socket: Duplex, error: unknown): void {
  const shown = toApiError(error);
  if (shown.code === 'InternalError') server.log.error('Failed to open a console', { error, reason: messageOf(error) });
  const body = JSON.stringify(statusOf(shown));
  socket.end(
    `HTTP/1.1 ${httpStatusOf[shown.code]} ${shown.code}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/** Passes everything on in both directions, as fast as the slower side reads, until one side closes, the user's right to it ends, or the server stops. */
async function join(server: Pipeline, client: WebSocket, host: WebSocket, asked: Asked): Promise<void> {
  using stack = new DisposableStack();
  const near = createWebSocketStream(client);
  const far = createWebSocketStream(host);
  const end = () => {
    near.destroy();
    far.destroy();
  };
  for (const signal of [server.over, stack.use(server.access.hold(asked.caller, asked.attributes)).signal]) {
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
    stack.defer(() => signal.removeEventListener('abort', end));
  }
  stack.use(keepAlive(server, client, end));
  stack.use(keepAlive(server, host, end));
  stack.use(server.metrics.longRunning.enter(['CONNECT', VirtualMachine.plural]));
  let [code, reason]: [number?, Buffer?] = [];
  host.once('close', (...how) => {
    if (mayPassOn(how[0])) [code, reason] = how;
  });
  try {
    // The client is closed below, with what the host has said.
    await Promise.race([pipeline(near, far), pipeline(far, near, { end: false })]);
  } catch (error) {
    // One side going away without a word is how most consoles end.
    server.log.debug('A console was cut', { error });
  }
  client.close(code, reason);
  host.close();
}

/** Codes that the host has a reason for; others say only that it is over, and may not be sent. */
function mayPassOn(code: number): boolean {
  return code >= 4000 || [1003, 1009, 1011, 1013].includes(code);
}

/** A peer that has answered none of the pings is gone, whatever TCP says. */
function keepAlive(server: Pipeline, webSocket: WebSocket, lost: () => void): Disposable {
  const { clock } = server.context;
  let answered = true;
  let next: Disposable;
  webSocket.on('pong', () => {
    answered = true;
  });
  const tick = () => {
    if (!answered) return lost();
    answered = false;
    if (webSocket.readyState === webSocket.OPEN) webSocket.ping();
    next = clock.timeout(tick, pingEveryMs);
  };
  next = clock.timeout(tick, pingEveryMs);
  return { [Symbol.dispose]: () => next[Symbol.dispose]() };
}

/** The open connections of the server, so that it can stop without cutting an answer in two. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Http2SecureServer, ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';

export interface Connections {
  /** Takes no more connections, and no more requests over those there are. Resolves when the last one has ended. */
  close(): Promise<void>;
  /** Ends all at once, whatever is under way; the result is how many there were. */
  cut(): number;
}

export function trackConnections(server: Http2SecureServer, clock: Clock, log: Log): Connections {
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<Socket>();
  /** Requests under way on each connection that speaks HTTP/1.1; HTTP/2 sessions count for themselves. */
  const busy = new Map<Socket, number>();
  let closing = false;
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', (error) => log.debug('A connection failed', { error }));
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    sockets.add(socket);
    if (socket.alpnProtocol !== 'h2') busy.set(socket, 0);
    socket.on('close', () => {
      sockets.delete(socket);
      busy.delete(socket);
    });
    socket.on('error', (error: Error) => log.debug('A connection failed', { error }));
  });
  server.on('request', (request, response) => {
    if (request.httpVersionMajor > 1) return;
    const { socket } = request as unknown as IncomingMessage;
    busy.set(socket, (busy.get(socket) ?? 0) + 1);
    response.on('close', () => {
      const left = (busy.get(socket) ?? 1) - 1;
      if (busy.has(socket)) busy.set(socket, left);
      if (closing && left === 0) socket.end();
    });
  });
  const refused = new WeakSet<Socket>();
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // Comes again with everything that is read while lingering.
    if (refused.has(socket)) return;
    refused.add(socket);
    log.debug('A request could not be read', { error });
    refuse(
      socket,
      clock,
      error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request',
    );
  });
  server.on('tlsClientError', (error: Error) => log.debug('A client failed to connect', { error }));
  return {
    async close() {
      closing = true;
      const closed = once(server, 'close');
      server.close();
      // Sends GOAWAY: the client opens its next stream on another connection.
      for (const session of sessions) session.close();
      for (const [socket, requests] of busy) if (requests === 0) socket.end();
      await closed;
    },
    cut() {
      const { size } = sockets;
      for (const socket of sockets) socket.destroy();
      return size;
    },
  };
}

const lingerMs = 1_000;

/** The parser of HTTP/1.1 has given up on this connection: all that is left is to say so, and to read on for a moment, so that it is heard. */
function refuse(socket: Socket, clock: Clock, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  socket.removeAllListeners('data').resume();
  const timer = clock.timeout(() => socket.destroy(), lingerMs);
  socket.on('close', () => timer[Symbol.dispose]());
}

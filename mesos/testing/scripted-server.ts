/** An HTTP server for tests of the clients: records every call, and answers as the test says. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeRecord } from '../recordio.ts';

export interface ReceivedCall {
  readonly call: { readonly type: string; readonly [key: string]: unknown };
  readonly headers: IncomingHttpHeaders;
  /** Which TCP connection it came over: equal numbers, equal connections. */
  readonly connection: number;
  readonly response: ServerResponse;
}

export interface ScriptedServer extends AsyncDisposable {
  readonly origin: string;
  readonly calls: readonly ReceivedCall[];
  /** Resolves once `calls` holds `count` calls of this type; rejects after 5 s. */
  received(type: string, count?: number): Promise<ReceivedCall>;
}

/** Answers 200 with an open stream that begins with these events. */
export function stream(response: ServerResponse, events: readonly object[], streamId = 'stream-1'): void {
  response.writeHead(200, { 'content-type': 'application/json', 'mesos-stream-id': streamId });
  response.flushHeaders();
  for (const event of events) response.write(encodeRecord(event));
}

export function answer(
  response: ServerResponse,
  status: number,
  body = '',
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, headers).end(body);
}

export async function startScriptedServer(script: (received: ReceivedCall) => void): Promise<ScriptedServer> {
  const calls: ReceivedCall[] = [];
  const connections = new WeakMap<object, number>();
  let opened = 0;
  const arrived = new EventTarget();
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const received: ReceivedCall = {
      call: JSON.parse(Buffer.concat(parts).toString('utf8')),
      headers: request.headers,
      connection: connections.get(request.socket) ?? 0,
      response,
    };
    calls.push(received);
    script(received);
    arrived.dispatchEvent(new Event('call'));
  });
  server.on('connection', (socket) => connections.set(socket, ++opened));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const signal = () => AbortSignal.timeout(5000);

  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    async received(type, count = 1) {
      const deadline = signal();
      for (;;) {
        const found = calls.filter(({ call }) => call.type === type);
        if (found.length >= count) return found[count - 1]!;
        await once(arrived, 'call', { signal: deadline });
      }
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

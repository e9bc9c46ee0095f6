/** The little of HTTP that master and agent share: reading one JSON body, plain answers, and RecordIO streams. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { parseLossless } from '#mesos/json.ts';
import { recordOf } from '#mesos/recordio.ts';
import { readTls, type TlsFiles, tlsFromEnvironment } from '#mesos/tls.ts';
import { mesosJson } from './json.ts';

/** Ends a request with this status and this plain text, in Mesos' own words. */
export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'HttpError';
    this.status = status;
  }
}

const maxBodyBytes = 64 * 1024 * 1024;
/** A reader this far behind is cut off: it will come back and ask for everything anew. */
const maxUnsentBytes = 256 * 1024 * 1024;

export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw new HttpError(413, `Request body is longer than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

export function replyText(response: ServerResponse, status: number, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': body.length }).end(body);
}

export function replyJson(response: ServerResponse, value: unknown): void {
  const body = Buffer.from(mesosJson(value));
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
}

export function replyEmpty(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'Content-Length': 0 }).end();
}

/** A response that goes on: one record per chunk. Sending on a closed stream does nothing, as in Mesos. */
export interface RecordStream<T extends object> {
  readonly open: boolean;
  send(record: T): void;
  /** Ends the stream; `closed` is not called for this. */
  end(): void;
}

/** Answers 200 and keeps the stream open. `closed` is called once if the peer goes away or is cut off. */
export function openStream<T extends object>(
  response: ServerResponse,
  closed: () => void,
  headers: Readonly<Record<string, string>> = {},
): RecordStream<T> {
  let open = true;
  response.socket?.setNoDelay(true);
  response.writeHead(200, { ...headers, 'Content-Type': 'application/json' });
  response.flushHeaders();
  response.on('error', () => response.destroy());
  response.on('close', () => {
    if (!open) return;
    open = false;
    closed();
  });
  return {
    get open() {
      return open;
    },
    send(record) {
      if (!open) return;
      response.write(recordOf(mesosJson(record)));
      if (response.writableLength > maxUnsentBytes) response.destroy();
    },
    end() {
      open = false;
      response.end();
    },
  };
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

export interface Listening extends AsyncDisposable {
  readonly port: number;
}

/** Where to serve, and with what certificate; `ca` given: clients must have one of it. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly tls?: ServerTls | undefined;
}

export interface ServerTls extends TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly requireClientCert?: boolean;
}

/** As Mesos is told: LIBPROCESS_SSL_ENABLED, _CERT_FILE, _KEY_FILE, _CA_FILE, _REQUIRE_CERT. Undefined: plain HTTP. */
export function serverTls(environment: NodeJS.ProcessEnv): ServerTls | undefined {
  const files = tlsFromEnvironment(environment);
  if (files === undefined) return undefined;
  const { certFile, keyFile } = files;
  if (certFile === undefined || keyFile === undefined)
    throw new Error('LIBPROCESS_SSL_ENABLED wants LIBPROCESS_SSL_CERT_FILE and LIBPROCESS_SSL_KEY_FILE');
  const requireClientCert = ['1', 'true'].includes(environment.LIBPROCESS_SSL_REQUIRE_CERT ?? '');
  return { ...files, certFile, keyFile, requireClientCert };
}

/**
 * Serves until disposed, which cuts open connections. What `handler` throws becomes the answer if it is an HttpError; anything else
 * is given to `failed` and answered with 500, or ends a stream that has begun.
 */
export async function serve(address: Address, handler: Handler, failed: (error: unknown) => void): Promise<Listening> {
  const timeouts = { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 60_000 };
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    Promise.try(handler, request, response).catch((error: unknown) => {
      const wasCutOff = request.destroyed && !request.complete;
      if (!(error instanceof HttpError) && !wasCutOff) failed(error);
      if (response.headersSent || wasCutOff) return response.destroy();
      if (error instanceof HttpError) return replyText(response, error.status, error.message);
      return replyText(response, 500, 'Internal error');
    });
  };
  const server = address.tls
    ? createTlsServer(
        { ...timeouts, ...readTls(address.tls), requestCert: address.tls.requireClientCert ?? false },
        listener,
      )
    : createServer(timeouts, listener);
  await listen(server, address);
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function listen(server: Server | TlsServer, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address.port, address.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** `host:port` from a flag; throws RangeError. */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(.+):(\d+)$/.exec(text);
  if (!match) throw new RangeError(`Cannot listen on "${text}": want HOST:PORT`);
  return { host: match[1]!, port: Number(match[2]) };
}

/**
 * The checks that every v1 endpoint makes before it looks at the call, in Mesos' order: method, Content-Type, JSON.
 * Content-Type is compared byte for byte, as recorded: a charset parameter is refused.
 */
export async function readCall(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
  if (request.method !== 'POST') {
    response.setHeader('Allow', 'POST');
    throw new HttpError(405, `405 Method Not Allowed. Expecting one of { 'POST' }, but received '${request.method}'.`);
  }
  const type = request.headers['content-type'];
  if (type === undefined) throw new HttpError(400, `Expecting 'Content-Type' to be present`);
  if (type !== 'application/json') {
    throw new HttpError(415, `Expecting 'Content-Type' of application/json or application/x-protobuf`);
  }
  const text = await readBody(request);
  try {
    return parseLossless(text);
  } catch {
    throw new HttpError(400, 'Failed to parse body into JSON: syntax error at line 1 near: ');
  }
}

/** Streams are offered as JSON only; an Accept that does not allow it is refused. */
export function checkAccept(request: IncomingMessage): void {
  const accept = request.headers.accept;
  if (accept === undefined || /(^|[\s,])(\*\/\*|application\/(\*|json|recordio))\s*(;|,|$)/.test(accept)) return;
  throw new HttpError(406, `Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'`);
}

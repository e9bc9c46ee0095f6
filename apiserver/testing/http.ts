/** A small HTTPS client for tests: sends what it is told, byte for byte, and reads everything back. */
import type { IncomingMessage } from 'node:http';
import { type Agent, request } from 'node:https';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import type { JsonObject } from '#apiserver/json/json.ts';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  /** The body as JSON; throws if it is none. */
  json(): JsonObject;
}

export interface Send {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is if it is text or bytes, else as JSON. */
  readonly body?: unknown;
  readonly token?: string | undefined;
  /** A client certificate in place of a token. */
  readonly certificate?: { readonly certificate: string; readonly key: string };
}

export type Requester = (path: string, send?: Send) => Promise<Reply>;

const deadlineMs = 15_000;
const pieceBytes = 64 * 1024;

/** Every request has a connection of its own, unless an agent keeps them. */
export function createRequester(
  url: string,
  ca: string,
  defaultToken: string,
  agent: Agent | false = false,
): Requester {
  return (path, send = {}) =>
    new Promise((resolve, reject) => {
      const { body } = send;
      const raw = typeof body === 'string' || Buffer.isBuffer(body);
      const payload = body === undefined ? undefined : raw ? body : JSON.stringify(body);
      const token = 'token' in send ? send.token : defaultToken;
      const outgoing = request(`${url}${path}`, {
        method: send.method ?? 'GET',
        ca,
        agent,
        ...(send.certificate ? { cert: send.certificate.certificate, key: send.certificate.key } : {}),
        timeout: deadlineMs,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          // Node sends the body of a DELETE only if its length is given.
          ...(payload === undefined ? {} : { 'content-length': String(Buffer.byteLength(payload)) }),
          ...(payload === undefined || raw ? {} : { 'content-type': 'application/json' }),
          ...send.headers,
        },
      });
      outgoing.on('response', (response) => read(response).then(resolve, reject));
      outgoing.on('timeout', () => outgoing.destroy(new Error(`No answer to ${path} for ${deadlineMs} ms`)));
      outgoing.on('error', reject);
      if (payload === undefined) outgoing.end();
      else Readable.from(pieces(Buffer.from(payload))).pipe(outgoing);
    });
}

/** The server may run in the same process: a large body must not keep it from its work. */
function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function read(response: IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  const text = (response.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString('utf8');
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text,
    json: () => JSON.parse(text) as JsonObject,
  };
}

/** Lines of a watch as they come, until `enough` says so; the connection is then closed. */
export async function readLines(
  url: string,
  options: { readonly ca: string; readonly token: string; readonly headers?: Readonly<Record<string, string>> },
  enough: (lines: readonly JsonObject[]) => boolean,
): Promise<JsonObject[]> {
  const { promise, resolve, reject } = Promise.withResolvers<JsonObject[]>();
  const outgoing = request(url, {
    ca: options.ca,
    agent: false,
    headers: { authorization: `Bearer ${options.token}`, ...options.headers },
    signal: AbortSignal.timeout(deadlineMs),
  });
  const lines: JsonObject[] = [];
  let rest = '';
  outgoing.on('response', (response) => {
    response.on('error', reject).on('end', () => resolve(lines));
    response.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString('utf8')).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts.filter((part) => part !== '').map((part) => JSON.parse(part) as JsonObject));
      if (!enough(lines)) return;
      resolve(lines);
      outgoing.destroy();
    });
    if (enough(lines)) {
      resolve(lines);
      outgoing.destroy();
    }
  });
  outgoing.on('error', reject);
  outgoing.end();
  return await promise;
}

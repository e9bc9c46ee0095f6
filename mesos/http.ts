/**
 * The HTTP under all of Mesos' v1 APIs: a call is a POST of one JSON object; SUBSCRIBE answers with an endless RecordIO body. Every
 * stream and every queue of calls has a connection of its own: Mesos keeps order only within one (docs/scheduler-http-api.md).
 */
import { buildConnector, Client } from 'undici';
import type { Authentication } from './authentication.ts';
import type { CallRate } from './call-rate.ts';
import { stringifyLossless } from './json.ts';
import { decodeRecords } from './recordio.ts';
import { readTls, type TlsFiles } from './tls.ts';

/** What is needed of a connection. undici's Client is one. */
export interface Connection {
  request(options: {
    readonly method: 'POST';
    readonly path: string;
    readonly headers: Record<string, string>;
    readonly body: string;
    readonly headersTimeout: number;
    readonly bodyTimeout: number;
    readonly signal?: AbortSignal;
  }): Promise<{
    readonly statusCode: number;
    readonly headers: Record<string, string | string[] | undefined>;
    readonly body: AsyncIterable<Buffer> & { destroy(reason: Error): void };
  }>;
  /** What is under way fails. */
  destroy(): Promise<void>;
}

/** Makes a connection to `target`: over the network, or within the process where a whole cluster is simulated. */
export type Connect = (target: Target) => Connection;

export interface Target {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Instead of the network. */
  readonly connect?: Connect;
  /** Talk to this UNIX socket instead; the origin then only names the host in requests. */
  readonly socketPath?: string;
  readonly authentication?: Authentication;
  readonly tls?: TlsFiles;
}

/** An answer that is not the wanted one. `body` is what Mesos wrote: a sentence for people. */
export class MesosHttpError extends Error {
  readonly status: number;
  readonly body: string;
  /** Where a master that does not lead sends us. Has no scheme: resolve it against the address it came from. */
  readonly location: string | undefined;

  constructor(what: string, status: number, body: string, location?: string) {
    super(`${what} was answered ${status}${body === '' ? '' : `: ${body.trim()}`}`);
    this.name = 'MesosHttpError';
    this.status = status;
    this.body = body;
    this.location = location;
  }
}

const jsonHeaders = { 'content-type': 'application/json', accept: 'application/json' } as const;
const maxAnswerBytes = 64 * 2 ** 20;
const maxRefusalBytes = 65_536;
const maxQueuedCalls = 50_000;

function connect(target: Target): Connection {
  if (target.connect) return target.connect(target);
  const options = { timeout: 10_000, ...(target.socketPath ? { socketPath: target.socketPath } : {}) };
  return new Client(target.origin, { pipelining: 1, connect: target.tls ? withFiles(target.tls, options) : options });
}

function withFiles(files: TlsFiles, options: buildConnector.BuildOptions): buildConnector.connector {
  return (to, done) => {
    try {
      buildConnector({ ...options, ...readTls(files) })(to, done);
    } catch (error) {
      done(error as Error, null);
    }
  };
}

type Response = Awaited<ReturnType<Connection['request']>>;

/** Sends with the credentials of now; once more if they were refused and there are others. */
function authorized(
  authentication: Authentication | undefined,
  send: (headers: Record<string, string>) => Promise<Response>,
): Promise<Response> {
  return authentication === undefined ? send({}) : withCredentials(authentication, send);
}

async function withCredentials(
  authentication: Authentication,
  send: (headers: Record<string, string>) => Promise<Response>,
): Promise<Response> {
  const authorization = await authentication.header();
  const response = await send({ authorization });
  if (response.statusCode !== 401 || !(await authentication.renewed(authorization))) return response;
  await readText(response.body, maxRefusalBytes);
  return await send({ authorization: await authentication.header() });
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly location: string | undefined;
}

function header(headers: Record<string, string | string[] | undefined>, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

async function readText(body: AsyncIterable<Buffer>, limit: number): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of body) {
    size += part.length;
    if (size > limit) throw new Error(`An answer of Mesos has more than ${limit} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

export interface EventStream extends AsyncDisposable {
  /** Mesos-Stream-Id of the scheduler API; the others have none. */
  readonly streamId: string | undefined;
  /** The events in order. Ends when Mesos ends the stream; throws when the connection breaks or the bytes are not RecordIO. */
  readonly events: AsyncIterable<unknown>;
  /** Breaks the connection; `events` throws `reason`. */
  destroy(reason: Error): void;
}

/**
 * Sends a SUBSCRIBE and gives its stream. There is no timeout on the stream itself: whoever reads it keeps a watchdog. Throws
 * MesosHttpError for any answer but 200.
 */
export async function openStream(
  target: Target,
  path: string,
  call: object,
  options: { readonly signal: AbortSignal; readonly headersTimeoutMs?: number },
): Promise<EventStream> {
  const client = connect(target);
  try {
    const response = await authorized(target.authentication, (headers) =>
      client.request({
        method: 'POST',
        path,
        headers: { ...jsonHeaders, ...headers },
        body: stringifyLossless(call),
        headersTimeout: options.headersTimeoutMs ?? 30_000,
        bodyTimeout: 0,
        signal: options.signal,
      }),
    );
    if (response.statusCode !== 200) {
      const text = await readText(response.body, maxRefusalBytes);
      throw new MesosHttpError('SUBSCRIBE', response.statusCode, text, header(response.headers, 'location'));
    }
    return {
      streamId: header(response.headers, 'mesos-stream-id'),
      events: decodeRecords(response.body),
      destroy: (reason) => response.body.destroy(reason),
      async [Symbol.asyncDispose]() {
        await client.destroy();
      },
    };
  } catch (error) {
    await client.destroy();
    throw error;
  }
}

/**
 * Calls over one connection, in the order of `send`, each after the answer to the one before. Bounded: refuses more than 50,000
 * waiting calls.
 */
export class CallQueue implements AsyncDisposable {
  readonly #client: Connection;
  readonly #path: string;
  readonly #authentication: Authentication | undefined;
  readonly #timeoutMs: number;
  readonly #rate: CallRate | undefined;
  readonly #closed = new AbortController();
  #waiting = 0;
  /** Settled when the call before was answered: one whose credentials had to be renewed must not be overtaken. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(target: Target, path: string, options: { readonly timeoutMs?: number; readonly rate?: CallRate } = {}) {
    this.#client = connect(target);
    this.#path = path;
    this.#authentication = target.authentication;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#rate = options.rate;
  }

  /**
   * The body of a 2xx answer. 202 says only that Mesos could read the call. Throws MesosHttpError for other answers, and the
   * connection's error when there was none: then nobody knows whether Mesos saw the call.
   */
  async send(
    call: { readonly type: string; readonly framework_id?: object },
    headers: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    if (this.#waiting >= maxQueuedCalls) throw new Error(`${call.type} refused: ${maxQueuedCalls} calls are waiting`);
    this.#waiting++;
    try {
      const post = () => this.#post(call, headers);
      const posted = this.#last.then(post, post);
      this.#last = posted;
      const answer = await posted;
      if (answer.status < 200 || answer.status > 299)
        throw new MesosHttpError(call.type, answer.status, answer.text, answer.location);
      return answer.text;
    } finally {
      this.#waiting--;
    }
  }

  async #post(call: { readonly type: string }, headers: Readonly<Record<string, string>>): Promise<Answer> {
    // Whoever acknowledges is as fast as those who update it: a storm would last longer, and what waits behind it too.
    if (call.type !== 'ACKNOWLEDGE') await this.#rate?.take(this.#closed.signal);
    const {
      statusCode,
      headers: received,
      body,
    } = await authorized(this.#authentication, (authorization) =>
      this.#client.request({
        method: 'POST',
        path: this.#path,
        headers: { ...jsonHeaders, ...authorization, ...headers },
        body: stringifyLossless(call),
        headersTimeout: this.#timeoutMs,
        bodyTimeout: this.#timeoutMs,
      }),
    );
    return { status: statusCode, text: await readText(body, maxAnswerBytes), location: header(received, 'location') };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error('The connection was closed'));
    await this.#client.destroy();
  }
}

/**
 * HTTP to one API server, by undici. Calls share a few kept-alive connections, each call has a deadline and a bounded answer. Watches have
 * connections of their own, so that they cannot use up those of the calls, and no deadline, but must not be silent for long.
 *
 * Tried again: reads that failed on the way or were answered with 429, 502, 503 or 504; writes only when the server refused to look at
 * them (429). A write without an answer may have been done: only its caller knows what to do then.
 */
import { Readable } from 'node:stream';
import { Agent, type Dispatcher, errors } from 'undici';
import { backoffMs } from '#lib/std/backoff.ts';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { ApiError, isCode, messageOf } from '#lib/std/errors.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import type { Endpoint } from './endpoint.ts';
import { errorOfAnswer } from './http-errors.ts';

export interface TransportOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly userAgent: string;
  /** One try of a call, from the request to the end of the answer. */
  readonly callTimeoutMs: number;
  /**
   * A watch that is silent for so long is given up as half-open. Servers send a bookmark about every minute; one that does not
   * only costs a watch that is taken up again where it was.
   */
  readonly watchIdleMs: number;
  readonly connections: number;
}

export const defaultTransportOptions: TransportOptions = {
  clock: systemClock,
  random: systemRandom,
  userAgent: 'compute-factory',
  callTimeoutMs: 30_000,
  watchIdleMs: 150_000,
  connections: 16,
};

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** application/json unless told. */
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
}

/** Of an answer that comes as bytes. */
export interface BytesOptions {
  /** Until it begins; a call's time unless told. */
  readonly beginsWithinMs?: number | undefined;
}

export interface Transport extends AsyncDisposable {
  /** The answer's JSON. Rejects with ApiError, or with the signal's reason. */
  call(request: HttpRequest): Promise<unknown>;
  /** The answer's lines, one JSON value each, as they come. */
  lines(request: HttpRequest): AsyncGenerator<unknown>;
  /**
   * Sends a body of so many bytes as it is, however long that takes, and gives the answer's JSON. Never tried again, and without any deadline
   * but the signal's: whoever gives the bytes sees how they are taken.
   */
  send(request: Omit<HttpRequest, 'body'>, body: AsyncIterable<Uint8Array>, length: number): Promise<unknown>;
  /** The answer's bytes, as they come, however long that takes. */
  bytes(request: HttpRequest, options?: BytesOptions): AsyncGenerator<Uint8Array>;
}

const tries = 4;
/** Of a call's time. */
const silentShare = 0.9;
const maxAnswerBytes = 64 * 2 ** 20;
/** More than the largest object a store takes. */
const maxLineLength = 8 * 2 ** 20;
/** Longer than this nobody is kept waiting by a server's wish. */
const maxRetryAfterMs = 10_000;

export function httpTransport(endpoint: Endpoint, options: TransportOptions): Transport {
  return new HttpTransport(endpoint, options);
}

class HttpTransport implements Transport {
  readonly #endpoint: Endpoint;
  readonly #options: TransportOptions;
  readonly #base: URL;
  readonly #calls: Agent;
  readonly #watches: Agent;

  constructor(endpoint: Endpoint, options: TransportOptions) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#base = new URL(endpoint.server);
    const common = { connect: connectOptions(endpoint), keepAliveTimeout: 30_000 };
    // HTTP/2 for calls, where the server has it: what is sent and answered at the same time shares connections and system calls. A stream
    // that is silent ends before the call's own deadline, since only then undici asks whether the connection still leads to anybody.
    const silentMs = options.callTimeoutMs * silentShare;
    const calls = { allowH2: true, connections: options.connections, headersTimeout: silentMs, bodyTimeout: silentMs };
    this.#calls = new Agent({ ...common, ...calls, maxResponseSize: maxAnswerBytes });
    // HTTP/1.1 for watches: one per connection, so that the end of one connection is the end of one watch.
    const watches = { allowH2: false, bodyTimeout: options.watchIdleMs, headersTimeout: options.callTimeoutMs };
    this.#watches = new Agent({ ...common, ...watches });
  }

  async call(request: HttpRequest): Promise<unknown> {
    const { clock, random } = this.#options;
    for (let failures = 1; ; failures++) {
      try {
        return await this.#tryOnce(request);
      } catch (error) {
        if (failures >= tries || !mayTryAgain(request, error)) throw error;
        const wishedMs = Math.min((error.details.retryAfterSeconds ?? 0) * 1000, maxRetryAfterMs);
        const delayMs = Math.max(backoffMs(failures, { firstMs: 100, maxMs: 2_000 }, random), wishedMs);
        await clock.sleep(delayMs, request.signal);
      }
    }
  }

  async *lines(request: HttpRequest): AsyncGenerator<unknown> {
    try {
      const answer = await this.#send(this.#watches, request, request.signal);
      if (answer.statusCode >= 300) throw refused(request, answer, await answer.body.text());
      for await (const line of linesOf(answer.body)) yield JSON.parse(line) as unknown;
    } catch (error) {
      throw asApiError(request, error);
    }
  }

  async *bytes(request: HttpRequest, options: BytesOptions = {}): AsyncGenerator<Uint8Array> {
    const headersTimeout = options.beginsWithinMs ?? this.#options.callTimeoutMs;
    try {
      const answer = await this.#send(this.#watches, request, request.signal, { bodyTimeout: 0, headersTimeout });
      if (answer.statusCode >= 300) throw refused(request, answer, await answer.body.text());
      yield* answer.body as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw asApiError(request, error);
    }
  }

  async send(request: Omit<HttpRequest, 'body'>, body: AsyncIterable<Uint8Array>, length: number): Promise<unknown> {
    try {
      const timeouts = { bodyTimeout: 0, headersTimeout: 0, length };
      const answer = await this.#send(this.#watches, { ...request, body }, request.signal, timeouts);
      const text = await answer.body.text();
      if (answer.statusCode >= 300) throw refused(request, answer, text);
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw asApiError(request, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#calls.destroy(), this.#watches.destroy()]);
  }

  async #tryOnce(request: HttpRequest): Promise<unknown> {
    const timeout = AbortSignal.timeout(this.#options.callTimeoutMs);
    const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout;
    try {
      const answer = await this.#send(this.#calls, request, signal);
      const text = await answer.body.text();
      if (answer.statusCode >= 300) throw refused(request, answer, text);
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw asApiError(request, error, timeout);
    }
  }

  async #send(
    agent: Agent,
    request: HttpRequest,
    signal: AbortSignal | undefined,
    {
      length,
      ...timeouts
    }: { readonly bodyTimeout?: number; readonly headersTimeout?: number; readonly length?: number } = {},
  ): Promise<Dispatcher.ResponseData> {
    const authorization = await this.#endpoint.authorization?.();
    return agent.request({
      origin: this.#base.origin,
      path: pathOf(this.#base, request),
      method: request.method,
      headers: {
        accept: request.accept ?? 'application/json',
        'user-agent': this.#options.userAgent,
        ...(authorization && { authorization }),
        ...(request.body !== undefined && { 'content-type': request.contentType ?? 'application/json' }),
        ...(length !== undefined && { 'content-length': String(length) }),
      },
      ...(request.body !== undefined && {
        body: length === undefined ? JSON.stringify(request.body) : bytesOf(request),
      }),
      ...(signal && { signal }),
      ...timeouts,
    });
  }
}

/** Of a request that is sent as it is. */
function bytesOf({ body }: HttpRequest): Readable {
  return Readable.from(body as AsyncIterable<Uint8Array>, { objectMode: false, highWaterMark: 2 ** 20 });
}

function connectOptions(endpoint: Endpoint) {
  return {
    ...(endpoint.ca && { ca: endpoint.ca }),
    ...(endpoint.cert && { cert: endpoint.cert }),
    ...(endpoint.key && { key: endpoint.key }),
    ...(endpoint.tlsServerName && { servername: endpoint.tlsServerName }),
    rejectUnauthorized: !endpoint.skipTlsVerify,
    timeout: 10_000,
    keepAlive: true,
  };
}

function pathOf(base: URL, { path, query = {} }: HttpRequest): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const search = given.length > 0 ? `?${new URLSearchParams(given)}` : '';
  return `${base.pathname.replace(/\/$/, '')}${path}${search}`;
}

function refused(request: HttpRequest, answer: Dispatcher.ResponseData, body: string): ApiError {
  const retryAfter = answer.headers['retry-after'];
  const seconds = Array.isArray(retryAfter) ? retryAfter[0] : retryAfter;
  return errorOfAnswer(`${request.method} ${request.path}`, answer.statusCode, body, seconds);
}

/** The caller's own abort comes back as it is; everything that was not an answer becomes ServiceUnavailable or Timeout. */
function asApiError(request: HttpRequest, error: unknown, timeout?: AbortSignal): unknown {
  if (request.signal?.aborted) return request.signal.reason;
  if (error instanceof ApiError) return error;
  const what = `${request.method} ${request.path}`;
  if (timeout?.aborted || (timeout && isSilence(error)))
    return new ApiError('Timeout', `${what} was not answered in time`, { cause: error });
  return new ApiError('ServiceUnavailable', `${what} got no answer: ${messageOf(error)}`, { cause: error });
}

function isSilence(error: unknown): boolean {
  return error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError;
}

function mayTryAgain(request: HttpRequest, error: unknown): error is ApiError {
  if (isCode(error, 'TooManyRequests')) return true;
  return request.method === 'GET' && isCode(error, 'ServiceUnavailable', 'Timeout');
}

async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop()!;
    if (rest.length > maxLineLength) throw new Error(`An event is longer than ${maxLineLength} characters`);
    for (const line of parts) if (line.trim() !== '') yield line;
  }
  if (rest.trim() !== '') throw new Error('The stream ended in the middle of an event');
}

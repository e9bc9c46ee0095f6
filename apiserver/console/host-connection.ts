/**
 * Connections to a host. It is known by the fingerprint of its certificate, which is looked at before the token is sent: nobody else may see
 * that. Everything rejects with ServiceUnavailable if the host does not answer, is another, or refuses.
 */
import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { Writable } from 'node:stream';
import { WebSocket } from 'ws';
import { uploadService } from '#lib/api/host-endpoint.ts';
import { ApiError, type ErrorCode } from '#lib/std/errors.ts';
import { connectPinned } from '#lib/tls/pinned.ts';
import { type HostTarget, unavailable } from './target.ts';

const connectMs = 10_000;
const answerMs = 55_000;
const maxFrameBytes = 1024 * 1024;
const maxReasonBytes = 4096;

/** A WebSocket to the host, opened. */
export async function connectToHost(target: HostTarget, query: URLSearchParams): Promise<WebSocket> {
  try {
    const socket = await connectPinned(target);
    const webSocket = new WebSocket(withQuery(target.url, query), {
      createConnection: () => socket,
      headers: { authorization: `Bearer ${target.token}` },
      handshakeTimeout: connectMs,
      maxPayload: maxFrameBytes,
      perMessageDeflate: false,
    });
    await once(webSocket, 'open');
    return webSocket;
  } catch (error) {
    throw notGiven(target, error);
  }
}

export interface HostRequest {
  readonly method: 'GET' | 'POST';
  readonly query?: URLSearchParams;
  readonly body?: Buffer;
  /** Ends the request, and the answer. */
  readonly signal: AbortSignal;
}

/** So many bytes that are not held here. */
export interface HostBody {
  readonly query: URLSearchParams;
  readonly length: number;
  /** Ends the request, and the answer. */
  readonly signal: AbortSignal;
}

/**
 * PUT to the host. `write` is called once the host has said that it takes the bytes, and resolves when all were written; its signal aborts if
 * the host has answered before.
 */
export async function sendToHost(
  target: HostTarget,
  { query, length, signal }: HostBody,
  write: (to: Writable, over: AbortSignal) => Promise<void>,
): Promise<IncomingMessage> {
  const answered = new AbortController();
  let sent: ClientRequest | undefined;
  try {
    const socket = await connectPinned(target);
    sent = request(withQuery(target.url, query), {
      method: 'PUT',
      createConnection: () => socket,
      headers: { authorization: `Bearer ${target.token}`, 'content-length': length, expect: '100-continue' },
      signal,
    });
    const continued = once(sent, 'continue').then(() => undefined);
    const response = once(sent, 'response').then(([answer]) => answer as IncomingMessage);
    for (const each of [continued, response]) each.catch(() => undefined);
    sent.flushHeaders();
    const early = await inTime(Promise.race([continued, response]), signal);
    if (!early) {
      const to = sent;
      const written = write(to, answered.signal).then(() => to.end());
      written.catch(() => undefined);
      await Promise.race([written, response]);
    }
    const answer = early ?? (await inTime(response, signal));
    if (answer.statusCode === 200) return answer;
    throw await refusalOf(target, answer);
  } catch (error) {
    sent?.destroy();
    throw error instanceof ApiError ? error : notGiven(target, error);
  } finally {
    answered.abort();
  }
}

/** Rejects when the host has not answered in time, or the signal aborts. */
async function inTime<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const over = AbortSignal.any([signal, AbortSignal.timeout(answerMs)]);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const refuse = () => reject(over.reason);
  over.addEventListener('abort', refuse, { once: true });
  try {
    return await Promise.race([answer, late]);
  } finally {
    over.removeEventListener('abort', refuse);
  }
}

/** The host's answer, of which the head has come. */
export async function askHost(target: HostTarget, asked: HostRequest): Promise<IncomingMessage> {
  const { method, query = new URLSearchParams(), body, signal } = asked;
  try {
    const socket = await connectPinned(target);
    const sent = request(withQuery(target.url, query), {
      method,
      createConnection: () => socket,
      headers: { authorization: `Bearer ${target.token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      signal,
    });
    sent.end(body);
    const late = AbortSignal.timeout(answerMs);
    const [response] = (await once(sent, 'response', { signal: AbortSignal.any([signal, late]) })) as [IncomingMessage];
    if (response.statusCode === 200) return response;
    throw await refusalOf(target, response);
  } catch (error) {
    throw error instanceof ApiError ? error : notGiven(target, error);
  }
}

const codeOf: Readonly<Record<number, ErrorCode>> = {
  400: 'BadRequest',
  409: 'Conflict',
  413: 'RequestEntityTooLarge',
};

/** What the host says, if it says anything: an older executor knows consoles alone. */
async function refusalOf(target: HostTarget, response: IncomingMessage): Promise<ApiError> {
  let why = '';
  for await (const chunk of response) {
    why += chunk;
    if (why.length > maxReasonBytes) response.destroy();
  }
  if (why === '') return unavailable(target.service, 'the executor of its host does not know how');
  return new ApiError(
    codeOf[response.statusCode ?? 0] ?? 'ServiceUnavailable',
    unavailable(target.service, why).message,
  );
}

function notGiven({ service }: HostTarget, error: unknown): ApiError {
  const why = error instanceof Error ? error.message : String(error);
  const does = service === uploadService ? 'take' : 'give';
  return unavailable(service, `the host does not ${does} it: ${why}`, { cause: error });
}

function withQuery(url: string, query: URLSearchParams): string {
  return query.size === 0 ? url : `${url}?${query}`;
}

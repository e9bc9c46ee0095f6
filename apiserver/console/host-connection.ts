/**
 * Connections to a host. It is known by the fingerprint of its certificate, which is looked at before the token is sent: nobody else may see
 * that. Everything rejects with ServiceUnavailable if the host does not answer, is another, or refuses.
 */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import { ApiError } from '#lib/std/errors.ts';
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

/** What the host says, if it says anything: an older executor knows consoles alone. */
async function refusalOf(target: HostTarget, response: IncomingMessage): Promise<ApiError> {
  let why = '';
  for await (const chunk of response) {
    why += chunk;
    if (why.length > maxReasonBytes) response.destroy();
  }
  if (why === '') return unavailable(target.service, 'the executor of its host does not know how');
  const code = response.statusCode === 400 ? 'BadRequest' : 'ServiceUnavailable';
  return new ApiError(code, unavailable(target.service, why).message);
}

function notGiven({ service }: HostTarget, error: unknown): ApiError {
  const why = error instanceof Error ? error.message : String(error);
  return unavailable(service, `the host does not give it: ${why}`, { cause: error });
}

function withQuery(url: string, query: URLSearchParams): string {
  return query.size === 0 ? url : `${url}?${query}`;
}

async function connectPinned({ url, certificateSha256 }: HostTarget): Promise<TLSSocket> {
  const { hostname, port } = new URL(url);
  // Signed by nobody: the fingerprint, checked below, is what tells who it is.
  const socket = connect({ host: hostname, port: Number(port || 443), rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(connectMs) });
  } catch (error) {
    socket.destroy();
    throw error;
  }
  const actual = socket.getPeerCertificate().fingerprint256?.replaceAll(':', '').toLowerCase();
  if (actual === certificateSha256) return socket;
  socket.destroy();
  throw new Error('its certificate is not the one that it has announced');
}

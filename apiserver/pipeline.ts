/** What happens to every request, in this order: health, who, what, may they, do it, answer. */
import { authenticate } from '#apiserver/auth/authenticate.ts';
import { authorize } from '#apiserver/auth/authorize.ts';
import type { TokenTable } from '#apiserver/auth/tokens.ts';
import type { User } from '#apiserver/auth/user.ts';
import { ApiError, httpStatusOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { handlerOf } from './dispatch.ts';
import type { Documents } from './documents.ts';
import type { Health } from './health.ts';
import { readBody } from './http/body.ts';
import type { Call } from './http/call.ts';
import { negotiate } from './http/negotiate.ts';
import { parsePath, type ResourcePath, verbOf } from './http/request-info.ts';
import { sendError, sendObject, sendText, setWarnings } from './http/respond.ts';
import { toApiError } from './http/status.ts';
import { streamWatch } from './http/stream-watch.ts';
import type { HttpRequest, HttpResponse } from './http/transport.ts';
import type { Metrics } from './metrics.ts';
import { present } from './present/present.ts';
import { watchEncoder } from './present/watch-encoder.ts';
import type { Registry } from './resources/registry.ts';
import type { ServerContext } from './verbs/server-context.ts';
import { watch } from './verbs/watch.ts';

export interface Pipeline {
  readonly context: ServerContext;
  readonly registry: Registry;
  readonly tokens: TokenTable;
  readonly documents: Documents;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Aborts when the server stops: watches end then. */
  readonly stopping: AbortSignal;
}

/** What is logged and counted of a request. */
interface Seen {
  verb: string;
  resource: string;
}

/** Answers one request; never rejects. */
export async function handle(pipeline: Pipeline, request: HttpRequest, response: HttpResponse): Promise<void> {
  const { clock } = pipeline.context;
  const started = clock.monotonic();
  const seen: Seen = { verb: request.method, resource: '' };
  try {
    await route(pipeline, request, response, seen);
  } catch (error) {
    const shown = toApiError(error);
    if (shown.code === 'InternalError')
      pipeline.log.error('Failed to handle a request', { method: request.method, url: request.url, error });
    sendError(response, shown);
  }
  const seconds = (clock.monotonic() - started) / 1000;
  pipeline.metrics.request({ ...seen, code: response.statusCode }, seen.verb === 'watch' ? 0 : seconds);
}

async function route(pipeline: Pipeline, request: HttpRequest, response: HttpResponse, seen: Seen): Promise<void> {
  const url = new URL(request.url, 'https://server');
  if (await sendPublic(pipeline, request, response, url)) return;
  const user = authenticate(request.headers.authorization, request.socket, pipeline.tokens);
  if (!user) throw new ApiError('Unauthorized', 'Unauthorized: send a bearer token or a client certificate');
  const path = parsePath(url.pathname);
  const resource = path.type === 'resource' ? pipeline.registry.find(path.group, path.version, path.plural) : undefined;
  if (path.type === 'resource' && resource) {
    await serveResource(pipeline, request, response, { path, resource, url, user, seen });
    return;
  }
  authorize(user, { verb: request.method.toLowerCase(), path: url.pathname });
  sendOther(pipeline, request, response, url.pathname);
}

/** What may be asked without saying who one is: probes and kubectl's own version check come without credentials. */
async function sendPublic(
  pipeline: Pipeline,
  request: HttpRequest,
  response: HttpResponse,
  url: URL,
): Promise<boolean> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return false;
  const health = await pipeline.health(url.pathname, url.searchParams);
  if (health) sendText(response, health.status, health.text);
  else if (url.pathname === '/version') sendDocument(pipeline, request, response, '/version');
  else return false;
  return true;
}

function sendOther(pipeline: Pipeline, request: HttpRequest, response: HttpResponse, path: string): void {
  if (path === '/metrics') sendText(response, 200, pipeline.metrics.text(), 'text/plain; version=0.0.4; charset=utf-8');
  else if (!sendDocument(pipeline, request, response, path)) sendText(response, 404, '404 page not found\n');
}

function sendDocument(pipeline: Pipeline, request: HttpRequest, response: HttpResponse, path: string): boolean {
  const document = pipeline.documents(path, request.headers.accept);
  if (!document) return false;
  response.setHeader('etag', document.etag);
  if (document.varyAccept) response.setHeader('vary', 'Accept');
  // With its type: caches of clients take the headers of a 304 over those of what they have.
  if (request.headers['if-none-match'] === document.etag) sendText(response, 304, '', document.contentType);
  else sendText(response, 200, document.content, document.contentType);
  return true;
}

interface Target {
  readonly path: ResourcePath;
  readonly resource: Call['resource'];
  readonly url: URL;
  readonly user: User;
  readonly seen: Seen;
}

async function serveResource(
  pipeline: Pipeline,
  request: HttpRequest,
  response: HttpResponse,
  target: Target,
): Promise<void> {
  const { path, resource, url, user, seen } = target;
  const verb = verbOf(request.method, path, url.searchParams);
  if (!verb) throw new ApiError('MethodNotAllowed', `the method ${request.method} means nothing here`);
  const qualified = path.subresource === undefined ? path.plural : `${path.plural}/${path.subresource}`;
  Object.assign(seen, { verb, resource: path.plural });
  authorize(user, {
    verb,
    group: path.group,
    resource: qualified,
    ...(path.namespace === undefined ? {} : { namespace: path.namespace }),
    ...(path.name === undefined ? {} : { name: path.name }),
  });
  const warnings = resource.deprecation ? [resource.deprecation] : [];
  using gone = goneSignal(response, pipeline.stopping);
  const call: Call = {
    method: request.method,
    path,
    resource,
    query: url.searchParams,
    user,
    headers: { accept: request.headers.accept, contentType: request.headers['content-type'] },
    signal: gone.signal,
    body: () => readBody(request),
    // The same warning comes once per attempt to write.
    warn: (message) => void (warnings.includes(message) || warnings.push(message)),
  };
  if (verb === 'watch') await serveWatch(pipeline, response, call);
  else await serveAnswer(pipeline, response, call, verb, warnings);
}

/** Aborts when the client goes away, or when the server stops. */
function goneSignal(response: HttpResponse, stopping: AbortSignal): Disposable & { signal: AbortSignal } {
  const controller = new AbortController();
  const abort = () => controller.abort(new ApiError('ServiceUnavailable', 'the connection is being closed'));
  response.on('close', abort);
  stopping.addEventListener('abort', abort, { once: true });
  if (stopping.aborted) abort();
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      response.off('close', abort);
      stopping.removeEventListener('abort', abort);
    },
  };
}

async function serveAnswer(
  pipeline: Pipeline,
  response: HttpResponse,
  call: Call,
  verb: string,
  warnings: readonly string[],
): Promise<void> {
  const { type, form } = negotiate(call.headers.accept);
  const handler = handlerOf(call, verb);
  try {
    const answer = await handler(pipeline.context, call);
    setWarnings(response, warnings);
    sendObject(response, answer.status, present(answer.body, form, call, pipeline.context.clock.now()), type);
  } catch (error) {
    setWarnings(response, warnings);
    throw error;
  }
}

async function serveWatch(pipeline: Pipeline, response: HttpResponse, call: Call): Promise<void> {
  const { form } = negotiate(call.headers.accept);
  if (!call.resource.verbs.includes('watch'))
    throw new ApiError('MethodNotAllowed', `watch is not supported on resources of kind "${call.resource.plural}"`);
  const { context, metrics } = pipeline;
  const encode = watchEncoder(form, call, context.clock);
  const resource = call.resource.plural;
  try {
    using _ = metrics.watchStarted(resource);
    const watching = await watch(context, call);
    const sent = (count: number) => metrics.watchEvents(resource, count);
    await streamWatch(response, watching, encode, { clock: context.clock, signal: call.signal, sent });
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'Expired') throw error;
    sendExpired(response, error);
  }
}

/** A revision that is gone is told inside the stream: clients look for it there, under status 200. */
function sendExpired(response: HttpResponse, error: ApiError): void {
  const object = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: error.message,
    reason: error.code,
    code: httpStatusOf[error.code],
  };
  sendText(response, 200, `${JSON.stringify({ type: 'ERROR', object })}\n`, 'application/json');
}

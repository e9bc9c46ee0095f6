/** The end of the chain: what the request asks for is done, and answered. */
import { attributesOf } from '#apiserver/auth/attributes.ts';
import { handlerOf } from '#apiserver/dispatch.ts';
import { readBody } from '#apiserver/http/body.ts';
import type { Call } from '#apiserver/http/call.ts';
import { readsGzip } from '#apiserver/http/compress.ts';
import { negotiate } from '#apiserver/http/negotiate.ts';
import { requireScope } from '#apiserver/http/request-info.ts';
import { sendObject, sendText } from '#apiserver/http/respond.ts';
import { isLong, sendList } from '#apiserver/http/send-list.ts';
import { countObjects } from '#apiserver/metrics/metrics.ts';
import { present } from '#apiserver/present/present.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Exchange, Step } from './exchange.ts';
import { serveDocument } from './serve-document.ts';
import { passedOf, serveMachine } from './serve-machine.ts';
import { isUpload, serveUpload } from './serve-upload.ts';
import { serveWatch } from './serve-watch.ts';

export const answer: Step = async (exchange) => {
  const call = callOf(exchange);
  if (!call) return await answerOther(exchange);
  const { verb } = exchange.info;
  if (verb === '') throw new ApiError('MethodNotAllowed', `the method ${call.method} means nothing here`);
  requireScope(call.resource, call.path, verb);
  if (call.resource.deprecation) exchange.warn(call.resource.deprecation);
  const passed = passedOf(call, verb);
  if (passed) await serveMachine(exchange, call, passed);
  else if (isUpload(call, verb)) await serveUpload(exchange, call, verb);
  else if (verb === 'watch') await serveWatch(exchange, call);
  else await answerCall(exchange, call, verb);
};

function callOf(exchange: Exchange): Call | undefined {
  const { server, request, resource, info, caller, user, signal } = exchange;
  if (!resource || info.path.type !== 'resource') return undefined;
  return {
    method: request.method,
    path: info.path,
    resource,
    query: info.query,
    user,
    headers: {
      accept: request.headers.accept,
      contentType: request.headers['content-type'],
      userAgent: request.headers['user-agent'],
    },
    signal,
    body: () => bodyOf(exchange),
    require: (verb) => server.access.require(caller, { ...attributesOf(info), verb }),
    warn: (message) => exchange.warn(message),
  };
}

async function bodyOf({ request, signal, heard }: Exchange): Promise<Buffer> {
  const body = await readBody(request, signal);
  heard.request?.(body, request.headers['content-type']);
  return body;
}

async function answerCall(exchange: Exchange, call: Call, verb: string): Promise<void> {
  const { server, request, response, signal, heard } = exchange;
  const accepted = negotiate({ ...call.headers, query: call.query });
  const handler = handlerOf(call, verb);
  const { status, body } = await handler(server.context, call);
  heard.response?.(body);
  // Past the deadline the answer has been given already.
  signal.throwIfAborted();
  const { clock } = server.context;
  const shown = present(body, accepted, call, clock.now());
  const gzip = readsGzip(request.headers['accept-encoding']?.toString());
  if (accepted.type === 'json' && !accepted.pretty && isLong(shown))
    await sendList(response, status, shown, { clock, over: signal, gzip });
  else sendObject(response, status, shown, { ...accepted, gzip });
}

/** Probes, figures, and what the server tells of itself. */
async function answerOther(exchange: Exchange): Promise<void> {
  const { server, response, info } = exchange;
  const health = info.probe ? await server.health(info.pathname, info.query) : undefined;
  if (health) sendText(response, health.status, health.text);
  else if (info.pathname === '/metrics') sendMetrics(exchange);
  else if (!serveDocument(exchange)) sendText(response, 404, '404 page not found\n');
}

function sendMetrics({ server, response }: Exchange): void {
  countObjects(server.metrics, server.registry, server.context.caches);
  sendText(response, 200, server.metrics.text(), 'text/plain; version=0.0.4; charset=utf-8');
}

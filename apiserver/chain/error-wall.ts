import { endEarly } from '#apiserver/http/linger.ts';
import { setError } from '#apiserver/http/respond.ts';
import { toApiError } from '#apiserver/http/status.ts';
import type { Exchange, Step } from './exchange.ts';

/** Nothing that is thrown gets past: what is no ApiError is our own fault, logged in full and told as no more than that. */
export const wallOffErrors: Step = async (exchange, next) => {
  try {
    await next();
  } catch (error) {
    sendStatus(exchange, error);
  }
};

function sendStatus(exchange: Exchange, error: unknown): void {
  const { request, response, server, auditId, info } = exchange;
  const shown = toApiError(error);
  if (shown.code === 'InternalError') {
    const { method, url } = request;
    server.log.error('Failed to handle a request', { method, url, auditId, error });
  }
  if (exchange.gone) return;
  // There is no way to take back an answer that has begun: the connection is cut, so that the client does not take it for whole.
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { accept, 'user-agent': userAgent } = request.headers;
  const body = setError(response, shown, { accept, userAgent, query: info.query });
  if (request.complete) response.end(body);
  else endEarly(request, response, body, server.context.clock);
}

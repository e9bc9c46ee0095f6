/**
 * Whoever has seen somewhere that a kind is established finds it here: before a kind is said not to be served, and before discovery is
 * answered, this replica takes over the definitions that others have written.
 */
import { ApiError } from '#lib/std/errors.ts';
import type { Exchange, Step } from './exchange.ts';

const aboutKinds = /^\/(?:api|apis|openapi)(?:\/|$)/;

export const knowDefinitions: Step = (exchange, next) =>
  exchange.resource || !aboutKinds.test(exchange.info.pathname) ? next() : catchUp(exchange).then(next);

async function catchUp(exchange: Exchange): Promise<void> {
  const { info, server } = exchange;
  const current = await server.definitions.catchUp();
  exchange.findResource();
  // Clients take 404 for the end of a kind, and act on it. Discovery is old news to anybody who reads it, so that goes out.
  if (!current && !exchange.resource && info.path.type === 'resource')
    throw new ApiError('Timeout', `It is not known yet whether ${info.path.plural} are served, try again`, {
      details: { retryAfterSeconds: 1 },
    });
}

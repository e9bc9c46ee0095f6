/**
 * Whoever has seen somewhere that a kind is established finds it here: before a kind is said not to be served, and before discovery is
 * answered, this replica takes over the definitions that others have written.
 */
import { ApiError } from '#lib/std/errors.ts';
import type { Step } from './exchange.ts';

const aboutKinds = /^\/(?:api|apis|openapi)(?:\/|$)/;

export const knowDefinitions: Step = async (exchange, next) => {
  const { info, resource, server } = exchange;
  if (!resource && aboutKinds.test(info.pathname)) {
    const current = await server.definitions.catchUp();
    exchange.findResource();
    // Clients take 404 for the end of a kind, and act on it. Discovery is old news to anybody who reads it, so that goes out.
    if (!current && !exchange.resource && info.path.type === 'resource')
      throw new ApiError('Timeout', `It is not known yet whether ${info.path.plural} are served, try again`, {
        details: { retryAfterSeconds: 1 },
      });
  }
  await next();
};

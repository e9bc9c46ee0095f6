/**
 * Whoever has seen somewhere that a kind is established finds it here: before a kind is said not to be served, and before discovery is
 * answered, this replica takes over the definitions that others have written.
 */
import type { Step } from './exchange.ts';

const aboutKinds = /^\/(?:api|apis|openapi)(?:\/|$)/;

export const knowDefinitions: Step = async (exchange, next) => {
  if (!exchange.resource && aboutKinds.test(exchange.info.pathname)) {
    await exchange.server.definitions.catchUp();
    exchange.findResource();
  }
  await next();
};

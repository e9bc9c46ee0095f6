import { ApiError } from '#lib/std/errors.ts';
import type { Step } from './exchange.ts';

/** What still comes in over connections that are about to end: another server, or this one after its restart, will answer. */
export const refuseLate: Step = ({ info, server }, next) => {
  if (server.over.aborted && !info.probe)
    throw new ApiError('ServiceUnavailable', 'apiserver is shutting down', { details: { retryAfterSeconds: 1 } });
  return next();
};

import { ApiError } from '#lib/std/errors.ts';
import type { Exchange, Step } from './exchange.ts';

/** Who sends the request. Probes and kubectl's own version check may come from nobody. */
export const identify: Step = async (exchange, next) => {
  const sender = await exchange.server.access.authenticate(exchange.request);
  if (sender) exchange.caller = { sender, user: sender.user };
  else if (!isPublic(exchange))
    throw new ApiError('Unauthorized', 'Unauthorized: send a bearer token or a client certificate');
  await next();
};

export function isPublic({ info, request }: Exchange): boolean {
  const reads = request.method === 'GET' || request.method === 'HEAD';
  return reads && (info.probe || info.pathname === '/version');
}

import type { Step } from './exchange.ts';

/** Whom the request is answered for, if that is another than its sender. */
export const impersonate: Step = (exchange, next) => {
  const { server, caller, request } = exchange;
  exchange.caller = server.access.impersonate(caller.sender, request.rawHeaders);
  return next();
};

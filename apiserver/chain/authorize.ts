import { attributesOf } from '#apiserver/auth/attributes.ts';
import { isPublic } from './authenticate.ts';
import type { Step } from './exchange.ts';

/** May they? Asked before anything is looked up, so that a refusal tells nothing about what exists. */
export const askWhetherAllowed: Step = (exchange, next) => {
  const { server, info, caller } = exchange;
  if (!isPublic(exchange)) server.access.require(caller, attributesOf(info));
  return next();
};

import type { Step } from './exchange.ts';

/** Waits for a seat. A watch gives it back as soon as it has begun: what comes afterwards costs little, and may go on for hours. */
export const shareFairly: Step = async (exchange, next) => {
  const { server, info, user, signal } = exchange;
  using seat = await server.fairness.enter(info, user, signal);
  exchange.whenBegun(() => seat[Symbol.dispose]());
  await next();
};

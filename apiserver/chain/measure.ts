import type { Step } from './exchange.ts';

/** Counts and times what was answered. */
export const measure: Step = async ({ info, request, response, resource, server }, next) => {
  const { clock } = server.context;
  const started = clock.monotonic();
  await next();
  const seconds = (clock.monotonic() - started) / 1000;
  const verb = resource ? info.verb : request.method;
  server.metrics.request(
    { verb, resource: resource?.plural ?? '', code: response.statusCode },
    info.longRunning ? 0 : seconds,
  );
};

import { parseDuration } from '#apiserver/http/duration.ts';
import { badRequest } from '#apiserver/http/status.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Step } from './exchange.ts';

/** Kubernetes' --request-timeout, which is also the most that a client may ask for by ?timeout=. */
const maxMs = 60_000;

/** Requests that are not long-running are answered in time, by 504 if need be; what is still being done for them is called off. */
export const keepDeadline: Step = async (exchange, next) => {
  const { info, server } = exchange;
  if (info.longRunning) return await next();
  const { promise: late, reject } = Promise.withResolvers<never>();
  using _ = server.context.clock.timeout(
    () => {
      const error = new ApiError('Timeout', 'Timeout: request did not complete within the allotted timeout');
      exchange.abort(error);
      reject(error);
    },
    deadlineOf(info.query.get('timeout')),
  );
  await Promise.race([next(), late]);
};

function deadlineOf(text: string | null): number {
  if (text === null || text === '') return maxMs;
  const ms = parseDuration(text);
  if (ms === undefined) throw badRequest(`invalid timeout specified in the request URL: "${text}" is no duration`);
  // Zero asks for the default, as in Kubernetes.
  return ms === 0 ? maxMs : Math.min(ms, maxMs);
}

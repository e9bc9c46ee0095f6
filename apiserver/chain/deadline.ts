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

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's time.ParseDuration without signs, in milliseconds: `1m30s`, `500ms`. undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g))
    ms += Number(amount) * unitMs[unit!]!;
  return ms;
}

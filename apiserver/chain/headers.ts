import type { Random } from '#lib/std/random.ts';
import type { Step } from './exchange.ts';

/** What every answer carries. Nothing may be kept by caches on the way: what one user sees is not for the next. */
export const setCommonHeaders: Step = ({ request, response, auditId, server }, next) => {
  response.setHeader('audit-id', auditId);
  response.setHeader('cache-control', 'no-cache, private');
  if (server.strictTransportSecurity) response.setHeader('strict-transport-security', server.strictTransportSecurity);
  if (server.stopping() && request.httpVersionMajor === 1) response.setHeader('connection', 'close');
  return next();
};

/** The client's own Audit-Id, by which it finds its request in the audit log, if it is one that fits into a line; else a new one. */
export function auditIdOf(header: string | string[] | undefined, random: Random): string {
  const [id] = [header ?? []].flat();
  return id !== undefined && /^[\x21-\x7e]{1,64}$/.test(id) ? id : random.uuid();
}

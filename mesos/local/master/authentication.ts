/** HTTP Basic authentication against the credentials a master was started with; without any, everybody is nobody in particular. */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { HttpError } from '../http.ts';
import type { Master } from './state.ts';

export interface Credential {
  readonly principal: string;
  readonly secret: string;
}

/** The caller's principal, or undefined if this master asks nobody. HttpError 401 naming the realm otherwise. */
export function authenticated(
  master: Master,
  realm: 'mesos-master-scheduler' | 'mesos-master-readwrite',
  request: IncomingMessage,
  response: ServerResponse,
): string | undefined {
  const { credentials } = master.options;
  if (credentials === undefined) return undefined;
  const [, encoded = ''] = /^Basic (.+)$/.exec(request.headers.authorization ?? '') ?? [];
  const [principal = '', ...secret] = Buffer.from(encoded, 'base64').toString('utf8').split(':');
  const known = credentials.find((credential) => credential.principal === principal);
  if (known !== undefined && same(known.secret, secret.join(':'))) return principal;
  response.setHeader('WWW-Authenticate', `Basic realm="${realm}"`);
  throw new HttpError(401, '401 Unauthorized.');
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

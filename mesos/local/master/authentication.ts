/** HTTP authentication: Basic against the credentials a master was started with, or bearer tokens; without any, everybody is nobody in particular. */
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
  const { credentials, principalOf } = master.options;
  if (credentials === undefined && principalOf === undefined) return undefined;
  const [, scheme, value = ''] = /^(Basic|Bearer) (.+)$/.exec(request.headers.authorization ?? '') ?? [];
  const principal = scheme === 'Basic' ? principalOfBasic(credentials ?? [], value) : principalOf?.(value);
  if (principal !== undefined) return principal;
  response.setHeader('WWW-Authenticate', `Basic realm="${realm}"`);
  throw new HttpError(401, '401 Unauthorized.');
}

function principalOfBasic(credentials: readonly Credential[], encoded: string): string | undefined {
  const [principal = '', ...secret] = Buffer.from(encoded, 'base64').toString('utf8').split(':');
  const known = credentials.find((credential) => credential.principal === principal);
  return known !== undefined && same(known.secret, secret.join(':')) ? principal : undefined;
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** The request bears this token. Compared as digests: equal in length, and the time tells nothing. */
export function isOpenedBy({ headers }: Pick<IncomingMessage, 'headers'>, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(headers.authorization ?? ''), digest(`Bearer ${token}`));
}

import type { TLSSocket } from 'node:tls';
import { ApiError } from '#lib/std/errors.ts';
import type { TokenTable } from './tokens.ts';
import { authenticatedGroup, type User } from './user.ts';

/**
 * Who sends a request: by a client certificate that our authority signed (CN is the user, O are the groups), else by a bearer token.
 * undefined if it says neither. Unauthorized for a token that is not known.
 */
export function authenticate(
  authorization: string | undefined,
  socket: TLSSocket | undefined,
  tokens: TokenTable,
): User | undefined {
  const [scheme, token] = (authorization ?? '').split(' ');
  if (token && scheme?.toLowerCase() === 'bearer') {
    const user = tokens(token.trim());
    if (!user) throw new ApiError('Unauthorized', 'Unauthorized: the bearer token is not known here');
    return user;
  }
  return userOfCertificate(socket);
}

function userOfCertificate(socket: TLSSocket | undefined): User | undefined {
  // `authorized` is TLS's own verdict: signed by --client-ca and valid today.
  if (!socket?.authorized) return undefined;
  const subject = socket.getPeerCertificate().subject as { CN?: string | string[]; O?: string | string[] } | undefined;
  const name = [subject?.CN ?? []].flat()[0];
  if (!name) return undefined;
  return { name, groups: [...[subject?.O ?? []].flat(), authenticatedGroup] };
}

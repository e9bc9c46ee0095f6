import type { IncomingHttpHeaders } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { ApiError } from '#lib/std/errors.ts';
import { authenticatedGroup, type User } from './user.ts';

/** What a request brings to show who sends it. */
export interface Credentials {
  readonly headers: IncomingHttpHeaders;
  readonly socket: TLSSocket | undefined;
}

/** Who sends a request, and for how long that is believed. */
export interface Identity {
  readonly user: User;
  /** Milliseconds since 1970; absent if the credential does not expire. */
  readonly expiresMs?: number;
  /** False once the credential has been taken back before its time. Looks at memory only. */
  readonly isValid?: () => boolean;
}

/** Whom a token stands for, and those of the audiences asked about that it is meant for. */
export interface TokenIdentity extends Identity {
  readonly audiences: readonly string[];
}

/** Undefined for a token that is not of the kind this one knows, or for none of the audiences. Throws for one that is, and is not to be believed: its message names no secret. */
export type TokenAuthenticator = (
  token: string,
  audiences: readonly string[],
) => TokenIdentity | undefined | Promise<TokenIdentity | undefined>;

export interface Tokens {
  readonly authenticators: readonly TokenAuthenticator[];
  /** Whom tokens are meant for that are sent to this server. */
  readonly audiences: readonly string[];
  /** Told why a token was refused, never the token. */
  readonly refused: (reason: unknown) => void;
}

/**
 * Who sends a request: by a client certificate that our authority signed (CN is the user, O are the groups), else by a bearer token, of
 * which each authenticator is asked in turn. undefined if it says neither. Unauthorized for a token that nobody believes.
 */
export async function authenticate({ headers, socket }: Credentials, tokens: Tokens): Promise<Identity | undefined> {
  const token = bearerToken(headers.authorization);
  const certified = identityOfCertificate(socket);
  if (certified || token === undefined) return certified;
  const identity = await identityOfToken(token, tokens.audiences, tokens);
  if (identity) return identity;
  throw new ApiError('Unauthorized', 'Unauthorized: the bearer token is not known here, or no longer valid');
}

/** The first authenticator that knows the token decides, as long as it believes it; undefined if none does. */
export async function identityOfToken(
  token: string,
  audiences: readonly string[],
  { authenticators, refused }: Tokens,
): Promise<TokenIdentity | undefined> {
  for (const authenticator of authenticators)
    try {
      const identity = await authenticator(token, audiences);
      if (identity) return identity;
    } catch (error) {
      refused(error);
    }
  return undefined;
}

/** For tokens that name nobody they are meant for: they are for this server. */
export function forThisServer(
  find: (token: string) => Identity | undefined | Promise<Identity | undefined>,
  own: readonly string[],
): TokenAuthenticator {
  return async (token, audiences) => {
    const shared = audiences.filter((audience) => own.includes(audience));
    const identity = shared.length === 0 ? undefined : await find(token);
    return identity && { ...identity, audiences: shared };
  };
}

function bearerToken(authorization: string | undefined): string | undefined {
  const [scheme, token] = (authorization ?? '').trim().split(/ +/);
  return scheme?.toLowerCase() === 'bearer' && token ? token : undefined;
}

function identityOfCertificate(socket: TLSSocket | undefined): Identity | undefined {
  // `authorized` is TLS's own verdict: signed by --client-ca and valid when the connection was made.
  if (!socket?.authorized) return undefined;
  const certificate = socket.getPeerCertificate();
  const subject = certificate.subject as { CN?: string | string[]; O?: string | string[] } | undefined;
  const name = [subject?.CN ?? []].flat()[0];
  if (!name) return undefined;
  const groups = [...[subject?.O ?? []].flat(), authenticatedGroup];
  return { user: { name, groups }, expiresMs: Date.parse(certificate.valid_to) };
}

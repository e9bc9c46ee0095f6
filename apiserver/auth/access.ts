/** Who asks and whether they may: what every way into the server goes through, and what open streams are measured by again. */
import type { Policy } from '#apiserver/rbac/policy.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Attributes } from './attributes.ts';
import {
  authenticate,
  type Credentials,
  type Identity,
  identityOfToken,
  type TokenAuthenticator,
  type TokenIdentity,
} from './authenticate.ts';
import { type Authorizer, authorizerChain, requireAllowed } from './authorize.ts';
import { type Impersonation, impersonation } from './impersonate.ts';
import { OpenStreams } from './open-streams.ts';
import { anonymousUser, type User, unauthenticatedGroup } from './user.ts';

/** Who asks: `user` is whom the request is answered for, `sender` who has shown a credential. */
export interface Caller {
  readonly user: User;
  readonly sender: Identity;
  readonly impersonation?: Impersonation;
}

const nobody: User = { name: anonymousUser, groups: [unauthenticatedGroup] };
export const anonymous: Caller = { user: nobody, sender: { user: nobody } };

export interface Access extends Disposable {
  readonly authorizer: Authorizer;
  /** Whom tokens are meant for that are sent to this server. */
  readonly audiences: readonly string[];
  /** The part of it that roles give. */
  readonly policy: Policy;
  /** undefined if the request does not say who sends it; Unauthorized if that is not believed. */
  authenticate(credentials: Credentials): Promise<Identity | undefined>;
  /** Whom a token stands for, if it is meant for one of the audiences; for this server if none are named. undefined if it is not believed. */
  authenticateToken(token: string, audiences: readonly string[]): Promise<TokenIdentity | undefined>;
  /** Forbidden if the sender may not speak for whom these headers name. */
  impersonate(sender: Identity, rawHeaders: readonly string[]): Caller;
  /** Forbidden unless the caller may do this. */
  require(caller: Caller, attributes: Attributes): void;
  /** For a stream that outlives its first check: the signal aborts once the caller's credential or right is gone. */
  hold(caller: Caller, attributes: Attributes): Disposable & { readonly signal: AbortSignal };
  /** Rights or credentials have changed: looks at every open stream again, soon. */
  recheck(): void;
}

export interface AccessOptions {
  readonly tokens: readonly TokenAuthenticator[];
  /** Whom tokens are meant for that are sent to this server. */
  readonly audiences: readonly string[];
  /** Authorizers that are asked before the roles. */
  readonly authorizers: readonly Authorizer[];
  readonly policy: Policy;
  readonly clock: Clock;
  readonly log: Log;
}

export function createAccess({ tokens, audiences, authorizers, policy, clock, log }: AccessOptions): Access {
  const authorizer = authorizerChain(...authorizers, policy.authorizer);
  const refused = (reason: unknown) => log.info('Refused a bearer token', { error: reason });
  const bearers = { authenticators: tokens, audiences, refused };
  const require = (caller: Caller, attributes: Attributes) => requireAllowed(authorizer, caller.user, attributes);
  const streams = new OpenStreams({
    clock,
    log,
    isAllowed: ({ caller, attributes }) =>
      caller.sender.isValid?.() !== false &&
      maySpeak(authorizer, caller) &&
      authorizer(caller.user, attributes).verdict === 'allow',
  });
  return {
    authorizer,
    audiences,
    policy,
    require,
    authenticate: (credentials) => authenticate(credentials, bearers),
    authenticateToken: (token, audiences) =>
      identityOfToken(token, audiences.length > 0 ? audiences : bearers.audiences, bearers),
    impersonate(sender, rawHeaders) {
      const other = impersonation(rawHeaders);
      if (!other) return { user: sender.user, sender };
      for (const demand of other.demands) requireAllowed(authorizer, sender.user, demand);
      return { user: other.user, sender, impersonation: other };
    },
    hold: (caller, attributes) => streams.open(caller, attributes),
    recheck: () => streams.recheck(),
    [Symbol.dispose]: () => streams[Symbol.dispose](),
  };
}

function maySpeak(authorizer: Authorizer, { sender, impersonation: other }: Caller): boolean {
  return (other?.demands ?? []).every((demand) => authorizer(sender.user, demand).verdict === 'allow');
}

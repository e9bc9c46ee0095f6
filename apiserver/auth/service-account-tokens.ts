/**
 * Tokens that this server signs for ServiceAccounts (kubernetes, pkg/serviceaccount): they name their account by uid, and hold as long as
 * that very account is there, and the Secret that they may be bound to.
 */
import { isDeleting, type StoredObject } from '#apiserver/json/object.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import type { TokenAuthenticator } from './authenticate.ts';
import { type Claims, issuerOf, type Key, keySet, publicHalf, signJwt, verifyJwt } from './jwt.ts';
import { authenticatedGroup, serviceAccountGroups, serviceAccountUser, type User } from './user.ts';
import { VerifiedTokens } from './verified-tokens.ts';

export interface ServiceAccountKeys {
  readonly issuer: string;
  readonly signingKey: Key;
  /** Keys whose tokens are believed besides: those of before the last change of keys. */
  readonly olderKeys: readonly Key[];
}

/** The objects that tokens are bound to, as they are now. */
export interface LiveObjects {
  /** From memory, perhaps a moment old; undefined if it is not there. */
  cached(kind: BoundKind, namespace: string, name: string): StoredObject | undefined;
  /** Everything up to this revision is in memory; undefined while it is not known. */
  cachedRev(kind: BoundKind): bigint | undefined;
  /** From the store; undefined if it is not there. */
  read(kind: BoundKind, namespace: string, name: string): Promise<StoredObject | undefined>;
}

export type BoundKind = 'ServiceAccount' | 'Secret';

export interface Bound {
  readonly name: string;
  readonly uid: string;
}

export interface TokenWish {
  readonly namespace: string;
  readonly account: Bound;
  readonly secret?: Bound;
  readonly audiences: readonly string[];
  readonly seconds: number;
}

export interface ServiceAccountTokens {
  readonly live: LiveObjects;
  readonly authenticator: TokenAuthenticator;
  issue(wish: TokenWish): Promise<{ readonly token: string; readonly expiresMs: number }>;
}

export function serviceAccountTokens(
  keys: ServiceAccountKeys,
  live: LiveObjects,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): ServiceAccountTokens {
  const { issuer, signingKey } = keys;
  const believed = [publicHalf(signingKey), ...keys.olderKeys];
  const set = keySet(believed);
  const algorithms = [...new Set(believed.map(({ algorithm }) => algorithm))];
  const verified = new VerifiedTokens(clock);
  return {
    live,
    async authenticator(token, audiences) {
      if (issuerOf(token) !== issuer) return undefined;
      const verify = () => verifyJwt(token, set, { issuer, algorithms, nowMs: clock.now() });
      const claims = await verified.claims(token, verify);
      const meant = [claims.aud ?? []].flat().filter((audience) => audiences.includes(audience));
      if (meant.length === 0) throw new Error('the token is meant for another audience');
      const { namespace, account, secret } = boundIn(claims);
      const checks = [await liveness(live, 'ServiceAccount', namespace, account)];
      if (secret) checks.push(await liveness(live, 'Secret', namespace, secret));
      return {
        user: userOf(namespace, account, claims),
        expiresMs: (claims.exp ?? 0) * 1000,
        isValid: () => checks.every((isLive) => isLive()),
        audiences: meant,
      };
    },
    async issue({ namespace, account, secret, audiences, seconds }) {
      const now = Math.floor(clock.now() / 1000);
      const claims = {
        aud: [...audiences],
        exp: now + seconds,
        iat: now,
        iss: issuer,
        jti: random.uuid(),
        nbf: now,
        sub: serviceAccountUser(namespace, account.name),
        'kubernetes.io': { namespace, serviceaccount: account, ...(secret ? { secret } : {}) },
      };
      return { token: await signJwt(claims, signingKey), expiresMs: claims.exp * 1000 };
    },
  };
}

function boundIn(claims: Claims): { namespace: string; account: Bound; secret: Bound | undefined } {
  // What this server has signed is of this form.
  const own = claims['kubernetes.io'] as
    | { readonly namespace?: string; readonly serviceaccount?: Bound; readonly secret?: Bound }
    | undefined;
  if (!own?.namespace || !own.serviceaccount) throw new Error('the token names no ServiceAccount');
  return { namespace: own.namespace, account: own.serviceaccount, secret: own.secret };
}

function userOf(namespace: string, { name, uid }: Bound, claims: Claims): User {
  return {
    name: serviceAccountUser(namespace, name),
    uid,
    groups: [...serviceAccountGroups(namespace), authenticatedGroup],
    ...(claims.jti ? { extra: new Map([['authentication.kubernetes.io/credential-id', [`JTI=${claims.jti}`]]]) } : {}),
  };
}

/** Tells from memory, from now on, whether the object is there. Throws if it is not there now. */
async function liveness(
  live: LiveObjects,
  kind: BoundKind,
  namespace: string,
  { name, uid }: Bound,
): Promise<() => boolean> {
  const isThis = (object: StoredObject | undefined) => object?.metadata.uid === uid && !isDeleting(object);
  const inMemory = () => isThis(live.cached(kind, namespace, name));
  if (inMemory()) return inMemory;
  // Memory may be behind: the object may just have been made.
  const stored = await live.read(kind, namespace, name);
  if (!stored || !isThis(stored)) throw new Error(`the ${kind} ${namespace}/${name} of the token is gone`);
  const seen = BigInt(stored.metadata.resourceVersion);
  return () => inMemory() || (live.cachedRev(kind) ?? 0n) < seen;
}

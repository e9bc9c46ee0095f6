/** ID tokens of an OpenID Connect issuer as bearer tokens, configured by the flags of kube-apiserver. */
import type { Clock } from '#lib/std/clock.ts';
import type { Identity } from './authenticate.ts';
import { fetchJson } from './fetch-json.ts';
import { type Claims, issuerOf, type Keys, readKeySet, UnknownKeyError, verifyJwt } from './jwt.ts';
import { authenticatedGroup } from './user.ts';
import { VerifiedTokens } from './verified-tokens.ts';

export interface OidcOptions {
  /** https, as in the tokens' `iss`. */
  readonly issuerUrl: string;
  readonly clientId: string;
  readonly usernameClaim: string;
  /** Before every user name; `-` for none. Without it the issuer and a #, except for the claim email. */
  readonly usernamePrefix: string | undefined;
  readonly groupsClaim: string | undefined;
  readonly groupsPrefix: string;
  /** PEM of the authority that the issuer's certificate is checked by; the system's unless told. */
  readonly ca: string | undefined;
  readonly algorithms: readonly string[];
}

const fetchMs = 10_000;
/** Keys are read again for a token that none of them has signed, or when they could not be read, but no more often than this. */
const refreshMs = 10_000;

/** undefined for a token of another issuer. Rejects for one of this issuer that is not to be believed. */
export function oidcTokens(options: OidcOptions, clock: Clock): (token: string) => Promise<Identity | undefined> {
  const verified = new VerifiedTokens(clock);
  const keys = new IssuerKeys(options, clock);
  return async (token) => {
    if (issuerOf(token) !== options.issuerUrl) return undefined;
    const claims = await verified.claims(token, () => verify(token, options, keys, clock));
    if (![claims.aud ?? []].flat().includes(options.clientId)) throw new Error('the token is meant for another client');
    const groups = [...groupsIn(claims, options), authenticatedGroup];
    return { user: { name: usernameIn(claims, options), groups }, expiresMs: (claims.exp ?? 0) * 1000 };
  };
}

async function verify(token: string, options: OidcOptions, keys: IssuerKeys, clock: Clock): Promise<Claims> {
  const check = async (set: Keys) => {
    const expected = { issuer: options.issuerUrl, algorithms: options.algorithms, nowMs: clock.now() };
    return await verifyJwt(token, set, expected);
  };
  try {
    return await check(await keys.known());
  } catch (error) {
    if (!(error instanceof UnknownKeyError)) throw error;
    return await check(await keys.fresh());
  }
}

/** The issuer's keys, read when the first token comes: an issuer that is down keeps nobody from starting. */
class IssuerKeys {
  readonly #options: OidcOptions;
  readonly #clock: Clock;
  #good: Keys | undefined;
  #last: Promise<Keys> | undefined;
  #againMs = Number.NEGATIVE_INFINITY;

  constructor(options: OidcOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Those that could be read last, even if the issuer is down now. */
  async known(): Promise<Keys> {
    return this.#good ?? (await this.fresh());
  }

  /** Read anew, unless that has just been tried: a flood of tokens is no flood for the issuer. */
  fresh(): Promise<Keys> {
    const now = this.#clock.monotonic();
    if (this.#last && now < this.#againMs) return this.#last;
    this.#againMs = now + refreshMs;
    this.#last = this.#read();
    return this.#last;
  }

  async #read(): Promise<Keys> {
    const { issuerUrl, ca } = this.#options;
    const where = { ca, deadlineMs: fetchMs };
    const discovery = (await fetchJson(`${issuerUrl.replace(/\/$/, '')}/.well-known/openid-configuration`, where)) as {
      readonly issuer?: unknown;
      readonly jwks_uri?: unknown;
    } | null;
    if (discovery?.issuer !== issuerUrl) throw new Error(`The issuer at ${issuerUrl} says that it is another`);
    if (typeof discovery.jwks_uri !== 'string')
      throw new Error(`The issuer at ${issuerUrl} does not say where its keys are`);
    this.#good = readKeySet(await fetchJson(discovery.jwks_uri, where));
    return this.#good;
  }
}

function usernameIn(claims: Claims, { usernameClaim, usernamePrefix, issuerUrl }: OidcOptions): string {
  const value = claims[usernameClaim];
  if (typeof value !== 'string' || value === '') throw new Error(`the token has no claim "${usernameClaim}"`);
  if (usernameClaim === 'email' && claims.email_verified === false) throw new Error('its email is not verified');
  const standard = usernameClaim === 'email' ? '' : `${issuerUrl}#`;
  const prefix = usernamePrefix === undefined ? standard : usernamePrefix === '-' ? '' : usernamePrefix;
  return `${prefix}${value}`;
}

function groupsIn(claims: Claims, { groupsClaim, groupsPrefix }: OidcOptions): string[] {
  const value = groupsClaim === undefined ? [] : claims[groupsClaim];
  const names = typeof value === 'string' ? [value] : Array.isArray(value) ? value : [];
  return names.filter((name) => typeof name === 'string').map((name) => `${groupsPrefix}${name}`);
}

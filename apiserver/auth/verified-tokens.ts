import { createHash } from 'node:crypto';
import type { Clock } from '#lib/std/clock.ts';
import type { Claims } from './jwt.ts';

/** How long a verified signature is remembered, as in Kubernetes: what else makes a token valid is looked at on every request. */
const rememberMs = 10_000;
const maxRemembered = 10_000;

interface Remembered {
  readonly claims: Claims;
  readonly untilMs: number;
}

/** Claims of tokens whose signature was verified a moment ago, by digest: a signature costs more than a request. */
export class VerifiedTokens {
  readonly #byDigest = new Map<string, Remembered>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async claims(token: string, verify: () => Promise<Claims>): Promise<Claims> {
    const digest = createHash('sha256').update(token).digest('base64');
    const now = this.#clock.now();
    const known = this.#byDigest.get(digest);
    if (known && known.untilMs > now) return known.claims;
    this.#byDigest.delete(digest);
    const claims = await verify();
    if (this.#byDigest.size >= maxRemembered) this.#byDigest.delete(this.#byDigest.keys().next().value!);
    this.#byDigest.set(digest, { claims, untilMs: Math.min(now + rememberMs, (claims.exp ?? 0) * 1000) });
    return claims;
  }
}

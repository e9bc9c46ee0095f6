import type { Access } from '#apiserver/auth/access.ts';
import type { ServiceAccountTokens } from '#apiserver/auth/service-account-tokens.ts';
import type { Caches } from '#apiserver/storage/caches.ts';
import type { Store } from '#apiserver/store/store.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';

/** What every verb needs of the server. */
export interface ServerContext {
  readonly access: Access;
  /** undefined for a server that signs no tokens. */
  readonly serviceAccountTokens: ServiceAccountTokens | undefined;
  readonly store: Store;
  readonly caches: Caches;
  readonly clock: Clock;
  readonly random: Random;
}

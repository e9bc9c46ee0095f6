import type { Rev } from '#apiserver/store/store.ts';

/** What a cache knows of one key, for comparing it with the store. */
export interface Known {
  /** Revision of the object in the cache, undefined if it is not there. */
  readonly rev: Rev | undefined;
  /** Revision of the newest deletion that the cache has heard of, as far back as it remembers. */
  readonly deletedRev: Rev | undefined;
}

/**
 * The keys in which a cache is behind the store as it was listed at `listRev`, or shows what the store never had. A cache that is ahead
 * of the list is in order. It may also be behind for an innocent reason: the events are on their way. So ask again, later, about the
 * same list.
 */
export function keysBehind(
  listed: ReadonlyMap<string, Rev>,
  listRev: Rev,
  cachedKeys: Iterable<string>,
  known: (key: string) => Known,
): string[] {
  const behind: string[] = [];
  for (const [key, rev] of listed) {
    const { rev: cachedRev = -1n, deletedRev = -1n } = known(key);
    const missing = cachedRev < rev && deletedRev < rev;
    const neverWas = cachedRev > rev && cachedRev <= listRev;
    if (missing || neverWas) behind.push(key);
  }
  for (const key of cachedKeys) {
    const { rev } = known(key);
    if (!listed.has(key) && rev !== undefined && rev <= listRev) behind.push(key);
  }
  return behind;
}

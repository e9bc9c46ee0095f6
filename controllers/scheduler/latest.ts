/** A cache that knows our own writes at once: what it gives is never older than what we wrote ourselves. */
import { type KubeObject, keyOf } from '#lib/api/meta.ts';
import type { Cache } from '#lib/client/cache.ts';

export interface Latest<T extends KubeObject> {
  get(key: string): T | undefined;
  byUid(uid: string): T | undefined;
  list(): readonly T[];
  /** The server's answer to a write of ours. */
  wrote(object: T): void;
  /** The cache has heard of this object: our own copy is dropped once it is not newer. */
  heard(object: T): void;
  /** The object is gone. */
  dropped(key: string): void;
}

/** resourceVersions are revisions of the store and may be compared as numbers (Kubernetes 1.35 says so for every server). */
function isNewer(a: KubeObject, b: KubeObject): boolean {
  return BigInt(a.metadata.resourceVersion) > BigInt(b.metadata.resourceVersion);
}

export function latest<T extends KubeObject>(cache: Cache<T>): Latest<T> {
  const own = new Map<string, T>();

  function newest(key: string, cached: T | undefined): T | undefined {
    const mine = own.get(key);
    if (mine === undefined || cached === undefined) return cached;
    return mine.metadata.uid === cached.metadata.uid && isNewer(mine, cached) ? mine : cached;
  }

  return {
    get: (key) => newest(key, cache.get(key)),
    byUid(uid) {
      const cached = cache.byUid(uid);
      return cached && newest(keyOf(cached), cached);
    },
    list: () => cache.list().map((object) => newest(keyOf(object), object)!),
    wrote: (object) => void own.set(keyOf(object), object),
    heard(object) {
      const mine = own.get(keyOf(object));
      if (mine && !isNewer(mine, object)) own.delete(keyOf(object));
    },
    dropped: (key) => void own.delete(key),
  };
}

/** One watch cache per resource, made at first use. */
import { WatchCache } from '#apiserver/cache/watch-cache.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import type { Store } from '#apiserver/store/store.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { decode } from './codec.ts';
import { prefixOf } from './keys.ts';

export type ObjectCache = WatchCache<StoredObject>;

export interface Caches extends Disposable {
  /** Never loaded at once: wait for it, or read from the store. */
  of(resource: Resource): ObjectCache;
}

export interface CachesOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export function createCaches(options: CachesOptions): Caches {
  const caches = new Map<Resource, ObjectCache>();
  return {
    of(resource) {
      const known = caches.get(resource);
      if (known) return known;
      const cache = new WatchCache<StoredObject>({
        ...options,
        prefix: prefixOf(resource),
        decode: (kv) => decode(kv.value, kv.modRev, resource),
        atRevision: (object, rev) => ({ ...object, metadata: { ...object.metadata, resourceVersion: String(rev) } }),
      });
      caches.set(resource, cache);
      return cache;
    },
    [Symbol.dispose]() {
      for (const cache of caches.values()) cache[Symbol.dispose]();
      caches.clear();
    },
  };
}

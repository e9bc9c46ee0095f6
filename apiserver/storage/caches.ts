/** One watch cache per kind, whatever the number of its versions. */
import { WatchCache } from '#apiserver/cache/watch-cache.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import type { Store } from '#apiserver/store/store.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { decodeStored, isStorageVersion } from './codec.ts';
import { keyOf, prefixOf } from './keys.ts';
import { type ObjectCache, versionView } from './version-view.ts';

export interface Caches extends Disposable {
  /** Never loaded at once: wait for it, or read from the store. */
  of(resource: Resource): ObjectCache;
  /** What is known of an object without asking the store: a moment old, and nothing while the cache is loading. */
  peek(
    place: Pick<Resource, 'group' | 'plural'>,
    namespace: string | undefined,
    name: string,
  ): StoredObject | undefined;
  /**
   * Says which resources there are from now on. Caches of new ones begin to load. Those of resources that are gone or defined anew end,
   * and with them the watches of their clients, who come back for the new definition.
   */
  follow(resources: readonly Resource[]): void;
  /** The revision that all caches have reached; undefined while none is loaded. */
  reached(): bigint | undefined;
}

export interface CachesOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface Slot {
  /** Says how objects are read: any version will do, as all are made together, from one definition. */
  readonly resource: Resource;
  readonly cache: WatchCache<StoredObject>;
}

export function createCaches(options: CachesOptions): Caches {
  const slots = new Map<string, Slot>();
  const open = (resource: Resource): Slot => {
    const prefix = prefixOf(resource);
    const cache = new WatchCache<StoredObject>({
      ...options,
      prefix,
      decode: (kv) => decodeStored(kv.value, kv.modRev, resource),
      atRevision: (object, rev) => ({ ...object, metadata: { ...object.metadata, resourceVersion: String(rev) } }),
    });
    const slot = { resource, cache };
    slots.set(prefix, slot);
    return slot;
  };
  const close = (prefix: string, { cache }: Slot) => {
    slots.delete(prefix);
    cache[Symbol.dispose]();
  };
  return {
    of(resource) {
      const { cache } = slots.get(prefixOf(resource)) ?? open(resource);
      return isStorageVersion(resource) ? cache : versionView(cache, resource);
    },
    peek: (place, namespace, name) => slots.get(prefixOf(place))?.cache.get(keyOf(place, namespace, name))?.object,
    follow(resources) {
      const first = new Map<string, Resource>();
      for (const resource of resources) if (!first.has(prefixOf(resource))) first.set(prefixOf(resource), resource);
      for (const [prefix, slot] of slots) if (!isSameDefinition(first.get(prefix), slot.resource)) close(prefix, slot);
      for (const [prefix, resource] of first) if (!slots.has(prefix)) open(resource);
    },
    reached() {
      const revs = [...slots.values()].flatMap(({ cache }) => cache.rev ?? []);
      return revs.sort((a, b) => (a < b ? -1 : 1))[0];
    },
    [Symbol.dispose]() {
      for (const [prefix, slot] of slots) close(prefix, slot);
    },
  };
}

/** Resources made from one definition share its schema. */
function isSameDefinition(one: Resource | undefined, other: Resource): boolean {
  return one?.storageSchema === other.storageSchema;
}

/** A watch cache as clients of another version see it: the same objects, converted when somebody looks. */
import type { Batch } from '#apiserver/cache/client-watch.ts';
import type { Cached, CacheEvent } from '#apiserver/cache/events.ts';
import type { WatchCache } from '#apiserver/cache/watch-cache.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { apiVersionOf, type Resource } from '#apiserver/resources/resource.ts';
import { inVersion } from './codec.ts';

/** What verbs use of a watch cache. */
export interface ObjectCache
  extends Pick<WatchCache<StoredObject>, 'rev' | 'size' | 'get' | 'list' | 'waitFor' | 'isCurrent'> {
  watch(...arguments_: Parameters<WatchCache<StoredObject>['watch']>): ObjectWatch;
}

/** What verbs use of a client's watch. */
export interface ObjectWatch extends AsyncIterable<Batch<StoredObject>>, Disposable {
  readonly bookmarkRev: bigint | undefined;
}

export function versionView(cache: WatchCache<StoredObject>, resource: Resource): ObjectCache {
  const entryOf = (entry: Cached<StoredObject>) => convertEntry(entry, resource);
  return {
    get rev() {
      return cache.rev;
    },
    get size() {
      return cache.size;
    },
    get(key) {
      const entry = cache.get(key);
      return entry && entryOf(entry);
    },
    list(prefix) {
      const { entries, rev } = cache.list(prefix);
      return { entries: entries.map(entryOf), rev };
    },
    waitFor: (rev, timeoutMs) => cache.waitFor(rev, timeoutMs),
    isCurrent: (timeoutMs) => cache.isCurrent(timeoutMs),
    watch(from, { wants, ...options } = {}) {
      const watch = cache.watch(from, {
        ...options,
        ...(wants ? { wants: (event) => wants(convertEvent(event, resource)) } : {}),
      });
      return {
        get bookmarkRev() {
          return watch.bookmarkRev;
        },
        [Symbol.asyncIterator]: () => convertBatches(watch, resource),
        [Symbol.dispose]: () => watch[Symbol.dispose](),
      };
    },
  };
}

async function* convertBatches(
  batches: AsyncIterable<Batch<StoredObject>>,
  resource: Resource,
): AsyncGenerator<Batch<StoredObject>> {
  for await (const batch of batches)
    yield { ...batch, events: batch.events.map((event) => convertEvent(event, resource)) };
}

function convertEvent(event: CacheEvent<StoredObject>, resource: Resource): CacheEvent<StoredObject> {
  const entry = convertEntry(event.entry, resource);
  if (event.type === 'ADDED') return { ...event, entry };
  return { ...event, entry, prev: convertEntry(event.prev, resource) };
}

/** Converted once and kept with the state that it was made from, for as long as that is remembered. */
function convertEntry(entry: Cached<StoredObject>, resource: Resource): Cached<StoredObject> {
  const key = `version;${apiVersionOf(resource)}`;
  const known = entry.memo.get(key) as Cached<StoredObject> | undefined;
  if (known) return known;
  const converted = { ...entry, object: inVersion(entry.object, resource), memo: new Map<string, unknown>() };
  entry.memo.set(key, converted);
  return converted;
}

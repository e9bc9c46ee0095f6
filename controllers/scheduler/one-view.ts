/** Several selections of one kind, read as if they were one. */
import { type KubeObject, keyOf } from '#lib/api/meta.ts';
import type { Cache } from '#lib/client/cache.ts';

export type View<T extends KubeObject> = Pick<Cache<T>, 'get' | 'byUid' | 'list'>;

/** resourceVersions are revisions of the store and may be compared as numbers (Kubernetes 1.35 says so for every server). */
export function isNewer(a: KubeObject, b: KubeObject): boolean {
  return BigInt(a.metadata.resourceVersion) > BigInt(b.metadata.resourceVersion);
}

/** While an object moves from one to another, both may have it for a moment: the newer state counts. */
export function oneView<T extends KubeObject>(caches: readonly Cache<T>[]): View<T> {
  const newer = (a: T | undefined, b: T | undefined) => (a && b ? (isNewer(b, a) ? b : a) : (a ?? b));
  return {
    get: (key) => caches.map((cache) => cache.get(key)).reduce(newer, undefined),
    byUid: (uid) => caches.map((cache) => cache.byUid(uid)).reduce(newer, undefined),
    list() {
      const [first, ...others] = caches.map((cache) => cache.list());
      if (others.length === 0) return first ?? [];
      const found = new Map<string, T>();
      for (const object of [first ?? [], ...others].flat())
        found.set(keyOf(object), newer(found.get(keyOf(object)), object)!);
      return [...found.values()];
    },
  };
}

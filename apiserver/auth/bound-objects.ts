/** The objects that ServiceAccount tokens are bound to, and the news that one of them is gone. */
import { isDeleting, type StoredObject } from '#apiserver/json/object.ts';
import type { Registry } from '#apiserver/resources/registry.ts';
import type { Caches } from '#apiserver/storage/caches.ts';
import { type FollowOptions, follow } from '#apiserver/storage/follow.ts';
import { keyOf } from '#apiserver/storage/keys.ts';
import { readObject } from '#apiserver/storage/objects.ts';
import type { Store } from '#apiserver/store/store.ts';
import { isCode } from '#lib/std/errors.ts';
import type { BoundKind, LiveObjects } from './service-account-tokens.ts';

const plurals: Readonly<Record<BoundKind, string>> = { ServiceAccount: 'serviceaccounts', Secret: 'secrets' };

export function boundObjects(store: Store, caches: Caches, registry: Registry): LiveObjects {
  const resourceOf = (kind: BoundKind) => {
    const resource = registry.find('', 'v1', plurals[kind]);
    if (!resource) throw new Error(`${kind} is not served`);
    return resource;
  };
  return {
    cached: (kind, namespace, name) => {
      const resource = resourceOf(kind);
      return caches.of(resource).get(keyOf(resource, namespace, name))?.object;
    },
    cachedRev: (kind) => caches.of(resourceOf(kind)).rev,
    async read(kind, namespace, name) {
      try {
        return await readObject(store, { resource: resourceOf(kind), namespace, name });
      } catch (error) {
        if (isCode(error, 'NotFound')) return undefined;
        throw error;
      }
    },
  };
}

/** Tells when an object that tokens may be bound to has gone or is going. */
export function followBoundObjects(
  caches: Caches,
  registry: Registry,
  gone: () => void,
  options: FollowOptions,
): Disposable {
  const stack = new DisposableStack();
  const follower = {
    put: (object: StoredObject) => {
      if (isDeleting(object)) gone();
    },
    remove: () => gone(),
    changed() {},
  };
  for (const resource of registry.of({ group: '', version: 'v1' }))
    if (Object.values(plurals).includes(resource.plural))
      stack.use(follow(() => caches.of(resource), follower, options));
  return stack;
}

/** Tells when a Cluster is gone: its cluster server may then see no machines of others any more, also not by a watch that goes on. */
import type { Registry } from '#apiserver/resources/registry.ts';
import type { Caches } from '#apiserver/storage/caches.ts';
import { type FollowOptions, follow } from '#apiserver/storage/follow.ts';
import { group, version } from '#lib/api/names.ts';

export function followClusters(
  caches: Caches,
  registry: Registry,
  gone: () => void,
  options: FollowOptions,
): Disposable {
  // Looked up anew each time: a definition that changes has another cache.
  const source = () => {
    const clusters = registry.find(group, version, 'clusters');
    return clusters && caches.of(clusters);
  };
  return follow(source, { put() {}, remove: gone, changed() {} }, options);
}

/** Aggregated discovery, apidiscovery.k8s.io/v2: everything in two answers. */
import type { JsonObject } from '#apiserver/json/json.ts';
import type { Registry } from '#apiserver/resources/registry.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { subresourcesOf, verbsOf } from './legacy.ts';

/** What an Accept range must say to get it. v2beta1 clients are content with the old documents. */
export function wantsAggregated(accept: string | undefined): boolean {
  return (accept ?? '')
    .split(',')
    .map((range) => range.split(';').map((part) => part.trim()))
    .some((parts) => parts.includes('as=APIGroupDiscoveryList') && parts.includes('v=v2'));
}

export const aggregatedType = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** Of the core group for /api, of all others for /apis. */
export function groupDiscoveryList(registry: Registry, core: boolean): JsonObject {
  const groups = registry.groups().filter(({ group }) => (group === '') === core);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items: groups.map(({ group, versions }) => ({
      metadata: group === '' ? {} : { name: group },
      versions: versions.map((version) => ({
        version,
        freshness: 'Current',
        resources: registry.of({ group, version }).map(resourceEntry),
      })),
    })),
  };
}

function resourceEntry(resource: Resource): JsonObject {
  const { group, version, kind, plural, singular, namespaced, shortNames, categories } = resource;
  const subresources = subresourcesOf(resource).map((sub) => ({
    subresource: sub.name,
    responseKind: { ...sub.kind },
    verbs: sub.verbs,
  }));
  return {
    resource: plural,
    responseKind: { group, version, kind },
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs: verbsOf(resource),
    ...(shortNames.length > 0 ? { shortNames: [...shortNames] } : {}),
    ...(categories.length > 0 ? { categories: [...categories] } : {}),
    ...(subresources.length > 0 ? { subresources } : {}),
  };
}

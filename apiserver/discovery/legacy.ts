/** Discovery as Kubernetes has always done it: APIVersions, APIGroupList, APIGroup, APIResourceList. */
import { createHash } from 'node:crypto';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { Group, GroupVersion, Registry } from '#apiserver/resources/registry.ts';
import { apiVersionOf, isServiceAccount, type Resource, type Verb } from '#apiserver/resources/resource.ts';

export function apiVersions(): JsonObject {
  return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
}

export function apiGroupList(registry: Registry): JsonObject {
  const groups = registry.groups().filter(({ group }) => group !== '');
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(groupEntry) };
}

/** undefined for a group that is not served. */
export function apiGroup(registry: Registry, name: string): JsonObject | undefined {
  const group = registry.groups().find((known) => known.group === name && name !== '');
  return group ? { kind: 'APIGroup', apiVersion: 'v1', ...groupEntry(group) } : undefined;
}

function groupEntry({ group, versions }: Group): JsonObject {
  const entries = versions.map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions: entries, preferredVersion: entries[0] ?? {} };
}

/** undefined for a group or version that is not served. */
export function apiResourceList(registry: Registry, at: GroupVersion): JsonObject | undefined {
  const resources = registry.of(at);
  if (resources.length === 0) return undefined;
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf(at),
    resources: resources.flatMap(resourceEntries),
  };
}

function resourceEntries(resource: Resource): JsonObject[] {
  const { plural, singular, namespaced, kind, shortNames, categories } = resource;
  const main = {
    name: plural,
    singularName: singular,
    namespaced,
    kind,
    verbs: verbsOf(resource),
    ...(shortNames.length > 0 ? { shortNames: [...shortNames] } : {}),
    ...(categories.length > 0 ? { categories: [...categories] } : {}),
    storageVersionHash: storageVersionHash(resource),
  };
  return [main, ...subresourceEntries(resource)];
}

/** A kind that is going away is not written any more, though finalizers may still be taken off its objects. */
export function verbsOf({ verbs, terminating }: Resource): Verb[] {
  return verbs.filter((verb) => !terminating || (verb !== 'create' && verb !== 'update' && verb !== 'patch'));
}

/** By which clients see that objects are stored in another version than before (apiserver, endpoints/discovery/storageversionhash.go). */
function storageVersionHash({ group, storageVersion, kind }: Resource): string {
  return createHash('sha256').update(`${group}/${storageVersion}/${kind}`).digest().subarray(0, 8).toString('base64');
}

/** The subresources of a resource: their name, what they answer with and their verbs. */
export function subresourcesOf(
  resource: Resource,
): { readonly name: string; readonly kind: GroupVersion & { readonly kind: string }; readonly verbs: string[] }[] {
  const own = { group: resource.group, version: resource.version, kind: resource.kind };
  const list = [];
  if (resource.status) list.push({ name: 'status', kind: own, verbs: ['get', 'patch', 'update'] });
  if (resource.scale) {
    const kind = { group: 'autoscaling', version: 'v1', kind: 'Scale' };
    list.push({ name: 'scale', kind, verbs: ['get', 'patch', 'update'] });
  }
  if (isServiceAccount(resource)) {
    const kind = { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' };
    list.push({ name: 'token', kind, verbs: ['create'] });
  }
  if (resource.finalize) list.push({ name: 'finalize', kind: own, verbs: ['update'] });
  return list;
}

function subresourceEntries(resource: Resource): JsonObject[] {
  return subresourcesOf(resource).map(({ name, kind, verbs }) => ({
    name: `${resource.plural}/${name}`,
    singularName: '',
    namespaced: resource.namespaced,
    ...(kind.group === resource.group ? {} : { group: kind.group, version: kind.version }),
    kind: kind.kind,
    verbs,
  }));
}

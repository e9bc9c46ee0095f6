/**
 * Confines each cluster server to what is bound to its own Cluster, as Kubernetes' node authorizer confines a kubelet to its node: it runs in
 * somebody else's data center. Its role says what cluster servers do; this says on which objects, and refuses whatever else roles may
 * give. Decided from the watch caches, in constant time. What a write makes of an object is looked at by admission (admit.ts).
 */
import type { ResourceAttributes } from '#apiserver/auth/attributes.ts';
import type { Authorizer, Decision } from '#apiserver/auth/authorize.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { Registry } from '#apiserver/resources/registry.ts';
import type { Caches } from '#apiserver/storage/caches.ts';
import { keyOf } from '#apiserver/storage/keys.ts';
import { clusterServerLease, group, hostOfConsoleSecret, systemNamespace, version } from '#lib/api/names.ts';
import { isHostOf, isImageOf, isMachineFor, isMachineOf, isOpenMachine, isOperationFor, isVolumeOf } from './bound.ts';
import { clusterServerOf } from './identity.ts';

/** An object of one of our own kinds as it was last heard of; undefined if it is not there. */
export type Find = (plural: string, namespace: string | undefined, name: string) => JsonObject | undefined;

export function cachedObjects(caches: Caches, registry: Registry): Find {
  return (plural, namespace, name) => {
    const resource = registry.find(group, version, plural);
    return resource && caches.of(resource).get(keyOf(resource, namespace, name))?.object;
  };
}

/** Whether a machine whose attempt is on the Cluster takes something from the Secret. */
export type IsSecretUsed = (cluster: string, namespace: string, name: string) => boolean;

type Rule = (cluster: string, request: ResourceAttributes, find: Find, isSecretUsed: IsSecretUsed) => boolean;
type Bound = (object: JsonObject, cluster: string) => boolean;

const noOpinion: Decision = { verdict: 'none' };
const reads = new Set(['get', 'list', 'watch']);
const isLook = ({ verb }: ResourceAttributes) => verb === 'list' || verb === 'watch';

export function confineClusterServers(find: Find, isSecretUsed: IsSecretUsed): Authorizer {
  return (user, attributes) => {
    const server = clusterServerOf(user);
    if (!server || 'path' in attributes || isOpenToAll(attributes)) return noOpinion;
    const { cluster } = server;
    if (cluster === undefined) return { verdict: 'deny', reason: 'this cluster server is of no Cluster' };
    const rule = rules.get(`${attributes.group}/${attributes.resource}`);
    if (rule?.(cluster, attributes, find, isSecretUsed)) return noOpinion;
    return { verdict: 'deny', reason: `a cluster server may touch only what is bound to its Cluster "${cluster}"` };
  };
}

/** Who one is and what one may do; sizes are no secret. */
function isOpenToAll({ group: inGroup, resource, verb }: ResourceAttributes): boolean {
  if (inGroup === group) return resource === 'instancetypes' && reads.has(verb);
  return verb === 'create' && selfReviews.has(`${inGroup}/${resource}`);
}

const selfReviews = new Set([
  'authentication.k8s.io/selfsubjectreviews',
  'authorization.k8s.io/selfsubjectaccessreviews',
  'authorization.k8s.io/selfsubjectrulesreviews',
]);

const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['/namespaces', (_cluster, { verb, name }) => verb === 'get' && name === systemNamespace],
  ['/secrets', secrets],
  [
    'coordination.k8s.io/leases',
    (cluster, { verb, namespace, name }) =>
      namespace === systemNamespace && (verb === 'create' || name === clusterServerLease(cluster)),
  ],
  [`${group}/clusters`, (cluster, { name }) => name === cluster],
  [
    `${group}/hosts`,
    (cluster, request, find) =>
      isLook(request)
        ? isRestricted(request, { 'spec.cluster': cluster })
        : request.verb === 'create' || isBound(isHostOf, cluster, request, find),
  ],
  // Every Image has a row for every Cluster: each imports them all.
  [
    `${group}/images`,
    (cluster, request, find) =>
      reads.has(request.verb) ? isThere(cluster, find) : isBound(isImageOf, cluster, request, find),
  ],
  [`${group}/virtualmachines`, machines],
  [`${group}/vmoperations`, operations],
  [`${group}/vmsnapshots`, operations],
  [`${group}/vmrestores`, operations],
  [
    `${group}/volumes`,
    (cluster, request, find) =>
      isLook(request)
        ? isRestricted(request, { 'spec.cluster': cluster })
        : isBound(isVolumeOf, cluster, request, find),
  ],
]);

function operations(cluster: string, request: ResourceAttributes, find: Find): boolean {
  return isLook(request)
    ? isRestricted(request, { 'status.cluster': cluster })
    : isBound(isOperationFor, cluster, request, find);
}

function machines(cluster: string, request: ResourceAttributes, find: Find): boolean {
  if (isLook(request))
    return (
      isRestricted(request, { 'spec.placement.cluster': cluster }) ||
      isRestricted(request, { 'status.attempt.cluster': cluster }) ||
      (isRestricted(request, openMachines) && isThere(cluster, find))
    );
  const isOwn = request.verb === 'get' ? isMachineFor : isMachineOf;
  const isOpen = (machine: JsonObject) => isOpenMachine(machine) && isThere(cluster, find);
  return isBound((machine) => isOwn(machine, cluster) || isOpen(machine), cluster, request, find);
}

const openMachines = { 'spec.placement.cluster': '', 'status.attempt.cluster': '', 'status.phase': 'Scheduling' };

/** What is open to any Cluster is not open to one that is gone. */
function isThere(cluster: string, find: Find): boolean {
  return find('clusters', undefined, cluster) !== undefined;
}

/** One of those that its machines need, to read it; or what opens the consoles of its own hosts, and only to write it. */
function secrets(
  cluster: string,
  { verb, namespace = '', name }: ResourceAttributes,
  find: Find,
  isSecretUsed: IsSecretUsed,
): boolean {
  if (verb === 'get') return name !== undefined && isSecretUsed(cluster, namespace, name);
  if (namespace !== systemNamespace || reads.has(verb)) return false;
  if (verb === 'create') return true;
  const host = name === undefined ? undefined : hostOfConsoleSecret(name);
  const found = host === undefined ? undefined : find('hosts', undefined, host);
  return found !== undefined && isHostOf(found, cluster);
}

/** The list or watch shows only objects with these values. */
function isRestricted({ fieldSelector = [] }: ResourceAttributes, fields: Readonly<Record<string, string>>): boolean {
  return Object.entries(fields).every(([field, wanted]) =>
    fieldSelector.some(({ label, equal, value }) => label === field && equal && value === wanted),
  );
}

function isBound(bound: Bound, cluster: string, request: ResourceAttributes, find: Find): boolean {
  const { resource, namespace, name } = request;
  const object = name === undefined ? undefined : find(resource, namespace, name);
  return object !== undefined && bound(object, cluster);
}

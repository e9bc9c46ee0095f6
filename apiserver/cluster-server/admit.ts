/** What a cluster server may make of the objects that it may touch, as Kubernetes' NodeRestriction: bound to its own Cluster, before and after. */
import { lookUp, ours } from '#apiserver/admission/look-up.ts';
import type { AdmissionRequest } from '#apiserver/admission/rules.ts';
import { forbiddenObject } from '#apiserver/http/status.ts';
import { atPath } from '#apiserver/json/json.ts';
import { textIn } from '#apiserver/json/members.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import {
  clusterServerLease,
  group,
  hostObjectName,
  hostOfConsoleSecret,
  labels,
  systemNamespace,
} from '#lib/api/names.ts';
import { sameJson } from '#lib/std/same-json.ts';
import {
  besidesHosts,
  besidesReport,
  besidesRow,
  isHostOf,
  isImageOf,
  isMachineOf,
  isOpenMachine,
  isOperationFor,
  isVolumeOf,
} from './bound.ts';

/** Why the write is refused; undefined if it is not. `old` is undefined for an object that is new. */
type Restriction = (
  object: ApiObject,
  old: StoredObject | undefined,
  cluster: string,
  request: AdmissionRequest,
) => Promise<string | undefined> | string | undefined;

/** Forbidden, unless the object is and stays bound to this Cluster; undefined: the server is of none. */
export async function restrictClusterServer(
  object: ApiObject,
  old: StoredObject | undefined,
  cluster: string | undefined,
  request: AdmissionRequest,
): Promise<void> {
  const { resource } = request;
  const restriction = restrictions.get(`${resource.group}/${resource.plural}`);
  const why =
    cluster === undefined || !restriction
      ? 'cluster servers do not write this kind'
      : await restriction(object, old, cluster, request);
  if (why !== undefined) throw forbiddenObject(resource, object.metadata.name ?? '', why);
}

const restrictions: ReadonlyMap<string, Restriction> = new Map<string, Restriction>([
  ['/secrets', consoleSecret],
  [
    'coordination.k8s.io/leases',
    ({ metadata }, _old, cluster) =>
      metadata.name === clusterServerLease(cluster) && metadata.namespace === systemNamespace
        ? undefined
        : `a cluster server has one lease, ${systemNamespace}/${clusterServerLease(cluster)}`,
  ],
  [
    `${group}/clusters`,
    ({ metadata }, old, cluster) => (old && metadata.name === cluster ? undefined : notBound(cluster)),
  ],
  [`${group}/hosts`, host],
  [`${group}/images`, imageRow],
  [`${group}/virtualmachines`, machine],
  [`${group}/vmoperations`, operation],
  [`${group}/vmsnapshots`, diskWork],
  [`${group}/vmrestores`, diskWork],
  [`${group}/volumes`, volume],
]);

const notBound = (cluster: string) => `it is not bound to Cluster "${cluster}"`;
const leaves = (cluster: string) => `it would not be bound to Cluster "${cluster}" any more`;

/** Where it is to run is its owner's to say; who may launch it is said by its attempt. */
function machine(object: ApiObject, old: StoredObject | undefined, cluster: string): string | undefined {
  if (!old || !(isMachineOf(old, cluster) || isOpenMachine(old))) return notBound(cluster);
  const wanted = ['spec', 'placement', 'cluster'];
  if (!sameJson(atPath(object, wanted), atPath(old, wanted))) return 'a cluster server does not say where it is to run';
  const attempt = atPath(object, ['status', 'attempt']);
  return attempt === undefined || atPath(attempt, ['cluster']) === cluster ? undefined : leaves(cluster);
}

function operation(object: ApiObject, old: StoredObject | undefined, cluster: string): string | undefined {
  if (!old || !isOperationFor(old, cluster)) return notBound(cluster);
  const machineUid = ['status', 'vmUID'];
  return isOperationFor(object, cluster) && sameJson(atPath(object, machineUid), atPath(old, machineUid))
    ? undefined
    : leaves(cluster);
}

/** Which machine and which disk is meant was stored before a host is told, by whoever may. */
function diskWork(object: ApiObject, old: StoredObject | undefined, cluster: string): string | undefined {
  if (!old || !isOperationFor(old, cluster)) return notBound(cluster);
  return sameJson(besidesReport(object), besidesReport(old))
    ? undefined
    : 'a cluster server writes only what its hosts tell of snapshots and restores';
}

/** Named after its Cluster, and nobody's dependent: it could hold up the deletion of what it names as its owner. */
function host(object: ApiObject, old: StoredObject | undefined, cluster: string): string | undefined {
  if (!isHostOf(object, cluster) || (old && !isHostOf(old, cluster))) return notBound(cluster);
  const { name, labels: own = {}, ownerReferences = [] } = object.metadata;
  const expected = hostObjectName(cluster, String(atPath(object, ['spec', 'hostname']) ?? ''));
  if (name !== expected) return `a host of Cluster "${cluster}" is named after both: ${expected}`;
  if ((own[labels.cluster] ?? cluster) !== cluster) return `its label ${labels.cluster} names another Cluster`;
  return old || ownerReferences.length === 0 ? undefined : 'a host that a cluster server makes has no owner';
}

function imageRow(object: ApiObject, old: StoredObject | undefined, cluster: string): string | undefined {
  if (!old || !isImageOf(old, cluster) || !isImageOf(object, cluster)) return notBound(cluster);
  return sameJson(besidesRow(object, cluster), besidesRow(old, cluster))
    ? undefined
    : `a cluster server writes only the row of its Cluster "${cluster}"`;
}

/** Who may write to a disk is not for one that runs in somebody else's data center to say. */
function volume(object: ApiObject, old: StoredObject | undefined, cluster: string): string | undefined {
  if (!old || !isVolumeOf(old, cluster)) return notBound(cluster);
  return sameJson(besidesHosts(object), besidesHosts(old))
    ? undefined
    : 'a cluster server writes only what its hosts tell of a Volume';
}

/** It goes with its Host. */
async function consoleSecret(
  object: ApiObject,
  _old: StoredObject | undefined,
  cluster: string,
  { context }: AdmissionRequest,
): Promise<string | undefined> {
  const { name = '', namespace, ownerReferences = [] } = object.metadata;
  const hostName = namespace === systemNamespace ? hostOfConsoleSecret(name) : undefined;
  const found = hostName === undefined ? undefined : await lookUp(context, ours('hosts'), undefined, hostName);
  if (!found || !isHostOf(found, cluster)) return notBound(cluster);
  const [owner, ...others] = ownerReferences;
  if (owner?.uid !== found.metadata.uid || others.length > 0) return `its one owner must be the Host "${hostName}"`;
  return textIn(object, 'type') === 'Opaque' ? undefined : 'its type must be Opaque';
}

/** The cells of the authorization matrix: every request that is worth sending, and what it takes to be allowed. */
import type { Who, Wish } from './oracle.ts';

export interface Cell {
  readonly who: Who;
  readonly token: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: object;
  /** All of them are needed. */
  readonly wishes: readonly Wish[];
}

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly parts: readonly string[];
}

const kind = (
  group: string,
  version: string,
  name: string,
  plural: string,
  namespaced = true,
  parts: readonly string[] = [],
): Kind => ({
  group,
  version,
  kind: name,
  plural,
  namespaced,
  parts,
});
const factory = 'computefactory.io';
const rbac = 'rbac.authorization.k8s.io';

export const kinds: readonly Kind[] = [
  kind('', 'v1', 'ConfigMap', 'configmaps'),
  kind('', 'v1', 'Secret', 'secrets'),
  kind('', 'v1', 'Event', 'events'),
  kind('coordination.k8s.io', 'v1', 'Lease', 'leases'),
  kind(rbac, 'v1', 'Role', 'roles'),
  kind(rbac, 'v1', 'RoleBinding', 'rolebindings'),
  kind(factory, 'v1alpha1', 'ComputeFactory', 'computefactories', true, ['status', 'scale']),
  kind(factory, 'v1alpha1', 'VMPool', 'vmpools', true, ['status', 'scale']),
  kind(factory, 'v1alpha1', 'VirtualMachine', 'virtualmachines', true, ['status']),
  kind(factory, 'v1alpha1', 'VMOperation', 'vmoperations', true, ['status']),
  kind(factory, 'v1alpha1', 'VMSnapshot', 'vmsnapshots', true, ['status']),
  kind(factory, 'v1alpha1', 'VMRestore', 'vmrestores', true, ['status']),
  kind(factory, 'v1alpha1', 'Subnet', 'subnets', true, ['status']),
  kind(factory, 'v1alpha1', 'Image', 'images', true, ['status']),
  kind(factory, 'v1alpha1', 'Volume', 'volumes', true, ['status']),
  kind(factory, 'v1alpha1', 'IPLease', 'ipleases', true, ['status']),
  kind('', 'v1', 'Namespace', 'namespaces', false, ['status', 'finalize']),
  kind(factory, 'v1alpha1', 'Cluster', 'clusters', false, ['status']),
  kind(factory, 'v1alpha1', 'Host', 'hosts', false, ['status']),
  kind(factory, 'v1alpha1', 'InstanceType', 'instancetypes', false),
  kind(rbac, 'v1', 'ClusterRole', 'clusterroles', false),
  kind(rbac, 'v1', 'ClusterRoleBinding', 'clusterrolebindings', false),
  kind('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition', 'customresourcedefinitions', false, ['status']),
  // Served nowhere: refused all the same, as if it might be.
  kind('', 'v1', 'Pod', 'pods', true, ['log']),
];

const base = ({ group, version }: Kind) => (group === '' ? `/api/${version}` : `/apis/${group}/${version}`);
const dry = 'dryRun=All';
const merge = { 'content-type': 'application/merge-patch+json' };
const apply = { 'content-type': 'application/apply-patch+yaml' };

type Request = Omit<Cell, 'who' | 'token'>;

function requestsOn(target: Kind, namespace: string | undefined): Request[] {
  const { group, version, plural, parts } = target;
  const place = namespace === undefined ? {} : { namespace };
  const collection =
    namespace === undefined ? `${base(target)}/${plural}` : `${base(target)}/namespaces/${namespace}/${plural}`;
  const wish = (verb: string, name?: string, part?: string): Wish => ({
    verb,
    group,
    resource: part === undefined ? plural : `${plural}/${part}`,
    ...place,
    ...(plural === 'namespaces' && name !== undefined ? { namespace: name } : {}),
    ...(name === undefined ? {} : { name }),
  });
  const object = (metadata: object) => ({
    apiVersion: group === '' ? version : `${group}/${version}`,
    kind: target.kind,
    metadata,
  });
  const name = 'one';
  const one = `${collection}/${name}`;
  const body = object({ name });
  const all: Request[] = [
    { method: 'GET', path: collection, wishes: [wish('list')] },
    { method: 'GET', path: `${collection}?watch=1&resourceVersion=0`, wishes: [wish('watch')] },
    { method: 'GET', path: `${collection}?fieldSelector=metadata.name%3D${name}`, wishes: [{ ...wish('list'), name }] },
    { method: 'DELETE', path: `${collection}?${dry}&labelSelector=none`, wishes: [wish('deletecollection')] },
  ];
  const writable = namespace !== undefined || !target.namespaced;
  if (!writable) return all.slice(0, 3);
  return [
    ...all,
    { method: 'POST', path: `${collection}?${dry}`, body, wishes: [wish('create')] },
    { method: 'POST', path: `${collection}?${dry}`, body: object({ generateName: 'one-' }), wishes: [wish('create')] },
    { method: 'GET', path: one, wishes: [wish('get', name)] },
    { method: 'PUT', path: `${one}?${dry}`, body, wishes: [wish('update', name)] },
    {
      method: 'PATCH',
      path: `${one}?${dry}`,
      headers: merge,
      body: { metadata: { labels: { a: 'b' } } },
      wishes: [wish('patch', name)],
    },
    {
      method: 'PATCH',
      path: `${one}?${dry}&fieldManager=m`,
      headers: apply,
      body,
      wishes: [wish('patch', name), ...(plural === 'pods' ? [] : [wish('create', name)])],
    },
    { method: 'DELETE', path: `${one}?${dry}`, wishes: [wish('delete', name)] },
    ...parts.flatMap((part): Request[] => [
      { method: 'GET', path: `${one}/${part}`, wishes: [wish('get', name, part)] },
      { method: 'PUT', path: `${one}/${part}?${dry}`, body, wishes: [wish('update', name, part)] },
      { method: 'PATCH', path: `${one}/${part}?${dry}`, headers: merge, body: {}, wishes: [wish('patch', name, part)] },
    ]),
  ];
}

export interface Account extends Who {
  readonly token: string;
}

export function matrix(accounts: readonly Account[], namespaces: readonly string[]): Cell[] {
  const requests = kinds.flatMap((target) =>
    target.namespaced
      ? [undefined, ...namespaces].flatMap((namespace) => requestsOn(target, namespace))
      : requestsOn(target, undefined),
  );
  // Users take turns, so that none of them is a flood.
  return requests.flatMap((request) => accounts.map(({ token, ...who }) => ({ who, token, ...request })));
}

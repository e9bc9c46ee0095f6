/**
 * The roles and bindings that every server has from its first start. Those of Kubernetes have its names and the rights that make sense
 * here; those of our own programs have exactly what the programs ask for.
 */
import { authenticatedGroup, mastersGroup, unauthenticatedGroup } from '#apiserver/auth/user.ts';
import { group as factoryGroup, programGroups } from '#lib/api/names.ts';
import { fullAuthority, type PolicyRule, rbacGroup, type Subject } from './rule.ts';

export interface DefaultRole {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly rules: readonly PolicyRule[];
  /** The role has no rules of its own: it gathers those of roles with these labels. */
  readonly aggregates?: string;
}

export interface DefaultBinding {
  readonly name: string;
  readonly role: string;
  readonly subjects: readonly Subject[];
}

const read = ['get', 'list', 'watch'];
const write = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const on = (apiGroup: string, resources: readonly string[], verbs: readonly string[]): PolicyRule => ({
  apiGroups: [apiGroup],
  resources,
  verbs,
});
const aggregateTo = (role: string) => `rbac.authorization.k8s.io/aggregate-to-${role}`;
const labelled = (role: string) => ({ [aggregateTo(role)]: 'true' });

/** What a tenant makes. */
const tenantKinds = [
  ...['computefactories', 'vmpools', 'virtualmachines', 'vmoperations', 'vmsnapshots', 'vmrestores'],
  ...['subnets', 'images', 'volumes'],
];
/** What a tenant sees of how it is made, and of the prices and sizes there are. */
const sharedKinds = ['ipleases'];
const scalable = ['computefactories/scale', 'vmpools/scale'];
const statuses = [...tenantKinds, ...sharedKinds].map((plural) => `${plural}/status`);

const view: readonly PolicyRule[] = [
  on('', ['configmaps', 'serviceaccounts', 'events', 'namespaces', 'namespaces/status'], read),
  on('events.k8s.io', ['events'], read),
  on(factoryGroup, [...tenantKinds, ...sharedKinds, ...statuses, ...scalable], read),
];

/** What machines print, as logs of pods are for viewers in Kubernetes; not for operators, whose machines they are not. */
const logs = on(factoryGroup, ['virtualmachines/log'], ['get']);

const edit: readonly PolicyRule[] = [
  on('', ['secrets', 'configmaps', 'serviceaccounts', 'events'], write),
  on('', ['secrets'], read),
  on('', ['serviceaccounts'], ['impersonate']),
  on('', ['serviceaccounts/token'], ['create']),
  on('events.k8s.io', ['events'], write),
  on('coordination.k8s.io', ['leases'], [...read, ...write]),
  on(factoryGroup, tenantKinds, write),
  on(factoryGroup, scalable, ['patch', 'update']),
  on(factoryGroup, ['virtualmachines/console', 'virtualmachines/vnc', 'virtualmachines/screenshot'], ['get']),
  on(factoryGroup, ['virtualmachines/exec'], ['create']),
  on(factoryGroup, ['images/upload'], ['get', 'update']),
];

const admin: readonly PolicyRule[] = [
  on('authorization.k8s.io', ['localsubjectaccessreviews'], ['create']),
  on(rbacGroup, ['roles', 'rolebindings'], [...read, ...write]),
];

/** Clusters, hosts, sizes and tenants; of what is inside a namespace only what its tenants' viewers see. */
const operator: readonly PolicyRule[] = [
  on(factoryGroup, ['clusters', 'hosts', 'instancetypes'], [...read, ...write]),
  on(factoryGroup, ['clusters/status', 'hosts/status'], read),
  on('', ['namespaces'], [...read, ...write]),
  on('', ['namespaces/finalize'], ['update']),
  on('apiextensions.k8s.io', ['customresourcedefinitions', 'customresourcedefinitions/status'], read),
  on(rbacGroup, ['clusterroles', 'clusterrolebindings', 'roles', 'rolebindings'], read),
  on('coordination.k8s.io', ['leases'], read),
  ...view,
  {
    nonResourceURLs: ['/metrics', '/livez', '/livez/*', '/readyz', '/readyz/*', '/healthz', '/healthz/*'],
    verbs: ['get'],
  },
];

const inGroup = (resources: readonly string[], verbs: readonly string[]) => on(factoryGroup, resources, verbs);
const election = on('coordination.k8s.io', ['leases'], ['get', 'create', 'update']);
const reports = on('', ['events'], ['create', 'patch']);

/** factory-controllers: its reconcile loops, the garbage collector and the emptying of namespaces, which meet every kind. */
const controllers: readonly PolicyRule[] = [
  election,
  reports,
  on('', ['namespaces'], ['create']),
  on('', ['namespaces/finalize', 'namespaces/status'], ['update', 'patch']),
  on('', ['configmaps'], ['create']),
  inGroup(['vmpools', 'virtualmachines', 'ipleases'], ['create', 'update']),
  inGroup(['images', 'vmoperations', 'vmsnapshots', 'vmrestores'], ['create']),
  inGroup([...statuses, 'clusters/status'], ['update', 'patch']),
  { apiGroups: ['*'], resources: ['*'], verbs: [...read, 'patch', 'delete', 'deletecollection'] },
];

const clusterServerKinds = [
  ...['clusters', 'hosts', 'virtualmachines', 'images', 'volumes'],
  ...['vmoperations', 'vmsnapshots', 'vmrestores'],
];

/** factory-cluster-server: what it schedules, and what it tells of machines and hosts; of its own Cluster alone (apiserver/cluster-server/). */
const clusterServer: readonly PolicyRule[] = [
  election,
  on('', ['namespaces'], ['get']),
  on('', ['secrets'], ['get', 'create', 'patch']),
  inGroup(clusterServerKinds, read),
  inGroup(['hosts'], ['create']),
  inGroup(
    clusterServerKinds.map((plural) => `${plural}/status`),
    ['update'],
  ),
];

export const defaultRoles: readonly DefaultRole[] = [
  { name: 'cluster-admin', rules: fullAuthority },
  { name: 'admin', rules: [], aggregates: aggregateTo('admin') },
  { name: 'edit', labels: labelled('admin'), rules: [], aggregates: aggregateTo('edit') },
  { name: 'view', labels: labelled('edit'), rules: [], aggregates: aggregateTo('view') },
  { name: 'system:aggregate-to-admin', labels: labelled('admin'), rules: admin },
  { name: 'system:aggregate-to-edit', labels: labelled('edit'), rules: edit },
  { name: 'system:aggregate-to-view', labels: labelled('view'), rules: [...view, logs] },
  {
    name: 'system:basic-user',
    rules: [
      on('authorization.k8s.io', ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'], ['create']),
      on('authentication.k8s.io', ['selfsubjectreviews'], ['create']),
    ],
  },
  {
    name: 'system:discovery',
    rules: [
      {
        nonResourceURLs: [
          ...['/livez', '/readyz', '/healthz', '/version', '/version/'],
          ...['/openapi', '/openapi/*', '/api', '/api/*', '/apis', '/apis/*'],
        ],
        verbs: ['get'],
      },
    ],
  },
  {
    name: 'system:public-info-viewer',
    rules: [{ nonResourceURLs: ['/livez', '/readyz', '/healthz', '/version', '/version/'], verbs: ['get'] }],
  },
  {
    name: 'system:auth-delegator',
    rules: [
      on('authentication.k8s.io', ['tokenreviews'], ['create']),
      on('authorization.k8s.io', ['subjectaccessreviews'], ['create']),
    ],
  },
  // Sizes and images for everybody; what is in them is no secret.
  { name: 'system:computefactory:catalog', rules: [inGroup(['instancetypes'], read)] },
  { name: 'platform-operator', rules: operator },
  { name: programGroups.controllers, rules: controllers },
  { name: programGroups.clusterServer, rules: clusterServer },
];

const toGroup = (name: string): Subject => ({ kind: 'Group', apiGroup: rbacGroup, name });
const bind = (role: string, ...subjects: readonly Subject[]): DefaultBinding => ({ name: role, role, subjects });

export const defaultBindings: readonly DefaultBinding[] = [
  bind('cluster-admin', toGroup(mastersGroup)),
  bind('system:basic-user', toGroup(authenticatedGroup)),
  bind('system:discovery', toGroup(authenticatedGroup)),
  bind('system:public-info-viewer', toGroup(authenticatedGroup), toGroup(unauthenticatedGroup)),
  bind('system:computefactory:catalog', toGroup(authenticatedGroup)),
  // The groups of the programs' credentials bear the names of their roles.
  bind(programGroups.controllers, toGroup(programGroups.controllers)),
  bind(programGroups.clusterServer, toGroup(programGroups.clusterServer)),
];

/**
 * What two cluster servers may touch, written down object by object: nothing here is worked out, and nothing is shared with the server. The
 * objects are made before the matrix is sent.
 */
import type { Account, Cell } from './cells.ts';
import type { Who, Wish } from './oracle.ts';

const lab = ['lab'];
const annex = ['annex'];
const both = ['lab', 'annex'];
const none: readonly string[] = [];

export interface Fact {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespace?: string;
  readonly name: string;
  readonly content: object;
  readonly status?: object;
  /** Cluster servers that may get it, and those that may write it as far as their role lets them. */
  readonly read: readonly string[];
  readonly write: readonly string[];
}

const factory = { group: 'computefactory.io', version: 'v1alpha1' };

function machine(name: string, wanted: string | undefined, status: object, read = none, write = none): Fact {
  const placement = wanted === undefined ? {} : { placement: { cluster: wanted } };
  const spec = { image: { name: 'debian' }, resources: { cores: 1, memory: '1Gi' }, ...placement };
  const kind = { ...factory, kind: 'VirtualMachine', plural: 'virtualmachines', namespace: 'alpha' };
  return { ...kind, name, content: { spec }, status, read, write };
}

/** The machine takes the password of its seed from that Secret. */
function needing(fact: Fact, secret: string): Fact {
  const { spec } = fact.content as { readonly spec: object };
  return { ...fact, content: { spec: { ...spec, adminPasswordSecretRef: { name: secret } } } };
}

function host(cluster: string, write: readonly string[]): Fact {
  const content = { spec: { cluster, hostname: 'h1' } };
  return { ...factory, kind: 'Host', plural: 'hosts', name: `${cluster}-h1`, content, status: {}, read: write, write };
}

function cluster(name: string, write: readonly string[]): Fact {
  const content = { spec: { masters: ['http://127.0.0.1:5050'], executor: { command: '/bin/executor' } } };
  return { ...factory, kind: 'Cluster', plural: 'clusters', name, content, status: {}, read: write, write };
}

function operation(name: string, status: object, write: readonly string[]): Fact {
  const kind = { ...factory, kind: 'VMOperation', plural: 'vmoperations', namespace: 'alpha' };
  return { ...kind, name, content: { spec: { vm: 'held-lab', type: 'Stop' } }, status, read: write, write };
}

function snapshot(name: string, status: object, write: readonly string[]): Fact {
  const kind = { ...factory, kind: 'VMSnapshot', plural: 'vmsnapshots', namespace: 'alpha' };
  return { ...kind, name, content: { spec: { vm: 'held-lab' } }, status, read: write, write };
}

function restore(name: string, status: object, write: readonly string[]): Fact {
  const kind = { ...factory, kind: 'VMRestore', plural: 'vmrestores', namespace: 'alpha' };
  const spec = { snapshot: 's', target: { vm: 'held-lab' } };
  return { ...kind, name, content: { spec }, status, read: write, write };
}

function image(name: string, rows: readonly string[]): Fact {
  const kind = { ...factory, kind: 'Image', plural: 'images', namespace: 'alpha' };
  const content = { spec: { source: { file: { path: 'debian.qcow2' } } } };
  return { ...kind, name, content, status: { clusters: rows.map((row) => ({ name: row })) }, read: both, write: rows };
}

function volume(cluster: string, write: readonly string[]): Fact {
  const kind = { ...factory, kind: 'Volume', plural: 'volumes', namespace: 'alpha' };
  const content = { spec: { cluster, size: '1Gi', backend: { gluster: { volume: 'vm' } } } };
  return { ...kind, name: `of-${cluster}`, content, status: {}, read: write, write };
}

const core = (kind: string, namespace: string, name: string, write: readonly string[], content: object = {}): Fact => ({
  ...{ group: '', version: 'v1', kind, plural: `${kind.toLowerCase()}s`, namespace, name, content, read: none, write },
});

const lease = (namespace: string, name: string, write: readonly string[]): Fact => ({
  ...core('Lease', namespace, name, write, { spec: {} }),
  ...{ group: 'coordination.k8s.io', read: write },
});

const at = (name: string, phase = 'Running') => ({ phase, attempt: { number: 1, cluster: name, host: 'h1' } });

export const facts: readonly Fact[] = [
  needing(machine('held-lab', undefined, at('lab'), lab, lab), 'seed-lab'),
  needing(machine('held-annex', undefined, at('annex'), annex, annex), 'seed-annex'),
  machine('held-lab-waiting', undefined, at('lab', 'Scheduling'), lab, lab),
  machine('held-by-nobody-known', 'lab', { phase: 'Running', attempt: { number: 1 } }, lab, none),
  needing(machine('for-lab', 'lab', { phase: 'Scheduling' }, lab, lab), 'seed-waiting'),
  machine('for-annex', 'annex', { phase: 'Pending' }, annex, annex),
  machine('held-annex-for-lab', 'lab', at('annex'), both, annex),
  machine('for-any', undefined, { phase: 'Scheduling' }, both, both),
  machine('not-yet', undefined, { phase: 'Pending' }),
  machine('over', undefined, { phase: 'Stopped' }),
  host('lab', lab),
  host('annex', annex),
  cluster('lab', lab),
  cluster('annex', annex),
  operation('on-lab', { phase: 'Pending', cluster: 'lab' }, lab),
  operation('on-annex', { phase: 'InProgress', cluster: 'annex' }, annex),
  operation('on-none', { phase: 'Pending' }, none),
  snapshot('on-lab', { phase: 'InProgress', cluster: 'lab' }, lab),
  snapshot('on-annex', { phase: 'Ready', cluster: 'annex' }, annex),
  snapshot('on-none', { phase: 'Pending' }, none),
  restore('on-lab', { phase: 'InProgress', cluster: 'lab' }, lab),
  restore('on-annex', { phase: 'InProgress', cluster: 'annex' }, annex),
  restore('on-none', { phase: 'Pending' }, none),
  image('for-lab', lab),
  image('for-both', both),
  image('for-none', none),
  volume('lab', lab),
  volume('annex', annex),
  core('Secret', 'cf-system', 'console-lab-h1', lab),
  core('Secret', 'cf-system', 'console-annex-h1', annex),
  core('Secret', 'cf-system', 'console-lab-h2', none),
  core('Secret', 'cf-system', 'lab-h1', none),
  core('Secret', 'alpha', 'console-lab-h1', none),
  { ...core('Secret', 'alpha', 'seed-lab', none), read: lab },
  { ...core('Secret', 'alpha', 'seed-annex', none), read: annex },
  core('Secret', 'alpha', 'seed-waiting', none),
  core('Secret', 'cf-system', 'seed-lab', none),
  core('ConfigMap', 'cf-system', 'lab', none),
  lease('cf-system', 'cluster-server-lab', lab),
  lease('cf-system', 'cluster-server-annex', annex),
  lease('cf-system', 'factory-controllers', none),
  lease('alpha', 'cluster-server-lab', none),
];

/** Lists and watches by field selectors, and whose server may send them. */
const looks: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  virtualmachines: {
    'spec.placement.cluster=lab': lab,
    'spec.placement.cluster==annex': annex,
    'status.attempt.cluster=lab': lab,
    'status.attempt.cluster=annex,spec.placement.cluster!=annex': annex,
    'spec.placement.cluster=,status.attempt.cluster=,status.phase=Scheduling': both,
    'status.phase=Scheduling,status.attempt.cluster=,spec.placement.cluster=': both,
    'spec.placement.cluster=,status.attempt.cluster=': none,
    'spec.placement.cluster=,status.phase=Scheduling': none,
    'status.attempt.cluster=,status.phase=Scheduling': none,
    'spec.placement.cluster=,status.attempt.cluster=,status.phase=Pending': none,
    'spec.placement.cluster=,status.attempt.cluster=,status.phase!=Scheduling': none,
    'spec.placement.cluster!=lab': none,
    'status.attempt.cluster!=annex': none,
    'status.attempt.cluster=': none,
    'status.phase=Running': none,
    'metadata.name=held-lab': none,
    'metadata.namespace=alpha': none,
  },
  hosts: {
    'spec.cluster=lab': lab,
    'spec.cluster=annex': annex,
    'spec.cluster!=lab': none,
    'metadata.name=lab-h1': none,
  },
  volumes: { 'spec.cluster=lab': lab, 'spec.cluster=annex': annex, 'spec.cluster!=lab': none },
  vmoperations: { 'status.cluster=lab': lab, 'status.cluster=annex': annex, 'status.cluster=': none },
  vmsnapshots: { 'status.cluster=lab': lab, 'status.cluster=annex': annex, 'status.cluster=': none },
  vmrestores: { 'status.cluster=lab': lab, 'status.cluster=annex': annex, 'status.cluster=': none },
  clusters: { 'metadata.name=lab': lab, 'metadata.name=annex': annex, 'metadata.name!=lab': none },
  secrets: { 'metadata.name=seed-lab': none, 'metadata.name=console-lab-h1': none, 'type=Opaque': none },
  leases: { 'metadata.name=cluster-server-lab': lab },
};

const group = 'system:computefactory:cluster-server';

/** Whether the request stays within what is bound to the cluster server's Cluster; true for whoever is no cluster server. */
export function isConfinedTo(who: Who, wish: Wish): boolean {
  if (!who.groups.includes(group)) return true;
  const [plural = ''] = wish.resource.split('/');
  const isRead = ['get', 'list', 'watch'].includes(wish.verb);
  if (plural === 'instancetypes' && isRead) return true;
  const own = who.name.startsWith(`${group}:`) ? who.name.slice(group.length + 1) : '';
  if (own === '') return false;
  if (plural === 'images' && isRead) return both.includes(own);
  if (plural === 'namespaces') return wish.verb === 'get' && wish.name === 'cf-system';
  const isOfSystem = (plural === 'secrets' || plural === 'leases') && wish.namespace === 'cf-system';
  if (wish.verb === 'create') return plural === 'hosts' || isOfSystem;
  if (wish.verb === 'list' || wish.verb === 'watch')
    return (plural !== 'leases' || isOfSystem) && (looks[plural]?.[wish.fields ?? '']?.includes(own) ?? false);
  const fact = facts.find(
    (known) => known.plural === plural && known.name === wish.name && known.namespace === wish.namespace,
  );
  return fact?.[wish.verb === 'get' ? 'read' : 'write'].includes(own) ?? false;
}

export function collectionOf({ group: of, version, plural, namespace }: Omit<Fact, 'name'>): string {
  const base = of === '' ? `/api/${version}` : `/apis/${of}/${version}`;
  return namespace === undefined ? `${base}/${plural}` : `${base}/namespaces/${namespace}/${plural}`;
}

const merge = { 'content-type': 'application/merge-patch+json' };
const dry = 'dryRun=All';

function requestsOn(fact: Fact): Omit<Cell, 'who' | 'token'>[] {
  const { group: of, version, kind, plural, namespace, name, content, status } = fact;
  const place = namespace === undefined ? {} : { namespace };
  const body = { apiVersion: of === '' ? version : `${of}/${version}`, kind, metadata: { name }, ...content };
  return [undefined, ...(status === undefined ? [] : ['status'])].flatMap((part) => {
    const path = `${collectionOf(fact)}/${name}${part === undefined ? '' : `/${part}`}`;
    const resource = part === undefined ? plural : `${plural}/${part}`;
    const wishes = (verb: string): Wish[] => [{ verb, group: of, resource, name, ...place }];
    return [
      { method: 'GET', path, wishes: wishes('get') },
      { method: 'PUT', path: `${path}?${dry}`, body, wishes: wishes('update') },
      { method: 'PATCH', path: `${path}?${dry}`, headers: merge, body: {}, wishes: wishes('patch') },
      ...(part === undefined ? [{ method: 'DELETE', path: `${path}?${dry}`, wishes: wishes('delete') }] : []),
    ];
  });
}

function looksAt(fact: Fact, fields: string): Omit<Cell, 'who' | 'token'>[] {
  const { group: of, plural: resource, namespace } = fact;
  const name = /^metadata\.name=(?!=)([^,]*)$/.exec(fields)?.[1];
  return [undefined, namespace].slice(0, namespace === undefined ? 1 : 2).flatMap((within) => {
    const { namespace: _, ...place } = fact;
    const path = collectionOf(within === undefined ? place : fact);
    const query = `fieldSelector=${encodeURIComponent(fields)}`;
    const more = { ...(name === undefined ? {} : { name }), ...(within === undefined ? {} : { namespace: within }) };
    const wish = (verb: string): Wish => ({ verb, group: of, resource, fields, ...more });
    return [
      { method: 'GET', path: `${path}?${query}`, wishes: [wish('list')] },
      { method: 'GET', path: `${path}?watch=1&${query}`, wishes: [wish('watch')] },
    ];
  });
}

export function confinementCells(accounts: readonly Account[]): Cell[] {
  const first = (plural: string) => facts.find((fact) => fact.plural === plural)!;
  const requests = [
    ...facts.flatMap(requestsOn),
    ...Object.entries(looks).flatMap(([plural, selectors]) =>
      Object.keys(selectors).flatMap((fields) => looksAt(first(plural), fields)),
    ),
  ];
  return requests.flatMap((request) => accounts.map(({ token, ...who }) => ({ who, token, ...request })));
}

/**
 * What a plain Kubernetes API server with our CustomResourceDefinitions installed takes: paths, verbs, query parameters, media types,
 * headers and the fields of its own kinds. Sources: the API reference of Kubernetes 1.32, and the CRDs themselves. Pure.
 */
import { join } from 'node:path';
import { readCrds } from '#apiserver/resources/crd.ts';

export interface PlainRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

interface PlainKind {
  readonly kind: string;
  readonly namespaced: boolean;
  readonly custom: boolean;
  /** Subresource -> methods. */
  readonly subresources: Readonly<Record<string, readonly string[]>>;
  readonly fields: readonly string[];
  /** Top-level fields of a body; custom kinds are checked by their schema, on the server. */
  readonly members?: readonly string[];
}

const status = { status: ['GET', 'PUT', 'PATCH'] };
const everyKind = ['metadata.name', 'metadata.namespace'];
const involved = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];

function own(kind: string, members: readonly string[], more: Partial<PlainKind> = {}): PlainKind {
  return { kind, namespaced: true, custom: false, subresources: {}, fields: everyKind, members, ...more };
}

const builtin: readonly (readonly [string, PlainKind])[] = [
  [
    '/api/v1/namespaces',
    own('Namespace', ['spec', 'status'], {
      namespaced: false,
      subresources: { ...status, finalize: ['PUT'] },
      fields: [...everyKind, 'status.phase'],
    }),
  ],
  ['/api/v1/configmaps', own('ConfigMap', ['data', 'binaryData', 'immutable'])],
  ['/api/v1/secrets', own('Secret', ['data', 'stringData', 'type', 'immutable'], { fields: [...everyKind, 'type'] })],
  [
    '/api/v1/events',
    own(
      'Event',
      [
        ...['involvedObject', 'reason', 'message', 'source', 'firstTimestamp', 'lastTimestamp', 'count', 'type'],
        ...['eventTime', 'series', 'action', 'related', 'reportingComponent', 'reportingInstance'],
      ],
      { fields: [...everyKind, ...involved.map((name) => `involvedObject.${name}`), 'reason', 'type', 'source'] },
    ),
  ],
  ['/api/v1/serviceaccounts', own('ServiceAccount', ['secrets', 'imagePullSecrets', 'automountServiceAccountToken'])],
  ['/apis/coordination.k8s.io/v1/leases', own('Lease', ['spec'])],
  ['/apis/events.k8s.io/v1/events', own('Event', [])],
  ...['Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding'].map((kind): readonly [string, PlainKind] => [
    `/apis/rbac.authorization.k8s.io/v1/${kind.toLowerCase()}s`,
    own(kind, ['rules', 'aggregationRule', 'roleRef', 'subjects'], { namespaced: !kind.startsWith('Cluster') }),
  ]),
  [
    '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    own('CustomResourceDefinition', ['spec', 'status'], { namespaced: false, subresources: status }),
  ],
];

const custom = readCrds(join(import.meta.dirname, '../../crds')).flatMap(({ spec }) =>
  spec.versions.map(({ name, subresources, selectableFields = [] }): readonly [string, PlainKind] => [
    `/apis/${spec.group}/${name}/${spec.names.plural}`,
    {
      kind: spec.names.kind,
      namespaced: spec.scope === 'Namespaced',
      custom: true,
      subresources: { ...(subresources?.status && status), ...(subresources?.scale && { scale: status.status }) },
      fields: [...everyKind, ...selectableFields.map(({ jsonPath }) => jsonPath.replace(/^\./, ''))],
    },
  ]),
);

const kinds: ReadonlyMap<string, PlainKind> = new Map([...builtin, ...custom]);

interface Target {
  readonly kind: PlainKind;
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** What the path leads to; undefined for discovery documents and for what is not served. */
export function targetOf(path: string): Target | undefined {
  const [, root, rest] = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)\/(.+)$/.exec(path) ?? [];
  if (!root || !rest) return undefined;
  const parts = rest.split('/').map(decodeURIComponent);
  const inside = parts[0] === 'namespaces' && parts.length >= 3 && !['status', 'finalize'].includes(parts[2]!);
  const [plural, name, subresource] = inside ? parts.slice(2) : parts;
  const kind = kinds.get(`${root}/${plural}`);
  if (!kind) return undefined;
  return { kind, collection: `${root}/${plural}`, namespace: inside ? parts[1] : undefined, name, subresource };
}

const discovery = /^\/(api|apis|api\/v1|apis\/[^/]+(\/[^/]+)?)$/;

/** Everything in a request that a plain server would refuse, ignore or not know. */
export function violationsOf(request: PlainRequest): string[] {
  const target = targetOf(request.path);
  if (!target)
    return discovery.test(request.path) && request.method === 'GET'
      ? [...headerFaults(request), ...unknown('query parameter', [...request.query.keys()], [])]
      : [`${request.path} is not served`];
  return [
    ...headerFaults(request),
    ...methodFaults(request, target),
    ...queryFaults(request, target),
    ...bodyFaults(request, target),
  ];
}

function unknown(what: string, found: readonly string[], known: readonly string[]): string[] {
  return found.filter((name) => !known.includes(name)).map((name) => `${what} ${name}`);
}

const headers = [
  ...['accept', 'accept-encoding', 'authorization', 'connection', 'content-length', 'content-type', 'host'],
  ...['keep-alive', 'transfer-encoding', 'user-agent'],
];
const forms = ['Table', 'PartialObjectMetadata', 'PartialObjectMetadataList', 'APIGroupDiscoveryList'];

function headerFaults({ headers: sent }: PlainRequest): string[] {
  const ranges = String(sent.accept ?? '*/*').split(',');
  const readable = ranges.every((range) => {
    const [type, ...parameters] = range.trim().split(';');
    const as = parameters.find((parameter) => parameter.startsWith('as='))?.slice(3);
    return ['application/json', 'application/yaml', '*/*'].includes(type!) && (as === undefined || forms.includes(as));
  });
  // A server that does not know a form answers 406 if there is no plain one to fall back to.
  const falls = ranges.some((range) => !range.includes(';'));
  return [...unknown('header', Object.keys(sent), headers), ...(readable && falls ? [] : [`accept ${sent.accept}`])];
}

function methodFaults({ method }: PlainRequest, { kind, name, subresource, namespace }: Target): string[] {
  const what = `${method} of ${kind.kind}${subresource ? `/${subresource}` : ''}`;
  if (subresource) return kind.subresources[subresource]?.includes(method) ? [] : [what];
  const allowed = name ? ['GET', 'PUT', 'PATCH', 'DELETE'] : ['GET', 'POST', 'DELETE'];
  const placed = !kind.namespaced || namespace !== undefined || (method === 'GET' && name === undefined);
  return [...(allowed.includes(method) ? [] : [what]), ...(placed ? [] : [`${what} without a namespace`])];
}

const listParameters = [
  ...['labelSelector', 'fieldSelector', 'limit', 'continue', 'resourceVersion', 'resourceVersionMatch'],
  ...['timeoutSeconds', 'watch', 'allowWatchBookmarks', 'sendInitialEvents'],
];
const writeParameters = ['dryRun', 'fieldManager', 'fieldValidation'];

function queryFaults({ method, query }: PlainRequest, { kind, name }: Target): string[] {
  const known = method !== 'GET' ? writeParameters : name ? ['resourceVersion'] : listParameters;
  const watching = query.get('watch') === 'true';
  const initial = query.get('sendInitialEvents') === 'true';
  const match = query.get('resourceVersionMatch');
  return [
    ...unknown('query parameter', [...query.keys()], known),
    ...selectorFaults(query, kind),
    ...(initial && !(watching && match === 'NotOlderThan' && query.get('allowWatchBookmarks') === 'true')
      ? ['sendInitialEvents without what it needs']
      : []),
    ...(match !== null && !initial && !query.get('resourceVersion') ? ['resourceVersionMatch without a version'] : []),
    ...(query.get('continue') && query.get('resourceVersion') ? ['continue with resourceVersion'] : []),
  ];
}

function selectorFaults(query: URLSearchParams, { kind, fields }: PlainKind): string[] {
  const asked = (query.get('fieldSelector') ?? '').split(',').filter((part) => part !== '');
  const names = asked.map((part) => part.split(/==|!=|=/)[0]!);
  const label = /^!?[\w./-]+$|^[\w./-]+(=|==|!=)[\w.-]*$|^[\w./-]+ (not)?in \([\w., -]*\)$/;
  const labels = (query.get('labelSelector') ?? '').split(/,(?![^(]*\))/).filter((part) => part !== '');
  return [
    ...unknown(`field selector of ${kind}`, names, fields),
    ...labels.filter((part) => !label.test(part)).map((part) => `label selector ${part}`),
  ];
}

type Body = Record<string, unknown> & { readonly metadata?: Record<string, unknown> };

function bodyFaults({ method, headers: { 'content-type': type }, body }: PlainRequest, target: Target): string[] {
  if (method === 'GET') return body === '' ? [] : ['a body'];
  const patch = ['application/merge-patch+json', 'application/json-patch+json'];
  const types = method === 'PATCH' ? patch : ['application/json'];
  if (body === '' && method === 'DELETE') return [];
  const wrong = types.includes(String(type)) ? [] : [`content type ${type} for ${method}`];
  const value = JSON.parse(body) as Body;
  if (method === 'DELETE') return [...wrong, ...deleteFaults(value)];
  return [
    ...wrong,
    ...(method === 'PATCH' ? [] : identityFaults(value, method, target)),
    ...memberFaults(value, target),
  ];
}

function deleteFaults(value: Body): string[] {
  const known = ['kind', 'apiVersion', 'gracePeriodSeconds', 'preconditions', 'propagationPolicy', 'dryRun'];
  const preconditions = Object.keys((value.preconditions ?? {}) as object);
  return [
    ...unknown('DeleteOptions', Object.keys(value), known),
    ...unknown('precondition', preconditions, ['uid', 'resourceVersion']),
  ];
}

function identityFaults(value: Body, method: string, { kind, collection, namespace }: Target): string[] {
  const apiVersion = collection.split('/').slice(2, -1).join('/');
  const named = value.kind === kind.kind && value.apiVersion === apiVersion;
  const placed = value.metadata?.namespace === undefined || value.metadata.namespace === namespace;
  return [
    ...(named ? [] : [`${value.apiVersion} ${value.kind} for ${apiVersion} ${kind.kind}`]),
    ...(placed ? [] : ['another namespace in the body']),
    ...(method === 'PUT' && !value.metadata?.resourceVersion ? [`PUT of ${kind.kind} without resourceVersion`] : []),
    ...(method === 'POST' && value.metadata?.resourceVersion ? ['POST with resourceVersion'] : []),
  ];
}

const metadata = [
  ...['name', 'generateName', 'namespace', 'uid', 'resourceVersion', 'generation', 'creationTimestamp', 'labels'],
  ...[
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'annotations',
    'ownerReferences',
    'finalizers',
    'managedFields',
  ],
];

function memberFaults(value: Body, { kind }: Target): string[] {
  const members = kind.members && ['apiVersion', 'kind', 'metadata', ...kind.members];
  const involvedObject = value.involvedObject as { readonly namespace?: string } | undefined;
  // Validation of Events: where they are follows from what they are about.
  const astray = involvedObject && (involvedObject.namespace ?? 'default') !== value.metadata?.namespace;
  return [
    ...unknown('metadata', Object.keys(value.metadata ?? {}), metadata),
    ...(members ? unknown(`${kind.kind} with`, Object.keys(value), members) : []),
    ...(astray ? ['an Event in another namespace than what it is about'] : []),
  ];
}

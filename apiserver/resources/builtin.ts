/** Kubernetes' own kinds that are served. */
import type { Schema } from '#apiserver/schema/schema.ts';
import { configMapSchema, eventSchema, leaseSchema, namespaceSchema, secretSchema } from './builtin-schemas.ts';
import { allVerbs, type Column, type Resource } from './resource.ts';

export const age: Column = {
  name: 'Age',
  type: 'date',
  description: 'When the object was created.',
  jsonPath: '.metadata.creationTimestamp',
};

interface Definition {
  readonly kind: string;
  readonly plural: string;
  readonly schema: Schema;
  readonly columns: readonly Column[];
}

export function builtin(
  group: string,
  definition: Definition,
  more: Partial<Pick<Resource, 'shortNames' | 'status' | 'finalize' | 'ttlSeconds' | 'selectableFields'>> & {
    readonly namespaced?: boolean;
  } = {},
): Resource {
  const { kind, plural, schema, columns } = definition;
  const { namespaced = true, ...rest } = more;
  return {
    group,
    version: 'v1',
    storageVersion: 'v1',
    kind,
    listKind: `${kind}List`,
    plural,
    singular: kind.toLowerCase(),
    shortNames: [],
    categories: [],
    namespaced,
    verbs: allVerbs,
    schema,
    storageSchema: schema,
    schemas: new Map([['v1', schema]]),
    columns,
    selectableFields: [],
    status: false,
    builtin: true,
    ...rest,
  };
}

const dataColumns: readonly Column[] = [{ name: 'Data', type: 'integer', jsonPath: '.data', count: true }, age];

const eventFields = [
  ...['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map((name) => ({
    label: `involvedObject.${name}`,
    path: ['involvedObject', name],
  })),
  { label: 'reason', path: ['reason'] },
  { label: 'type', path: ['type'] },
  { label: 'reportingComponent', path: ['reportingComponent'] },
  { label: 'source', path: ['source', 'component'] },
];

const eventColumns: readonly Column[] = [
  { name: 'Last Seen', type: 'date', jsonPath: '.lastTimestamp' },
  { name: 'Type', type: 'string', jsonPath: '.type' },
  { name: 'Reason', type: 'string', jsonPath: '.reason' },
  { name: 'Kind', type: 'string', jsonPath: '.involvedObject.kind' },
  { name: 'Object', type: 'string', jsonPath: '.involvedObject.name' },
  { name: 'Message', type: 'string', jsonPath: '.message' },
  { name: 'Count', type: 'integer', jsonPath: '.count', priority: 1 },
];

export const namespaces: Resource = builtin(
  '',
  {
    kind: 'Namespace',
    plural: 'namespaces',
    schema: namespaceSchema,
    columns: [{ name: 'Status', type: 'string', jsonPath: '.status.phase' }, age],
  },
  {
    namespaced: false,
    shortNames: ['ns'],
    status: true,
    finalize: true,
    selectableFields: [{ label: 'status.phase', path: ['status', 'phase'] }],
  },
);

const secrets = builtin(
  '',
  {
    kind: 'Secret',
    plural: 'secrets',
    schema: secretSchema,
    columns: [{ name: 'Type', type: 'string', jsonPath: '.type' }, ...dataColumns],
  },
  { selectableFields: [{ label: 'type', path: ['type'] }] },
);

const leases = builtin('coordination.k8s.io', {
  kind: 'Lease',
  plural: 'leases',
  schema: leaseSchema,
  columns: [{ name: 'Holder', type: 'string', jsonPath: '.spec.holderIdentity' }, age],
});

/** Events are forgotten an hour after their last write, as in Kubernetes. */
const eventTtlSeconds = 3600;

export const builtins: readonly Resource[] = [
  namespaces,
  builtin(
    '',
    { kind: 'ConfigMap', plural: 'configmaps', schema: configMapSchema, columns: dataColumns },
    { shortNames: ['cm'] },
  ),
  secrets,
  builtin(
    '',
    { kind: 'Event', plural: 'events', schema: eventSchema, columns: eventColumns },
    { shortNames: ['ev'], ttlSeconds: eventTtlSeconds, selectableFields: eventFields },
  ),
  leases,
];

/** Kubernetes' own kinds that are served. */
import { at, type Json } from '#apiserver/json/json.ts';
import { age, builtin } from './builtin-kind.ts';
import {
  configMapSchema,
  leaseSchema,
  namespaceSchema,
  secretSchema,
  serviceAccountSchema,
} from './builtin-schemas.ts';
import { coreEvents, events } from './events.ts';
import type { DrawnColumn, Resource } from './resource.ts';

/** How many values there are, in whichever form. */
const dataColumns: readonly DrawnColumn[] = [
  {
    name: 'Data',
    type: 'string',
    description: 'Number of values.',
    draw: (object) => countOf(at(object, 'data')) + countOf(at(object, 'binaryData')),
  },
];

function countOf(value: Json | undefined): number {
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
}

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
    columns: [{ name: 'Type', type: 'string', jsonPath: '.type' }, ...dataColumns, age],
  },
  { selectableFields: [{ label: 'type', path: ['type'] }] },
);

const leases = builtin('coordination.k8s.io', {
  kind: 'Lease',
  plural: 'leases',
  schema: leaseSchema,
  columns: [{ name: 'Holder', type: 'string', jsonPath: '.spec.holderIdentity' }, age],
});

const configMaps = builtin(
  '',
  { kind: 'ConfigMap', plural: 'configmaps', schema: configMapSchema, columns: [...dataColumns, age] },
  { shortNames: ['cm'] },
);

const secretCount: DrawnColumn = {
  name: 'Secrets',
  type: 'string',
  description: 'Number of secrets that belong to it.',
  draw: (object) => countOf(at(object, 'secrets')),
};

const serviceAccounts = builtin(
  '',
  { kind: 'ServiceAccount', plural: 'serviceaccounts', schema: serviceAccountSchema, columns: [secretCount, age] },
  { shortNames: ['sa'] },
);

export const builtins: readonly Resource[] = [
  namespaces,
  configMaps,
  secrets,
  serviceAccounts,
  coreEvents,
  leases,
  events,
];

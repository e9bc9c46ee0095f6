/** What all of Kubernetes' own kinds have in common. */
import type { Schema } from '#apiserver/schema/schema.ts';
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
  readonly columns: Resource['columns'];
}

export function builtin(
  group: string,
  definition: Definition,
  more: Partial<Pick<Resource, 'shortNames' | 'status' | 'finalize' | 'ttlSeconds' | 'selectableFields' | 'view'>> & {
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

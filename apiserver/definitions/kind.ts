/** CustomResourceDefinition as a kind of its own: `kubectl get crd`. */
import type { StoredObject } from '#apiserver/json/object.ts';
import { allVerbs, type Resource } from '#apiserver/resources/resource.ts';
import { schemaCauses } from '#apiserver/schema/check.ts';
import { definitionSchema } from './kind-schema.ts';

export const definitionKind: Resource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  storageVersion: 'v1',
  kind: 'CustomResourceDefinition',
  listKind: 'CustomResourceDefinitionList',
  plural: 'customresourcedefinitions',
  singular: 'customresourcedefinition',
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  namespaced: false,
  verbs: allVerbs,
  schema: definitionSchema,
  storageSchema: definitionSchema,
  schemas: new Map([['v1', definitionSchema]]),
  columns: [
    {
      name: 'Created At',
      type: 'date',
      description: 'When the object was created.',
      jsonPath: '.metadata.creationTimestamp',
    },
  ],
  selectableFields: [],
  status: true,
  builtin: true,
  generations: true,
};

/** Whether it can be read as a definition: one that was written straight into the store need not be. */
export function isWellFormed(object: StoredObject): boolean {
  return schemaCauses(object, definitionSchema, undefined).length === 0;
}

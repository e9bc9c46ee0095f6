/** Definitions for tests. */
import type { Crd, CrdSpec, CrdVersion } from '#apiserver/resources/crd.ts';
import type { Schema } from '#apiserver/schema/schema.ts';

export const group = 'shop.example.dev';

export function schemaWith(spec: Readonly<Record<string, Schema>>): Schema {
  return {
    type: 'object',
    description: 'Something to sell.',
    properties: {
      spec: { type: 'object', description: 'What is wanted.', properties: spec },
      status: { type: 'object', properties: { replicas: { type: 'integer' } } },
    },
  };
}

export const size: Schema = { type: 'string', description: 'How large it is.', default: 'M', enum: ['S', 'M', 'L'] };

export function versionOf(name: string, more: Partial<CrdVersion> = {}): CrdVersion {
  const schema = { openAPIV3Schema: schemaWith({ size }) };
  return { name, served: true, storage: false, schema, ...more };
}

/** A namespaced kind of one version, v1, unless told more. */
export function definition(kind: string, more: Partial<CrdSpec> = {}): Crd & { spec: CrdSpec } {
  const plural = `${kind.toLowerCase()}s`;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural, kind },
      versions: [versionOf('v1', { storage: true })],
      ...more,
    },
  };
}

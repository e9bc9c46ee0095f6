/** The types that a structural schema gives to CEL, and the values that JSON gives: apiserver/pkg/cel/common in Kubernetes. */
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import { additionalOf, type Schema } from '#apiserver/schema/schema.ts';
import { dyn, listOf, mapOf, scalar, type Type } from './types.ts';

/** The fields that expressions may select, by the name they use. */
export type ObjectFields = ReadonlyMap<
  string,
  { readonly property: string; readonly schema: Schema; readonly type: Type }
>;

const typeMeta: Readonly<Record<string, Schema>> = {
  apiVersion: { type: 'string' },
  kind: { type: 'string' },
  metadata: { type: 'object', properties: { name: { type: 'string' }, generateName: { type: 'string' } } },
};

const fieldsOf = new WeakMap<Schema, ObjectFields>();
const types = new WeakMap<Schema, Type | undefined>();
const roots = new WeakMap<Schema, Schema>();

/** The schema as rules at its root see it: with apiVersion, kind and the names in metadata, and nothing else of metadata. */
export function asResource(schema: Schema): Schema {
  const known = roots.get(schema);
  if (known) return known;
  const resource = { ...schema, properties: { ...schema.properties, ...typeMeta } };
  roots.set(schema, resource);
  return resource;
}

/** The type of values of this schema; undefined if expressions cannot see them, for want of a type. */
export function typeOfSchema(schema: Schema): Type | undefined {
  if (types.has(schema)) return types.get(schema);
  const type = makeType(schema);
  types.set(schema, type);
  return type;
}

function makeType(schema: Schema): Type | undefined {
  if (schema['x-kubernetes-int-or-string'] === true) return dyn;
  switch (schema.type) {
    case 'array':
      return listType(schema);
    case 'object':
      return objectType(schema);
    case 'string':
      return scalar(stringKind(schema.format));
    case 'integer':
      return scalar('int');
    case 'number':
      return scalar('double');
    case 'boolean':
      return scalar('bool');
    default:
      return undefined;
  }
}

function listType(schema: Schema): Type | undefined {
  const item = schema.items && typeOfSchema(schema.items);
  return item && listOf(item);
}

function objectType(schema: Schema): Type | undefined {
  const additional = additionalOf(schema);
  if (additional) {
    const value = typeOfSchema(additional);
    return value && mapOf(scalar('string'), value);
  }
  const fields = objectFields(schema);
  return { kind: 'object', fields: new Map([...fields].map(([name, field]) => [name, field.type])) };
}

export function stringKind(format: string | undefined): 'string' | 'bytes' | 'duration' | 'timestamp' {
  if (format === 'byte') return 'bytes';
  if (format === 'duration') return 'duration';
  return format === 'date' || format === 'date-time' ? 'timestamp' : 'string';
}

export function objectFields(schema: Schema): ObjectFields {
  const seen = schema['x-kubernetes-embedded-resource'] === true ? asResource(schema) : schema;
  const known = fieldsOf.get(seen);
  if (known) return known;
  const fields = new Map<string, { property: string; schema: Schema; type: Type }>();
  for (const [property, child] of Object.entries(seen.properties ?? {})) {
    const type = typeOfSchema(child);
    // Of a name that expressions cannot spell only equality takes notice.
    if (type) fields.set(escapeName(property) ?? `!${property}`, { property, schema: child, type });
  }
  fieldsOf.set(seen, fields);
  return fields;
}

const reserved = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

/** Names that CEL cannot spell, spelt otherwise: `x-prop` is x__dash__prop. Undefined for what cannot be spelt at all. */
export function escapeName(property: string): string | undefined {
  if (reserved.has(property)) return `__${property}__`;
  if (!/^[A-Za-z_./-][A-Za-z0-9_./-]*$/.test(property)) return undefined;
  return property.replace(/__|[./-]/g, (part) => escapes[part]!);
}

const escapes: Readonly<Record<string, string>> = {
  __: '__underscores__',
  '.': '__dot__',
  '-': '__dash__',
  '/': '__slash__',
};

/** Whether the JSON is an object that expressions see by named fields, not as a map. */
export function hasFields(value: Json, schema: Schema): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && additionalOf(schema) === undefined;
}

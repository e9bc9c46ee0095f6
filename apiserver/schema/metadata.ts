/** metadata is typed by the server, not by the schema of a kind: known fields of known types, everything else dropped. */
import { goTypeOf, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { Metadata } from '#apiserver/json/object.ts';
import { ApiError } from '#lib/std/errors.ts';

type Shape = 'string' | 'integer' | 'time' | 'strings' | 'map' | 'owners' | 'managers' | 'ignored';

const shapes: Readonly<Record<string, Shape>> = {
  name: 'string',
  generateName: 'string',
  namespace: 'string',
  uid: 'string',
  resourceVersion: 'string',
  generation: 'integer',
  creationTimestamp: 'time',
  deletionTimestamp: 'time',
  deletionGracePeriodSeconds: 'integer',
  labels: 'map',
  annotations: 'map',
  finalizers: 'strings',
  ownerReferences: 'owners',
  selfLink: 'ignored',
  managedFields: 'managers',
};

/** A struct of Go in a list of ObjectMeta: its name, and what its fields are. */
interface Struct {
  readonly name: string;
  readonly fields: Readonly<Record<string, 'string' | 'bool' | 'object' | 'time'>>;
}

const owner: Struct = {
  name: 'OwnerReference',
  fields: {
    apiVersion: 'string',
    kind: 'string',
    name: 'string',
    uid: 'string',
    controller: 'bool',
    blockOwnerDeletion: 'bool',
  },
};

const manager: Struct = {
  name: 'ManagedFieldsEntry',
  fields: {
    manager: 'string',
    operation: 'string',
    apiVersion: 'string',
    time: 'time',
    fieldsType: 'string',
    fieldsV1: 'object',
    subresource: 'string',
  },
};

/**
 * metav1.ObjectMeta from what a client sent. Unknown fields are dropped and their paths added to `unknown`, empty ones left out as Go's
 * encoder does. BadRequest for a known field of another type.
 */
export function coerceMetadata(value: Json | undefined, kind: string, unknown: string[]): Metadata {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw wrongType(value, 'metadata', 'ObjectMeta', kind);
  const result: JsonObject = {};
  for (const [name, field] of Object.entries(value)) {
    const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined;
    if (!shape) unknown.push(`metadata.${name}`);
    else if (shape !== 'ignored' && field !== null) {
      const read = readField(field, shape, name, kind, unknown);
      if (!isEmpty(read)) result[name] = read;
    }
  }
  return result as Metadata;
}

function isEmpty(value: Json): boolean {
  return (
    value === '' || (Array.isArray(value) && value.length === 0) || (isObject(value) && Object.keys(value).length === 0)
  );
}

function readField(value: Json, shape: Shape, name: string, kind: string, unknown: string[]): Json {
  const refuse = (go: string, actual: Json = value) =>
    wrongType(actual, name, `ObjectMeta.${name} of type ${go}`, kind);
  switch (shape) {
    case 'integer':
      if (!Number.isInteger(value)) throw refuse('int64');
      return value;
    case 'time':
      return readTime(value, name, kind);
    case 'strings':
      if (!Array.isArray(value)) throw refuse('[]string');
      for (const item of value) if (typeof item !== 'string') throw refuse('string', item);
      return value;
    case 'map':
      if (!isObject(value)) throw refuse('map[string]string');
      for (const item of Object.values(value)) if (typeof item !== 'string') throw refuse('string', item);
      return value;
    case 'owners':
      return readStructs(value, name, owner, kind, unknown).map((read) => ({ ...noOwner, ...read }));
    case 'managers':
      return readStructs(value, name, manager, kind, unknown);
    default:
      if (typeof value !== 'string') throw refuse('string');
      return value;
  }
}

function readTime(value: Json, name: string, kind: string): string {
  if (typeof value !== 'string') throw wrongType(value, name, `ObjectMeta.${name} of type string`, kind);
  const ms = Date.parse(value);
  if (Number.isNaN(ms))
    throw new ApiError('BadRequest', `${kind} cannot be read: metadata.${name}: "${value}" is not an RFC 3339 time`);
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** Go has no absent string. */
const noOwner = { apiVersion: '', kind: '', name: '', uid: '' };

function readStructs(value: Json, field: string, struct: Struct, kind: string, unknown: string[]): JsonObject[] {
  if (!Array.isArray(value)) throw wrongType(value, field, `ObjectMeta.${field} of type []v1.${struct.name}`, kind);
  return value.map((item, index) => readStruct(item, `metadata.${field}[${index}]`, struct, kind, unknown));
}

function readStruct(value: Json, path: string, struct: Struct, kind: string, unknown: string[]): JsonObject {
  if (value === null) return {};
  if (!isObject(value)) throw wrongType(value, path, `ObjectMeta of type v1.${struct.name}`, kind);
  const result: JsonObject = {};
  for (const [name, field] of Object.entries(value)) {
    const shape = Object.hasOwn(struct.fields, name) ? struct.fields[name] : undefined;
    if (!shape) unknown.push(`${path}.${name}`);
    else if (field !== null) {
      const type = shape === 'time' ? 'string' : shape;
      if (goTypeOf(field) !== type) throw wrongType(field, name, `${struct.name}.${name} of type ${type}`, kind);
      result[name] = shape === 'time' ? readTime(field, name, kind) : field;
    }
  }
  return result;
}

function wrongType(value: Json, name: string, expected: string, kind: string): ApiError {
  const target = expected.includes(' of type ') ? `field ${expected}` : `field ${name} of type ${expected}`;
  return new ApiError(
    'BadRequest',
    `${kind} cannot be handled as a ${kind.split(' ')[0]}: json: cannot unmarshal ${goTypeOf(value)} into Go struct ${target}`,
  );
}

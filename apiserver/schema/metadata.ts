/** metadata is typed by the server, not by the schema of a kind: known fields of known types, everything else dropped. */
import { at, goTypeOf, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { Metadata } from '#apiserver/json/object.ts';
import { ApiError } from '#lib/std/errors.ts';

type Shape = 'string' | 'integer' | 'time' | 'strings' | 'map' | 'owners' | 'ignored';

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
  // Ownership of fields comes with server-side apply; until then nothing is recorded, so nothing that is sent can be true.
  managedFields: 'ignored',
};

const ownerShapes: Readonly<Record<string, 'string' | 'bool'>> = {
  apiVersion: 'string',
  kind: 'string',
  name: 'string',
  uid: 'string',
  controller: 'bool',
  blockOwnerDeletion: 'bool',
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
      if (!Array.isArray(value)) throw refuse('[]v1.OwnerReference');
      return value.map((owner, index) => readOwner(owner, index, kind, unknown));
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

function readOwner(value: Json, index: number, kind: string, unknown: string[]): JsonObject {
  const path = `metadata.ownerReferences[${index}]`;
  if (!isObject(value)) throw wrongType(value, path, 'ObjectMeta.ownerReferences of type v1.OwnerReference', kind);
  const owner: JsonObject = {};
  for (const [name, field] of Object.entries(value)) {
    const shape = Object.hasOwn(ownerShapes, name) ? ownerShapes[name] : undefined;
    if (!shape) unknown.push(`${path}.${name}`);
    else if (field !== null) {
      if (goTypeOf(field) !== shape) throw wrongType(field, name, `OwnerReference.${name} of type ${shape}`, kind);
      owner[name] = field;
    }
  }
  for (const name of ['apiVersion', 'kind', 'name', 'uid']) if (at(owner, name) === undefined) owner[name] = '';
  return owner;
}

function wrongType(value: Json, name: string, expected: string, kind: string): ApiError {
  const target = expected.includes(' of type ') ? `field ${expected}` : `field ${name} of type ${expected}`;
  return new ApiError(
    'BadRequest',
    `${kind} cannot be handled as a ${kind.split(' ')[0]}: json: cannot unmarshal ${goTypeOf(value)} into Go struct ${target}`,
  );
}

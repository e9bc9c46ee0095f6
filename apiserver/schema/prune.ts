import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { coerceMetadata } from './metadata.ts';
import { additionalOf, propertyOf, type Schema } from './schema.ts';

/**
 * Removes, in place, the fields that the schema does not know, and returns their paths. The three fields of the object itself are
 * left to others. As Kubernetes' structural pruning: `x-kubernetes-preserve-unknown-fields` keeps what is below it, but for what the
 * schema does know; embedded resources keep their kind, and their metadata as far as it is metadata.
 */
export function prune(object: JsonObject, schema: Schema): string[] {
  const unknown: string[] = [];
  pruneObject(object, schema, '', unknown, ownFields);
  return unknown;
}

const ownFields: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);
const none: ReadonlySet<string> = new Set();

function pruneObject(
  object: JsonObject,
  schema: Schema,
  path: string,
  unknown: string[],
  skip: ReadonlySet<string>,
): void {
  const additional = additionalOf(schema);
  const keep = schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties === true;
  for (const [name, value] of Object.entries(object)) {
    if (skip.has(name)) continue;
    const child = propertyOf(schema, name) ?? additional;
    if (child && (value === null || typeof value !== 'object')) continue;
    const here = path === '' ? name : `${path}.${name}`;
    if (child) pruneValue(value, child, here, unknown);
    else if (!keep) {
      unknown.push(here);
      delete object[name];
    }
  }
}

function pruneValue(value: Json, schema: Schema, path: string, unknown: string[]): void {
  if (isObject(value)) {
    const embedded = schema['x-kubernetes-embedded-resource'] === true;
    if (embedded) coerceEmbedded(value, path, unknown);
    pruneObject(value, schema, path, unknown, embedded ? ownFields : none);
  } else if (Array.isArray(value) && schema.items) {
    const { items } = schema;
    value.forEach((item, index) => {
      pruneValue(item, items, `${path}[${index}]`, unknown);
    });
  }
}

function coerceEmbedded(object: JsonObject, path: string, unknown: string[]): void {
  if (at(object, 'metadata') === undefined) return;
  const found: string[] = [];
  object.metadata = coerceMetadata(object.metadata, `${path} in the object`, found) as JsonObject;
  unknown.push(...found.map((name) => `${path}.${name}`));
}

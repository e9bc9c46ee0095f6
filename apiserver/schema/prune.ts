import { isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { additionalOf, propertyOf, type Schema } from './schema.ts';

/**
 * Removes, in place, the fields that the schema does not know, and returns their paths. The three fields of the object itself are
 * left to others. As Kubernetes' structural pruning: `x-kubernetes-preserve-unknown-fields` keeps what is below it.
 */
export function prune(object: JsonObject, schema: Schema): string[] {
  const unknown: string[] = [];
  pruneObject(object, schema, '', unknown, new Set(['apiVersion', 'kind', 'metadata']));
  return unknown;
}

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
    const here = path === '' ? name : `${path}.${name}`;
    const child = propertyOf(schema, name) ?? additional;
    if (child) pruneValue(value, child, here, unknown);
    else if (!keep) {
      unknown.push(here);
      delete object[name];
    }
  }
}

function pruneValue(value: Json, schema: Schema, path: string, unknown: string[]): void {
  if (isObject(value)) pruneObject(value, schema, path, unknown, none);
  else if (Array.isArray(value) && schema.items) {
    const { items } = schema;
    value.forEach((item, index) => {
      pruneValue(item, items, `${path}[${index}]`, unknown);
    });
  }
}

import { copyJson, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { additionalOf, propertyOf, type Schema } from './schema.ts';

/**
 * Fills in defaults, in place. As Kubernetes: a null where the schema allows none is dropped first if there is a default, and
 * defaults inside an object count only if the object is there, be it by a default of its own.
 */
export function applyDefaults(value: Json, schema: Schema): void {
  if (isObject(value)) defaultObject(value, schema);
  else if (Array.isArray(value) && schema.items) for (const item of value) applyDefaults(item, schema.items);
}

function defaultObject(object: JsonObject, schema: Schema): void {
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (property.default === undefined) continue;
    const absent = !Object.hasOwn(object, name) || (object[name] === null && property.nullable !== true);
    if (absent) object[name] = copyJson(property.default);
  }
  const additional = additionalOf(schema);
  for (const [name, child] of Object.entries(object)) {
    const below = propertyOf(schema, name) ?? additional;
    if (below) applyDefaults(child, below);
  }
}

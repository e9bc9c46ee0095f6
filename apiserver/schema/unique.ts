import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { Schema } from './schema.ts';

/** What makes an item of this list unique, or undefined where anything may repeat. */
function identity(schema: Schema): ((item: Json) => Json) | undefined {
  if (schema['x-kubernetes-list-type'] === 'set') return (item) => item;
  const keys = schema['x-kubernetes-list-map-keys'];
  return schema['x-kubernetes-list-type'] === 'map' && keys ? (item) => keyFields(item, keys) : undefined;
}

function keyFields(item: Json, keys: readonly string[]): Json {
  if (!isObject(item)) return item;
  const fields: JsonObject = {};
  for (const key of keys) {
    const value = at(item, key);
    if (value !== undefined) fields[key] = value;
  }
  return fields;
}

/** Items of an associative list that repeat an earlier one: their index and what they repeat. */
export function repeatedItems(list: readonly Json[], schema: Schema): { index: number; value: Json }[] {
  const identify = identity(schema);
  if (!identify) return [];
  const seen = new Set<string>();
  const repeated: { index: number; value: Json }[] = [];
  list.forEach((item, index) => {
    const value = identify(item);
    const text = JSON.stringify(value);
    if (seen.has(text)) repeated.push({ index, value });
    seen.add(text);
  });
  return repeated;
}

/**
 * Strategic merge patch for Kubernetes' own kinds that are served: kubectl sends it for them whatever is advertised. None of these kinds has
 * a list in spec or data that merges, so what is left is: directives, and the lists of metadata (finalizers by value, ownerReferences by uid)
 * and conditions (by type).
 */
import { badRequest } from '#apiserver/http/status.ts';
import { at, equalJson, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';

/** Lists that merge, by path, and the field that tells their items apart; `''` for lists of plain values. */
const mergeKeys: Readonly<Record<string, string>> = {
  'metadata.finalizers': '',
  'metadata.ownerReferences': 'uid',
  'status.conditions': 'type',
};

/** The patched object; neither argument is changed. BadRequest for a directive that is not known. */
export function strategicPatch(target: JsonObject, patch: JsonObject): JsonObject {
  return mergeObject(target, patch, '');
}

function mergeObject(target: JsonObject, patch: JsonObject, path: string): JsonObject {
  const directive = at(patch, '$patch');
  if (directive === 'replace') return withoutDirectives(patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge')
    throw badRequest(`error decoding patch: unknown directive $patch: ${JSON.stringify(directive)} at "${path}"`);
  const result = new Map(Object.entries(retained(target, at(patch, '$retainKeys'))));
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$deleteFromPrimitiveList/')) removeItems(result, key.slice(key.indexOf('/') + 1), value);
    else if (!key.startsWith('$')) mergeField(result, key, value, path === '' ? key : `${path}.${key}`);
  }
  return Object.fromEntries(result);
}

function mergeField(result: Map<string, Json>, key: string, value: Json, path: string): void {
  const old = result.get(key);
  if (value === null) result.delete(key);
  else if (isObject(value)) result.set(key, mergeObject(isObject(old) ? old : {}, value, path));
  else if (Array.isArray(value) && Object.hasOwn(mergeKeys, path))
    result.set(key, mergeList(Array.isArray(old) ? old : [], value, mergeKeys[path]!, path));
  else result.set(key, value);
}

function withoutDirectives(patch: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$')));
}

function retained(target: JsonObject, keys: Json | undefined): JsonObject {
  if (!Array.isArray(keys)) return target;
  return Object.fromEntries(Object.entries(target).filter(([key]) => keys.includes(key)));
}

function removeItems(result: Map<string, Json>, key: string, values: Json): void {
  const old = result.get(key);
  if (Array.isArray(old) && Array.isArray(values))
    result.set(
      key,
      old.filter((item) => !values.some((value) => equalJson(item, value))),
    );
}

function mergeList(old: readonly Json[], patch: readonly Json[], key: string, path: string): Json[] {
  if (key === '') return [...old, ...patch.filter((item) => !old.some((known) => equalJson(known, item)))];
  const result = [...old];
  for (const item of patch) mergeItem(result, item, key, path);
  return result;
}

function mergeItem(result: Json[], item: Json, key: string, path: string): void {
  if (!isObject(item)) throw badRequest(`error decoding patch: items of "${path}" must be objects`);
  const index = result.findIndex((known) => isObject(known) && equalJson(at(known, key), at(item, key)));
  const known = result[index];
  if (at(item, '$patch') === 'delete') {
    if (index >= 0) result.splice(index, 1);
  } else if (isObject(known)) result[index] = mergeObject(known, item, `${path}[]`);
  else result.push(withoutDirectives(item));
}

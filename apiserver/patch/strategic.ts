/**
 * Strategic merge patch for Kubernetes' own kinds, for which kubectl sends it whatever is advertised (apimachinery, util/strategicpatch).
 * It is a merge patch in which the schema says of a list whether its items merge (`x-kubernetes-patch-strategy`) and what tells them
 * apart (`x-kubernetes-patch-merge-key`), and in which the patch itself may give directives: `$patch`, `$retainKeys`,
 * `$setElementOrder/LIST` and `$deleteFromPrimitiveList/LIST`.
 */
import { badRequest } from '#apiserver/http/status.ts';
import { asText, at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { additionalOf, propertyOf, type Schema } from '#apiserver/schema/schema.ts';
import { ApiError } from '#lib/std/errors.ts';
import { inOrder, mergeItems, mergeTexts, requireOrder, without } from './strategic-list.ts';

const orderPrefix = '$setElementOrder/';
const deletePrefix = '$deleteFromPrimitiveList/';

/** metadata is typed by the server, not by the schema of a kind. */
const metadataSchema: Schema = {
  type: 'object',
  properties: {
    finalizers: { type: 'array', 'x-kubernetes-patch-strategy': 'merge' },
    ownerReferences: {
      type: 'array',
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'uid',
    },
  },
};

/**
 * The patched object; neither argument is changed. BadRequest for a directive that is none or has the wrong form, Invalid for one that
 * contradicts the rest of the patch.
 */
export function strategicPatch(target: JsonObject, patch: JsonObject, schema: Schema): JsonObject {
  return mergeObject(target, patch, { ...schema, properties: { ...schema.properties, metadata: metadataSchema } });
}

function mergeObject(target: JsonObject, patch: JsonObject, schema: Schema): JsonObject {
  switch (directiveOf(patch)) {
    case 'replace':
      return cleaned(patch);
    case 'delete':
      return {};
  }
  const result = new Map(Object.entries(retained(target, patch)));
  const ordered = new Set<string>();
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(orderPrefix)) continue;
    const name = key.slice(orderPrefix.length);
    ordered.add(name);
    mergeOrdered(result, name, order, at(patch, name), propertyOf(schema, name));
  }
  for (const [key, value] of Object.entries(patch))
    if (key.startsWith(deletePrefix)) deleteItems(result, key.slice(deletePrefix.length), value);
    else if (!isDirective(key) && !ordered.has(key))
      mergeField(result, key, value, propertyOf(schema, key) ?? additionalOf(schema));
  // fromEntries defines properties: a key such as __proto__ stays a key.
  return Object.fromEntries(result);
}

function directiveOf(patch: JsonObject): 'merge' | 'replace' | 'delete' {
  const directive = at(patch, '$patch') ?? 'merge';
  if (directive === 'merge' || directive === 'replace' || directive === 'delete') return directive;
  throw badRequest(`unknown patch type: ${asText(directive)} in map: ${JSON.stringify(patch)}`);
}

function isDirective(key: string): boolean {
  return key === '$patch' || key === '$retainKeys' || key.startsWith(orderPrefix) || key.startsWith(deletePrefix);
}

/** `$retainKeys` names all fields that may stay, which is how a union changes its arm. */
function retained(target: JsonObject, patch: JsonObject): JsonObject {
  const keys = at(patch, '$retainKeys');
  if (keys === undefined) return target;
  if (!Array.isArray(keys)) throw badRequest('invalid patch format of retainKeys');
  const kept = new Set(keys);
  for (const [key, value] of Object.entries(patch))
    if (value !== null && !isDirective(key) && !kept.has(key))
      throw contradiction("patch content doesn't match retainKeys list");
  return Object.fromEntries(Object.entries(target).filter(([key]) => kept.has(key)));
}

function contradiction(why: string): ApiError {
  return new ApiError('Invalid', `the server rejected our request due to an error in our request: ${why}`, {
    details: { name: '' },
  });
}

function mergeField(result: Map<string, Json>, key: string, value: Json, schema: Schema | undefined): void {
  const old = result.get(key);
  const strategy = schema?.['x-kubernetes-patch-strategy'];
  if (value === null) result.delete(key);
  else if (isObject(value) && isObject(old) && strategy !== 'replace')
    result.set(key, mergeObject(old, value, schema ?? {}));
  else if (Array.isArray(value) && Array.isArray(old)) result.set(key, mergeList(old, value, schema));
  else {
    const fresh = isObject(value) && directiveOf(value) === 'delete' ? undefined : cleanedValue(value);
    if (fresh === undefined) result.delete(key);
    else result.set(key, fresh);
  }
}

function mergeList(old: readonly Json[], patch: readonly Json[], schema: Schema | undefined): Json[] {
  if (schema?.['x-kubernetes-patch-strategy'] !== 'merge') return patch.map(cleanedValue);
  const key = schema['x-kubernetes-patch-merge-key'];
  if (key === undefined) return mergeTexts(old, patch);
  const merge = (item: JsonObject, change: JsonObject) => mergeObject(item, change, schema.items ?? {});
  return mergeItems(old, patch, key, { merge, directiveOf, cleaned });
}

/** The list in the order that `$setElementOrder` gives; what only the server knows keeps its place among its neighbours. */
function mergeOrdered(
  result: Map<string, Json>,
  name: string,
  order: Json,
  patch: Json | undefined,
  schema: Schema | undefined,
): void {
  if (!Array.isArray(order)) throw badRequest('invalid patch format of setElementOrder list');
  const key = schema?.['x-kubernetes-patch-merge-key'];
  const old = result.get(name);
  if (Array.isArray(patch)) requireOrder(patch, order, key);
  if (patch !== undefined) mergeField(result, name, patch, schema);
  const merged = result.get(name);
  if (Array.isArray(merged)) result.set(name, inOrder(merged, order, Array.isArray(old) ? old : [], key));
}

function deleteItems(result: Map<string, Json>, name: string, values: Json): void {
  if (!Array.isArray(values)) throw badRequest('invalid patch format of primitive list');
  const old = result.get(name);
  if (Array.isArray(old)) result.set(name, without(old, values));
}

/** A part of the patch that has nothing to merge with: as it is, but for directives and for nulls, which would delete nothing. */
function cleanedValue(value: Json): Json {
  if (Array.isArray(value))
    return value.filter((item) => !isObject(item) || directiveOf(item) === 'merge').map(cleanedValue);
  return isObject(value) ? cleaned(value) : value;
}

function cleaned(patch: JsonObject): JsonObject {
  const members = Object.entries(patch).filter(([key, value]) => value !== null && !isDirective(key));
  return Object.fromEntries(members.map(([key, value]) => [key, cleanedValue(value)]));
}

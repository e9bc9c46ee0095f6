import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';

/** RFC 7386: null removes, objects merge, everything else replaces. Returns a new value; neither argument is changed. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key);
    else result.set(key, mergePatch(isObject(target) ? at(target, key) : undefined, value));
  }
  // fromEntries defines properties: a key such as __proto__ stays a key.
  return Object.fromEntries(result) as JsonObject;
}

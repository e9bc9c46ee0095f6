import { isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';

/** Removes, in place, fields that are null: for Kubernetes' own kinds that is the same as not there, and Go's encoder writes many. */
export function dropNulls(object: JsonObject): void {
  for (const [name, value] of Object.entries(object))
    if (value === null) delete object[name];
    else dropBelow(value);
}

function dropBelow(value: Json): void {
  if (isObject(value)) dropNulls(value);
  else if (Array.isArray(value)) value.forEach(dropBelow);
}

import type { Json, JsonObject } from '#apiserver/json/json.ts';
import { difference, type FieldSet, intersection, isNothing, nothing, union } from './field-set.ts';
import type { Manager, Managers } from './managers.ts';
import { removeFields } from './remove.ts';
import { toFieldSet, withNamedParents } from './to-field-set.ts';
import type { Type } from './type.ts';
import { type Types, typeIn } from './writer.ts';

/**
 * Removes from the merged object what its applier asked for last time, does not ask for now, and nobody else owns. Containers that
 * others own stay, empty. `managers` holds what is owned now, `wanted` among it.
 */
export function prune(
  merged: JsonObject,
  last: Manager | undefined,
  wanted: Manager,
  managers: Managers,
  types: Types,
): JsonObject {
  const type = last && types(last.apiVersion);
  if (!type || asksForAll(wanted, last)) return merged;
  const before = withNamedParents(last.fields, type);
  let kept = removeFields(merged, before, type, 'null');
  for (const [apiVersion, owned] of ownedByVersion(managers, last.apiVersion))
    kept = addBack(merged, kept, owned, typeIn(apiVersion, types));
  const gone = difference(everything(merged, type), everything(kept, type));
  // Only what the applier had itself may go. A container that is emptied stays as it is, where Kubernetes leaves a null.
  return removeFields(merged, intersection(gone, before), type, 'empty') as JsonObject;
}

/** The usual case, and then nothing can go. */
function asksForAll(wanted: Manager, last: Manager): boolean {
  return wanted.apiVersion === last.apiVersion && isNothing(difference(last.fields, wanted.fields));
}

/** The version of the last apply comes first: what is owned there is in place before other versions look. */
function ownedByVersion(managers: Managers, first: string): Map<string, FieldSet> {
  const result = new Map<string, FieldSet>();
  const all = [...managers.values()];
  for (const { apiVersion, fields } of [
    ...all.filter((manager) => manager.apiVersion === first),
    ...all.filter((manager) => manager.apiVersion !== first),
  ])
    result.set(apiVersion, union(result.get(apiVersion) ?? nothing, fields));
  return result;
}

function addBack(merged: JsonObject, kept: Json, owned: FieldSet, type: Type): Json {
  const wanted = union(everything(kept, type), withNamedParents(owned, type));
  return removeFields(merged, difference(everything(merged, type), wanted), type, 'null');
}

function everything(value: Json, type: Type): FieldSet {
  return withNamedParents(toFieldSet(value, type), type);
}

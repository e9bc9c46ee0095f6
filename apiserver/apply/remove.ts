import { isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { FieldSet } from './field-set.ts';
import { fieldStep, itemStep } from './step.ts';
import { formOf, type ListType, type MapType, memberType, type Type } from './type.ts';

/** What is left of a map or a list of which everything has been removed. */
export type Emptied = 'null' | 'empty';

/** The value without the fields and items of the set. What is atomic goes as a whole or not at all. */
export function removeFields(value: Json, set: FieldSet, type: Type, emptied: Emptied): Json {
  const form = formOf(type, value);
  if (form === 'map' && isObject(value) && !type.map!.atomic) return fromMap(value, set, type.map!, emptied);
  if (form === 'list' && Array.isArray(value) && type.list!.kind !== 'atomic')
    return fromList(value, set, type.list!, emptied);
  return value;
}

function fromMap(value: JsonObject, set: FieldSet, map: MapType, emptied: Emptied): Json {
  const kept: [string, Json][] = [];
  for (const [name, child] of Object.entries(value)) {
    const below = set.children.get(fieldStep(name));
    const type = memberType(map, name);
    if (!below || !type) kept.push([name, child]);
    else if (!below.owned) kept.push([name, removeFields(child, below, type, emptied)]);
  }
  return kept.length === 0 && emptied === 'null' ? null : (Object.fromEntries(kept) as JsonObject);
}

function fromList(value: readonly Json[], set: FieldSet, list: ListType, emptied: Emptied): Json {
  const kept: Json[] = [];
  for (const item of value) {
    const below = set.children.get(itemStep(item, list) ?? '');
    if (!below) kept.push(item);
    else if (!below.owned) kept.push(removeFields(item, below, list.items, emptied));
  }
  return kept.length === 0 && emptied === 'null' ? null : kept;
}

import { isObject, type Json } from '#apiserver/json/json.ts';
import { type FieldSet, leaf, nodeOf, nothing } from './field-set.ts';
import { fieldStep, itemStep } from './step.ts';
import { formOf, type ListType, type MapType, memberType, type Type } from './type.ts';

/**
 * Everything that a value says. Scalars and atomic values are one path each; items of lists and entries of true maps are owned themselves,
 * objects with named fields only if they are empty or null. An empty associative list says nothing.
 */
export function toFieldSet(value: Json, type: Type): FieldSet {
  const form = formOf(type, value);
  if (form === 'map') return type.map!.atomic ? leaf : ofMap(value, type.map!);
  if (form === 'list') return type.list!.kind === 'atomic' ? leaf : ofList(value, type.list!);
  return leaf;
}

function ofMap(value: Json, map: MapType): FieldSet {
  if (!isObject(value)) return nothing;
  const children: [string, FieldSet][] = [];
  for (const [name, child] of Object.entries(value)) {
    const type = memberType(map, name);
    if (!type) continue;
    const below = toFieldSet(child, type);
    const owned = below.owned || child === null || isEmptyObject(child) || !map.fields.has(name);
    children.push([fieldStep(name), owned ? { owned, children: below.children } : below]);
  }
  return nodeOf(false, children);
}

function isEmptyObject(value: Json): boolean {
  return isObject(value) && Object.keys(value).length === 0;
}

function ofList(value: Json, list: ListType): FieldSet {
  if (!Array.isArray(value)) return nothing;
  const children: [string, FieldSet][] = [];
  for (const item of value) {
    const step = itemStep(item, list);
    if (step !== undefined) children.push([step, { owned: true, children: toFieldSet(item, list.items).children }]);
  }
  return nodeOf(false, children);
}

/**
 * The set with every named field on the way to a member, which merging treats as the manager's too: such containers go when the last
 * thing in them goes.
 */
export function withNamedParents(set: FieldSet, type: Type | undefined): FieldSet {
  if (set.children.size === 0) return set;
  let same = true;
  const children: [string, FieldSet][] = [];
  for (const [step, child] of set.children) {
    const below = withNamedParents(child, typeBelow(type, step));
    const added = !below.owned && step.startsWith('f:') && type?.map?.fields.has(step.slice(2)) === true;
    same &&= !added && below === child;
    children.push([step, added ? { owned: true, children: below.children } : below]);
  }
  return same ? set : nodeOf(set.owned, children);
}

export function typeBelow(type: Type | undefined, step: string): Type | undefined {
  if (!step.startsWith('f:')) return type?.list?.items;
  return type?.map && memberType(type.map, step.slice(2));
}

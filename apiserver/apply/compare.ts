import { equalJson, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { type FieldSet, GrowingSet, isNothing } from './field-set.ts';
import { fieldStep, itemStep } from './step.ts';
import { type Form, formOf, type ListType, type MapType, memberType, type Type } from './type.ts';

/** What differs between two values. Containers that come or go count themselves, besides what is in them. */
export interface Comparison {
  readonly added: FieldSet;
  readonly removed: FieldSet;
  /** Scalars and atomic values that are others now. */
  readonly modified: FieldSet;
}

export function compare(old: Json, next: Json, type: Type): Comparison {
  const walk = new Walk();
  walk.visit(old, next, type);
  return walk;
}

export function isSame({ added, removed, modified }: Comparison): boolean {
  return isNothing(added) && isNothing(removed) && isNothing(modified);
}

class Walk implements Comparison {
  readonly added = new GrowingSet();
  readonly removed = new GrowingSet();
  readonly modified = new GrowingSet();
  readonly #path: string[] = [];

  /** undefined is what is not there. */
  visit(old: Json | undefined, next: Json | undefined, type: Type): void {
    if (old === next) return;
    const before = old === undefined ? undefined : formOf(type, old);
    const after = next === undefined ? undefined : formOf(type, next);
    // Where the form has changed, one goes and the other comes.
    if (before && before !== after) this.#visitAs(before, old, next, type);
    if (after) this.#visitAs(after, old, next, type);
  }

  #visitAs(form: Form, old: Json | undefined, next: Json | undefined, type: Type): void {
    const whole =
      form === 'map'
        ? !this.#visitMaps(objectOf(old), objectOf(next), type.map!)
        : form === 'scalar' || !this.#visitLists(listOf(old), listOf(next), type.list!);
    if (old === undefined) this.added.add(this.#path);
    else if (next === undefined) this.removed.add(this.#path);
    else if (whole && !equalJson(old, next)) this.modified.add(this.#path);
  }

  /** False for a map that has to be looked at as a whole: an atomic one, or if there is nothing in either. */
  #visitMaps(old: JsonObject | undefined, next: JsonObject | undefined, map: MapType): boolean {
    const names = new Set([...Object.keys(old ?? {}), ...Object.keys(next ?? {})]);
    if (map.atomic || names.size === 0) return false;
    for (const name of names) {
      const type = memberType(map, name);
      if (type) this.#below(fieldStep(name), own(old, name), own(next, name), type);
    }
    return true;
  }

  #visitLists(old: readonly Json[] | undefined, next: readonly Json[] | undefined, list: ListType): boolean {
    if (list.kind === 'atomic' || (!old?.length && !next?.length)) return false;
    // Cheaper than to tell the items apart, and the usual case.
    if (old && next && equalJson(old as Json[], next as Json[])) return true;
    const before = itemsByStep(old ?? [], list);
    const after = itemsByStep(next ?? [], list);
    for (const step of new Set([...before.keys(), ...after.keys()])) {
      const [one, ...moreBefore] = before.get(step) ?? [];
      const [other, ...moreAfter] = after.get(step) ?? [];
      const repeated = moreBefore.length + moreAfter.length > 0;
      if (!repeated) this.#below(step, one, other, list.items);
      // Items that cannot be told apart are one whole.
      else if (!equalJson([one!, ...moreBefore], [other!, ...moreAfter])) this.modified.add([...this.#path, step]);
    }
    return true;
  }

  #below(step: string, old: Json | undefined, next: Json | undefined, type: Type): void {
    this.#path.push(step);
    this.visit(old, next, type);
    this.#path.pop();
  }
}

function itemsByStep(items: readonly Json[], list: ListType): Map<string, Json[]> {
  const result = new Map<string, Json[]>();
  for (const item of items) {
    const step = itemStep(item, list);
    if (step === undefined) continue;
    const same = result.get(step);
    if (same) same.push(item);
    else result.set(step, [item]);
  }
  return result;
}

function own(object: JsonObject | undefined, name: string): Json | undefined {
  return object && Object.hasOwn(object, name) ? object[name] : undefined;
}

function objectOf(value: Json | undefined): JsonObject | undefined {
  return isObject(value) ? value : undefined;
}

function listOf(value: Json | undefined): readonly Json[] | undefined {
  return Array.isArray(value) ? value : undefined;
}

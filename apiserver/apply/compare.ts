import { isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { sameJson } from '#lib/std/same-json.ts';
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
    if (old === undefined && next !== undefined) this.#whole(this.added.at(this.#path), next, type);
    else if (next === undefined && old !== undefined) this.#whole(this.removed.at(this.#path), old, type);
    else this.#visitBoth(old!, next!, type);
  }

  /** All of a value that comes or goes, noted down at its place. */
  #whole(place: GrowingSet, value: Json, type: Type): void {
    place.owned = true;
    const form = formOf(type, value);
    if (form === 'map' && !type.map!.atomic) {
      for (const [name, child] of Object.entries(objectOf(value) ?? {})) {
        const below = memberType(type.map!, name);
        if (below) this.#wholeBelow(place, fieldStep(name), [child], below);
      }
    } else if (form === 'list' && type.list!.kind !== 'atomic') {
      for (const [step, same] of itemsByStep(listOf(value) ?? [], type.list!))
        this.#wholeBelow(place, step, same, type.list!.items);
    }
  }

  #wholeBelow(place: GrowingSet, step: string, [first, ...repeated]: readonly Json[], type: Type): void {
    this.#path.push(step);
    // Items that cannot be told apart are one whole.
    if (repeated.length > 0) this.modified.add(this.#path);
    else this.#whole(place.child(step), first!, type);
    this.#path.pop();
  }

  #visitBoth(old: Json, next: Json, type: Type): void {
    const before = formOf(type, old);
    const after = formOf(type, next);
    // Where the form has changed, one goes and the other comes.
    if (before !== after) this.#visitAs(before, old, next, type);
    this.#visitAs(after, old, next, type);
  }

  #visitAs(form: Form, old: Json, next: Json, type: Type): void {
    const whole =
      form === 'map'
        ? !this.#visitMaps(objectOf(old), objectOf(next), type.map!)
        : form === 'scalar' || !this.#visitLists(listOf(old), listOf(next), type.list!);
    if (whole && !sameJson(old, next)) this.modified.add(this.#path);
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
    if (old && next && sameJson(old as Json[], next as Json[])) return true;
    const before = itemsByStep(old ?? [], list);
    const after = itemsByStep(next ?? [], list);
    for (const step of new Set([...before.keys(), ...after.keys()])) {
      const [one, ...moreBefore] = before.get(step) ?? [];
      const [other, ...moreAfter] = after.get(step) ?? [];
      const repeated = moreBefore.length + moreAfter.length > 0;
      if (!repeated) this.#below(step, one, other, list.items);
      // Items that cannot be told apart are one whole.
      else if (!sameJson([one!, ...moreBefore], [other!, ...moreAfter])) this.modified.add([...this.#path, step]);
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

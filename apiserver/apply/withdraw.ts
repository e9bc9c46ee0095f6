/** What a change of an object does to those who own parts of it. */
import type { JsonObject } from '#apiserver/json/json.ts';
import { collapseAtomic } from './atomic.ts';
import { type Comparison, compare } from './compare.ts';
import { difference, type FieldSet, intersection, isNothing, union } from './field-set.ts';
import { type Manager, type Managers, withFields } from './managers.ts';
import { comparisonWithin, type Reach } from './visible.ts';
import { type Types, typeIn } from './writer.ts';

/** What lies between two states of an object, as each version sees it. */
export type Changes = (apiVersion: string) => Comparison;

/** Compares once per version that is asked for. */
export function changesBetween(old: JsonObject, next: JsonObject, types: Types, reach: Reach): Changes {
  const known = new Map<string, Comparison>();
  return (apiVersion) => {
    const before = known.get(apiVersion);
    if (before) return before;
    const fresh = comparisonWithin(compare(old, next, typeIn(apiVersion, types)), reach);
    known.set(apiVersion, fresh);
    return fresh;
  };
}

/** Without those who spoke of a version that is gone, and as the schemas are today. */
export function upToDate(managers: Managers, types: Types): Managers {
  const result = new Map<string, Manager>();
  for (const [id, manager] of managers) {
    const type = types(manager.apiVersion);
    if (type) result.set(id, withFields(manager, collapseAtomic(manager.fields, type)));
  }
  return result;
}

export interface Withdrawn {
  readonly managers: Managers;
  /** What each of the others has lost to the change, not counting what is gone. */
  readonly lost: readonly { readonly manager: Manager; readonly fields: FieldSet }[];
}

/** Everybody but `self` loses what has been changed or removed. */
export function withdraw(managers: Managers, self: string | undefined, changes: Changes): Withdrawn {
  const result = new Map(managers);
  const lost: { manager: Manager; fields: FieldSet }[] = [];
  for (const [id, manager] of managers) {
    if (id === self) continue;
    const { added, removed, modified } = changes(manager.apiVersion);
    const taken = intersection(manager.fields, union(modified, added));
    if (!isNothing(taken)) lost.push({ manager, fields: taken });
    result.set(id, withFields(manager, difference(difference(manager.fields, taken), removed)));
  }
  return { managers: result, lost };
}

import { atPath } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';

/** A cause for each of these fields that has changed since the object was stored. `wayOut` says what to do instead. */
export function unchanged(
  object: ApiObject,
  old: StoredObject | undefined,
  fields: readonly string[],
  wayOut: string,
): Cause[] {
  if (!old) return [];
  return fields.flatMap((field) => {
    const path = field.split('.');
    const value = atPath(object, path);
    const before = atPath(old, path);
    if (sameJson(value, before)) return [];
    const shown = typeof before === 'object' ? '' : ` (it is ${JSON.stringify(before)})`;
    return [invalid(field, typeof value === 'object' ? null : value, `field is immutable${shown}; ${wayOut}`)];
  });
}

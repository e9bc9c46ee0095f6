import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import type { Cause } from '#lib/std/errors.ts';

/** What one kind asks for beyond its schema. Pure. Called only with objects that their schema accepts and has defaulted. */
export interface Rules {
  /** The object with more filled in; returns it unchanged if there is nothing to add. Called before the schema is checked. */
  readonly defaults?: (object: ApiObject, old: StoredObject | undefined) => ApiObject;
  /** Why the object may not be as it is, or not become what it is. */
  readonly check?: (object: ApiObject, old: StoredObject | undefined) => readonly Cause[];
  /** Why this object may not be deleted by name, and what to do about it. */
  readonly refuseDelete?: (object: StoredObject) => string | undefined;
}

import type { Call } from '#apiserver/http/call.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import type { Part } from '#apiserver/verbs/settle.ts';
import type { Cause } from '#lib/std/errors.ts';

/** The write that a rule is asked about. */
export interface AdmissionRequest extends Pick<Call, 'user' | 'resource' | 'warn'> {
  readonly context: ServerContext;
  /** undefined for objects of the whole cluster. */
  readonly namespace: string | undefined;
  readonly part: Part | 'scale';
  /** Nothing will be written; everything else is as if. */
  readonly dryRun: boolean;
}

/** What one kind asks for beyond its schema. Called only with objects that their schema accepts and has defaulted. */
export interface Rules {
  /** The object with more filled in; returns it unchanged if there is nothing to add. Called before the schema is checked. Pure. */
  readonly defaults?: (object: ApiObject, old: StoredObject | undefined) => ApiObject;
  /** Why the object may not be as it is, or not become what it is. Pure. */
  readonly check?: (object: ApiObject, old: StoredObject | undefined) => readonly Cause[];
  /**
   * Looks beyond the object: at other objects, at who asks. Throws Forbidden, Invalid or Conflict. Asked after `check`, again for every
   * attempt to write, and for dry runs too: it must be free of effects. What it has seen may have changed when the write happens.
   */
  readonly admit?: (object: ApiObject, old: StoredObject | undefined, request: AdmissionRequest) => Promise<void>;
  /** What an object gets when its deletion begins, such as a finalizer for what is to be cleaned up. Pure. */
  readonly beginDelete?: (object: StoredObject, now: string) => StoredObject;
  /** Why this object may not be deleted, and what to do about it. Pure. */
  readonly refuseDelete?: (object: StoredObject) => string | undefined;
}

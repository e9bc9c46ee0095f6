/** What becomes of an object when a client wants it to look like this: the rules between the old and the new. Pure. */
import { admissionDefaults } from '#apiserver/admission/admission.ts';
import { badRequest, conflict, invalidObject, modified } from '#apiserver/http/status.ts';
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import {
  type ApiObject,
  isDeleting,
  type ManagedFieldsEntry,
  type Metadata,
  type StoredObject,
} from '#apiserver/json/object.ts';
import { hasGeneration, type Resource } from '#apiserver/resources/resource.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import type { Change } from '#apiserver/storage/objects.ts';
import { ApiError } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { defaultAsStored } from './prepare.ts';
import { validate } from './validate.ts';

export type Part = 'main' | 'status' | 'finalize';

/**
 * Conflict for another resourceVersion, BadRequest for another name or namespace, Invalid for what may not change or be. `own` notes down
 * whose fields the new object has: before it is filled in with what nobody has asked for.
 */
export function settle(
  current: StoredObject,
  wanted: ApiObject,
  resource: Resource,
  part: Part,
  own: (object: ApiObject) => ApiObject,
): Change {
  checkIdentity(current, wanted, resource);
  const merged = defaultAsStored(own(combine(current, wanted, resource, part)), resource);
  // Defaults first: what they fill in again is no change.
  const complete = withGeneration(current, admissionDefaults(merged, current, resource), resource);
  const object = keepIdleTimes(current, complete);
  validate(object, current, resource);
  return isDeleting(object) && isFree(object)
    ? { type: 'remove', object: { ...current, ...object } as StoredObject }
    : { type: 'write', object };
}

function checkIdentity(current: StoredObject, wanted: ApiObject, resource: Resource): void {
  const { name, namespace, uid } = current.metadata;
  const sent = wanted.metadata;
  if (sent.name !== undefined && sent.name !== name)
    throw badRequest(`the name of the object (${sent.name}) does not match the name on the URL (${name})`);
  if (sent.namespace !== undefined && sent.namespace !== namespace)
    throw badRequest(
      `the namespace of the object (${sent.namespace}) does not match the namespace on the URL (${namespace ?? ''})`,
    );
  if (sent.resourceVersion !== undefined && sent.resourceVersion !== current.metadata.resourceVersion) {
    if (!/^\d+$/.test(sent.resourceVersion))
      throw new ApiError(
        'Unknown',
        `strconv.ParseUint: parsing ${JSON.stringify(sent.resourceVersion)}: invalid syntax`,
      );
    throw conflict(resource, name, modified);
  }
  if (sent.uid !== undefined && sent.uid !== uid)
    throw invalidObject(resource, name, [invalid('metadata.uid', sent.uid, 'field is immutable')]);
}

/** Writes to one part leave the others as they are, whatever is sent: users and controllers must not revert each other. */
function combine(current: StoredObject, wanted: ApiObject, resource: Resource, part: Part): ApiObject {
  if (part === 'status') return withMember(current, 'status', at(wanted, 'status'));
  if (part === 'finalize') {
    const spec = at(wanted, 'spec');
    const old = at(current, 'spec');
    const finalizers = isObject(spec) ? at(spec, 'finalizers') : undefined;
    return withMember(current, 'spec', { ...(isObject(old) ? old : {}), finalizers: finalizers ?? [] });
  }
  const metadata = keepServerFields(current.metadata, wanted.metadata);
  const merged = { ...wanted, metadata } as ApiObject;
  const kept = resource.status ? withMember(merged, 'status', at(current, 'status')) : merged;
  return resource.finalize ? withMember(kept, 'spec', at(current, 'spec')) : kept;
}

function withMember(object: ApiObject, name: string, value: Json | undefined): ApiObject {
  const { [name]: _, ...rest } = object as JsonObject;
  return (value === undefined ? rest : { ...rest, [name]: value }) as ApiObject;
}

function keepServerFields(old: Metadata, sent: Metadata): Metadata {
  const {
    creationTimestamp: _,
    deletionTimestamp: __,
    deletionGracePeriodSeconds: ___,
    generation: ____,
    ...rest
  } = sent;
  const kept = Object.fromEntries(
    (
      [
        'name',
        'namespace',
        'uid',
        'resourceVersion',
        'generateName',
        'creationTimestamp',
        'deletionTimestamp',
        'deletionGracePeriodSeconds',
        'generation',
      ] as const
    ).flatMap((name) => (old[name] === undefined ? [] : [[name, old[name]]])),
  ) as Metadata;
  return { ...rest, ...kept };
}

/** A write that changes nothing but the times in managedFields changes nothing. */
function keepIdleTimes(current: StoredObject, next: ApiObject): ApiObject {
  const { managedFields: before, ...oldMetadata } = current.metadata;
  const { managedFields: after, ...metadata } = next.metadata;
  const idle =
    before !== undefined &&
    after !== undefined &&
    sameJson(before.map(withoutTime), after.map(withoutTime)) &&
    sameJson({ ...current, metadata: oldMetadata }, { ...next, metadata });
  return idle ? { ...next, metadata: { ...metadata, managedFields: before } } : next;
}

function withoutTime({ time: _, ...entry }: ManagedFieldsEntry): JsonObject {
  return entry;
}

/** One more for every change outside metadata and status; Kubernetes' own kinds have no generation. */
function withGeneration(current: StoredObject, next: ApiObject, resource: Resource): ApiObject {
  if (!hasGeneration(resource) || sameJson(desired(current, resource), desired(next, resource))) return next;
  return { ...next, metadata: { ...next.metadata, generation: (current.metadata.generation ?? 0) + 1 } };
}

function desired(object: ApiObject, resource: Resource): JsonObject {
  const { metadata: _, ...rest } = object as JsonObject;
  if (!resource.status) return rest;
  const { status: __, ...spec } = rest;
  return spec;
}

/** Nobody holds the object back any more. Namespaces are held by spec.finalizers too. */
export function isFree(object: ApiObject): boolean {
  if ((object.metadata.finalizers ?? []).length > 0) return false;
  if (object.kind !== 'Namespace' || object.apiVersion !== 'v1') return true;
  const spec = at(object, 'spec');
  const finalizers = isObject(spec) ? at(spec, 'finalizers') : undefined;
  return !Array.isArray(finalizers) || finalizers.length === 0;
}

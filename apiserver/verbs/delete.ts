import { admissionDelete, refuseDelete } from '#apiserver/admission/admission.ts';
import type { Answer, Call } from '#apiserver/http/call.ts';
import { forbiddenObject } from '#apiserver/http/status.ts';
import { at, isObject, type JsonObject } from '#apiserver/json/json.ts';
import { isDeleting, type Metadata, type StoredObject } from '#apiserver/json/object.ts';
import { qualifiedKind, type Resource } from '#apiserver/resources/resource.ts';
import { type Change, type Changed, changeObject, type ObjectKey } from '#apiserver/storage/objects.ts';
import { timestamp } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import { type DeleteOptions, readDeleteOptions } from './delete-options.ts';
import type { ServerContext } from './server-context.ts';
import { isFree } from './settle.ts';

/** DELETE: the object goes at once if nobody holds it back, else it is marked and stays until its finalizers are gone. */
export async function remove(context: ServerContext, call: Call): Promise<Answer> {
  const { resource, path } = call;
  const options = await readDeleteOptions(call);
  const key = { resource, namespace: path.namespace, name: path.name ?? '' };
  const changed = await deleteObject(context, key, options);
  return { status: 200, body: changed.removed ? success(changed.object, resource) : changed.object };
}

/** As DELETE of one object. Conflict if it is not what the preconditions say, Forbidden if its kind protects it. */
export function deleteObject(context: ServerContext, key: ObjectKey, asked: DeleteOptions): Promise<Changed> {
  const now = timestamp(context.clock.now());
  const options = supported(asked, key.resource);
  const change = (current: StoredObject) => {
    checkPreconditions(current, options, key.resource);
    const refusal = isDeleting(current) ? undefined : refuseDelete(current, key.resource);
    if (refusal) throw forbiddenObject(key.resource, current.metadata.name, refusal);
    const held = isDeleting(current) ? current : admissionDelete(current, key.resource, now);
    return beginDelete(held, options, key.resource, now);
  };
  return changeObject(context.store, key, change, options.dryRun);
}

/** Nobody collects the dependents of what lives by time, Events: a finalizer for that would never be taken away, as in Kubernetes. */
function supported(asked: DeleteOptions, resource: Resource): DeleteOptions {
  if (resource.ttlSeconds === undefined || asked.propagation === undefined) return asked;
  return { ...asked, propagation: 'Background' };
}

function success(object: StoredObject, resource: Resource): JsonObject {
  const { name, uid } = object.metadata;
  const details = { name, ...(resource.group === '' ? {} : { group: resource.group }), kind: resource.plural, uid };
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details,
  };
}

function checkPreconditions(current: StoredObject, options: DeleteOptions, resource: Resource): void {
  const { name, uid, resourceVersion } = current.metadata;
  const refuse = (why: string) =>
    new ApiError('Conflict', `Operation cannot be fulfilled on ${qualifiedKind(resource)} "${name}": ${why}`, {
      details: { name, group: resource.group, kind: resource.kind },
    });
  if (options.uid !== undefined && options.uid !== uid)
    throw refuse(
      `the UID in the precondition (${options.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`,
    );
  if (options.resourceVersion !== undefined && options.resourceVersion !== resourceVersion)
    throw refuse(
      `the ResourceVersion in the precondition (${options.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`,
    );
}

/** Pure: what a deletion makes of this object (apiserver, registry/generic/registry/store.go and rest/delete.go). */
export function beginDelete(current: StoredObject, options: DeleteOptions, resource: Resource, now: string): Change {
  const marked: StoredObject = {
    ...current,
    metadata: { ...current.metadata, ...finalizersFor(current.metadata, options) },
  };
  if (marked.metadata.finalizers?.length === 0) delete marked.metadata.finalizers;
  if (isFree(marked)) return { type: 'remove', object: current };
  if (isDeleting(current)) return { type: 'write', object: marked };
  const { generation } = marked.metadata;
  const metadata = {
    ...marked.metadata,
    deletionTimestamp: now,
    deletionGracePeriodSeconds: 0,
    ...(generation === undefined ? {} : { generation: generation + 1 }),
  };
  return { type: 'write', object: terminating({ ...marked, metadata }, resource) };
}

/** The two finalizers of the garbage collector stand for the policy; a later request may choose another. */
function finalizersFor(metadata: Metadata, options: DeleteOptions): { finalizers?: string[] } {
  const old = metadata.finalizers ?? [];
  if (options.propagation === undefined) return metadata.finalizers ? { finalizers: [...old] } : {};
  const others = old.filter((name) => name !== 'orphan' && name !== 'foregroundDeletion');
  if (options.propagation === 'Orphan') return { finalizers: [...others, 'orphan'] };
  if (options.propagation === 'Foreground') return { finalizers: [...others, 'foregroundDeletion'] };
  return { finalizers: others };
}

function terminating(object: StoredObject, resource: Resource): StoredObject {
  if (!resource.finalize) return object;
  const status = at(object, 'status');
  return { ...object, status: { ...(isObject(status) ? status : {}), phase: 'Terminating' } };
}

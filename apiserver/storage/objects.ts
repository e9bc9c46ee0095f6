/** Objects in the store: reading one, and changing one by compare-and-swap. */
import { alreadyExists, conflict, modified, notFound } from '#apiserver/http/status.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import type { KeyValue, Store } from '#apiserver/store/store.ts';
import { ApiError, isCode } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { decode, encode } from './codec.ts';
import { keyOf } from './keys.ts';

export interface ObjectKey {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly name: string;
}

/** What is to become of an object that was read. */
export type Change =
  | { readonly type: 'write'; readonly object: ApiObject }
  /** It goes away; `object` is its last state, for the answer. */
  | { readonly type: 'remove'; readonly object: StoredObject };

export interface Changed {
  readonly removed: boolean;
  readonly object: StoredObject;
}

/** Writers that lose this often in a row have met something that rewrites the object all the time. */
const maxAttempts = 50;

export async function readObject(store: Store, key: ObjectKey): Promise<StoredObject> {
  const { kv } = await store.get(keyOf(key.resource, key.namespace, key.name));
  if (!kv) throw notFound(key.resource, key.name);
  return decode(kv.value, kv.modRev, key.resource);
}

/**
 * AlreadyExists if the name is taken, MethodNotAllowed if the kind is going away: objects that came after it was emptied would belong to
 * nothing. A dry run does everything but write; its answer has no resourceVersion, as in Kubernetes.
 */
export async function createObject(
  store: Store,
  key: ObjectKey,
  object: ApiObject,
  dryRun: boolean,
): Promise<ApiObject> {
  if (key.resource.terminating)
    throw new ApiError('MethodNotAllowed', 'create not allowed while custom resource definition is terminating');
  const path = keyOf(key.resource, key.namespace, key.name);
  if (dryRun) {
    if ((await store.get(path)).kv) throw alreadyExists(key.resource, key.name);
    return object;
  }
  return await fitting(object, async (fit) => {
    const result = await store.create(path, encode(fit, key.resource), lifetime(key.resource));
    if (!result.ok) throw alreadyExists(key.resource, key.name);
    return stamped(fit, result.rev);
  });
}

/** An object that is too large because of managedFields is stored without them, as Kubernetes does, before it is refused. */
async function fitting<T>(object: ApiObject, write: (object: ApiObject) => Promise<T>): Promise<T> {
  try {
    return await write(object);
  } catch (error) {
    const { managedFields, ...metadata } = object.metadata;
    if (!managedFields || !isCode(error, 'RequestEntityTooLarge')) throw error;
    return await write({ ...object, metadata });
  }
}

function lifetime(resource: Resource): { ttlSeconds?: number } {
  return resource.ttlSeconds === undefined ? {} : { ttlSeconds: resource.ttlSeconds };
}

function stamped(object: ApiObject, rev: bigint): StoredObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(rev) } } as StoredObject;
}

/**
 * Reads the object, asks `change` what is to become of it, and does that unless somebody else was faster: then asks again. `change`
 * must be free of effects, and itself refuse what speaks of an older version. Writes nothing if nothing would differ.
 */
export async function changeObject(
  store: Store,
  key: ObjectKey,
  change: (current: StoredObject) => Change | Promise<Change>,
  dryRun: boolean,
): Promise<Changed> {
  const path = keyOf(key.resource, key.namespace, key.name);
  let { kv } = await store.get(path);
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    if (!kv) throw notFound(key.resource, key.name);
    const wanted = await change(decode(kv.value, kv.modRev, key.resource));
    if (dryRun) return pretend(wanted, kv);
    const result = await apply(store, path, key.resource, wanted, kv);
    if (result.ok) return result.changed;
    kv = result.current;
  }
  throw conflict(key.resource, key.name, modified);
}

function pretend(wanted: Change, kv: KeyValue): Changed {
  return { removed: wanted.type === 'remove', object: stamped(wanted.object, kv.modRev) };
}

type Applied =
  | { readonly ok: true; readonly changed: Changed }
  | { readonly ok: false; readonly current: KeyValue | undefined };

async function apply(store: Store, path: string, resource: Resource, wanted: Change, kv: KeyValue): Promise<Applied> {
  if (wanted.type === 'remove') {
    const result = await store.delete(path, kv.modRev);
    return result.ok ? { ok: true, changed: { removed: true, object: wanted.object } } : result;
  }
  const current = decode(kv.value, kv.modRev, resource);
  if (sameJson(current, stamped(wanted.object, kv.modRev)))
    return { ok: true, changed: { removed: false, object: current } };
  return await fitting(wanted.object, async (object) => {
    const result = await store.update(path, encode(object, resource), kv.modRev, lifetime(resource));
    return result.ok ? { ok: true, changed: { removed: false, object: stamped(object, result.rev) } } : result;
  });
}

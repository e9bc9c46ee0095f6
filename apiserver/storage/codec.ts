/** Objects as bytes: JSON of the storage version without its resourceVersion, which is the revision of the store. */
import { copyJson } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { apiVersionOf, type Resource } from '#apiserver/resources/resource.ts';
import { applyDefaults } from '#apiserver/schema/defaults.ts';
import { prune } from '#apiserver/schema/prune.ts';

export function encode(object: ApiObject, resource: Resource): Uint8Array {
  const { resourceVersion: _, ...metadata } = object.metadata;
  const stored = resource.view?.toStored(object) ?? object;
  return Buffer.from(JSON.stringify({ ...stored, apiVersion: storedApiVersion(resource), metadata }));
}

/** The object in the version that is asked for. */
export function decode(value: Uint8Array, rev: bigint, resource: Resource): StoredObject {
  const object = decodeStored(value, rev, resource);
  return isStorageVersion(resource) ? object : relabel(object, resource);
}

/**
 * The object in the version that is stored. Defaults are filled in on reading too, so that a field that a newer schema defaults is
 * there in objects that were stored before.
 */
export function decodeStored(value: Uint8Array, rev: bigint, resource: Resource): StoredObject {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const object = JSON.parse(bytes.toString('utf8')) as StoredObject;
  applyDefaults(object, resource.storageSchema);
  object.apiVersion = storedApiVersion(resource);
  object.metadata.resourceVersion = String(rev);
  return object;
}

function storedApiVersion(resource: Resource): string {
  const { group, storageVersion } = resource.view?.of ?? resource;
  return apiVersionOf({ group, version: storageVersion });
}

export function isStorageVersion(resource: Resource): boolean {
  return resource.view === undefined && resource.version === resource.storageVersion;
}

/** A stored object in another version of its kind, as a copy. */
export function inVersion(stored: StoredObject, resource: Resource): StoredObject {
  return relabel(copyJson(stored), resource);
}

/**
 * Conversion strategy None: another apiVersion over the same fields, as far as that version knows them, with its defaults. Changes the
 * object in place. A view says for itself what becomes of the fields.
 */
function relabel(stored: StoredObject, resource: Resource): StoredObject {
  const object = (resource.view?.fromStored(stored) ?? stored) as StoredObject;
  prune(object, resource.schema);
  applyDefaults(object, resource.schema);
  object.apiVersion = apiVersionOf(resource);
  return object;
}

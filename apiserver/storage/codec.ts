/** Objects as bytes: JSON of the storage version without its resourceVersion, which is the revision of the store. */
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { apiVersionOf, type Resource } from '#apiserver/resources/resource.ts';
import { applyDefaults } from '#apiserver/schema/defaults.ts';

export function encode(object: ApiObject, resource: Resource): Uint8Array {
  const { resourceVersion: _, ...metadata } = object.metadata;
  const apiVersion = apiVersionOf({ group: resource.group, version: resource.storageVersion });
  return Buffer.from(JSON.stringify({ ...object, apiVersion, metadata }));
}

/**
 * The object under the apiVersion that is asked for. Defaults are filled in on reading too, so that a field that a newer schema
 * defaults is there in objects that were stored before.
 */
export function decode(value: Uint8Array, rev: bigint, resource: Resource): StoredObject {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const object = JSON.parse(bytes.toString('utf8')) as StoredObject;
  applyDefaults(object, resource.storageSchema);
  if (resource.schema !== resource.storageSchema) applyDefaults(object, resource.schema);
  object.apiVersion = apiVersionOf(resource);
  object.metadata.resourceVersion = String(rev);
  return object;
}

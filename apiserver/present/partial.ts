import type { MetaVersion } from '#apiserver/http/negotiate.ts';
import type { JsonObject } from '#apiserver/json/json.ts';

/** metav1.PartialObjectMetadata: who an object is, without what it says. */
export function partialOf(object: JsonObject, apiVersion: MetaVersion): JsonObject {
  return { kind: 'PartialObjectMetadata', apiVersion, metadata: object.metadata ?? {} };
}

/** Of a list as it is served. */
export function partialListOf(list: JsonObject, apiVersion: MetaVersion): JsonObject {
  const items = Array.isArray(list.items) ? (list.items as JsonObject[]) : [];
  return {
    kind: 'PartialObjectMetadataList',
    apiVersion,
    metadata: list.metadata ?? {},
    items: items.map((item) => partialOf(item, apiVersion)),
  };
}

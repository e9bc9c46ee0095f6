import type { JsonObject } from '#apiserver/json/json.ts';

/** metav1.PartialObjectMetadata: who an object is, without what it says. */
export function partialOf(object: JsonObject): JsonObject {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata ?? {} };
}

/** Of a list as it is served. */
export function partialListOf(list: JsonObject): JsonObject {
  const items = Array.isArray(list.items) ? (list.items as JsonObject[]) : [];
  return {
    kind: 'PartialObjectMetadataList',
    apiVersion: 'meta.k8s.io/v1',
    metadata: list.metadata ?? {},
    items: items.map(partialOf),
  };
}

/** OpenAPI v3: one document per group and version, and an index of them. */
import type { JsonObject } from '#apiserver/json/json.ts';
import type { GroupVersion, Registry } from '#apiserver/resources/registry.ts';
import { kindSchemas } from './kinds.ts';
import { metaSchemas, scaleSchemas } from './meta-schemas.ts';
import { documentPath, pathsOf } from './paths.ts';

/** `hashOf` says by which hash a document is asked for: it changes when the document does. */
export function openApiIndex(registry: Registry, hashOf: (at: GroupVersion) => string): JsonObject {
  const all = registry.groups().flatMap(({ group, versions }) => versions.map((version) => ({ group, version })));
  const entries = all.map((at): [string, JsonObject] => {
    const path = documentPath(at);
    return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hashOf(at)}` }];
  });
  return { paths: Object.fromEntries(entries) };
}

export const documentInfo = { title: 'Compute Factory', version: 'v1' };

/** Undefined for a group and version that is not served. */
export function openApiDocument(registry: Registry, at: GroupVersion): JsonObject | undefined {
  const resources = registry.of(at);
  if (resources.length === 0) return undefined;
  const scaled = resources.some(({ scale }) => scale);
  const schemas = Object.assign({}, ...resources.map(kindSchemas), metaSchemas, scaled ? scaleSchemas : {});
  return {
    openapi: '3.0.0',
    info: documentInfo,
    paths: Object.assign({}, ...resources.map(pathsOf)),
    components: { schemas },
  };
}

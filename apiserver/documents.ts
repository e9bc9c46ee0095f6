/** Answers about the server itself: version, discovery, OpenAPI. Made once per state of the registry. */
import { createHash } from 'node:crypto';
import { aggregatedType, groupDiscoveryList, wantsAggregated } from '#apiserver/discovery/aggregated.ts';
import { apiGroup, apiGroupList, apiResourceList, apiVersions } from '#apiserver/discovery/legacy.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import { openApiV2, openApiV2Protobuf, openApiV2ProtobufType, wantsOpenApiV2Protobuf } from '#apiserver/openapi/v2.ts';
import { openApiDocument, openApiIndex } from '#apiserver/openapi/v3.ts';
import type { GroupVersion, Registry } from '#apiserver/resources/registry.ts';
import { serverVersion } from './version.ts';

export interface Document {
  readonly content: string | Buffer;
  readonly contentType: string;
  readonly etag: string;
  readonly varyAccept: boolean;
}

export type Documents = (path: string, accept: string | undefined) => Document | undefined;

export function createDocuments(registry: Registry): Documents {
  const cache = new Map<string, Document | undefined>();
  let revision = registry.revision;
  return (path, accept) => {
    if (revision !== registry.revision) cache.clear();
    revision = registry.revision;
    const form = formOf(path, accept);
    const key = `${form} ${path}`;
    if (cache.has(key)) return cache.get(key);
    const document = make(registry, path, form);
    // Paths that mean nothing are not kept: there is no end to them.
    if (document) cache.set(key, document);
    return document;
  };
}

type Form = 'plain' | 'aggregated' | 'protobuf';

function formOf(path: string, accept: string | undefined): Form {
  if ((path === '/api' || path === '/apis') && wantsAggregated(accept)) return 'aggregated';
  return path === '/openapi/v2' && wantsOpenApiV2Protobuf(accept) ? 'protobuf' : 'plain';
}

function make(registry: Registry, path: string, form: Form): Document | undefined {
  if (form === 'protobuf') return toDocument(openApiV2Protobuf(registry), openApiV2ProtobufType, true);
  if (form === 'aggregated')
    return toDocument(JSON.stringify(groupDiscoveryList(registry, path === '/api')), aggregatedType, true);
  const body = build(registry, path);
  return body && toDocument(JSON.stringify(body), 'application/json', false);
}

function toDocument(content: string | Buffer, contentType: string, varyAccept: boolean): Document {
  const etag = `"${createHash('sha256').update(content).digest('hex').toUpperCase()}"`;
  return { content, contentType, etag, varyAccept };
}

function build(registry: Registry, path: string): JsonObject | undefined {
  if (path === '/version') return serverVersion;
  if (path === '/api') return apiVersions();
  if (path === '/apis') return apiGroupList(registry);
  if (path === '/openapi/v2') return openApiV2(registry);
  if (path === '/openapi/v3') return openApiIndex(registry);
  const openApi = /^\/openapi\/v3\/(.+)$/.exec(path);
  const at = groupVersion(openApi ? `/${openApi[1]}` : path);
  if (openApi) return at && registry.of(at).length > 0 ? openApiDocument(registry, at) : undefined;
  if (at) return apiResourceList(registry, at);
  const group = /^\/apis\/([^/]+)$/.exec(path);
  return group ? apiGroup(registry, group[1]!) : undefined;
}

function groupVersion(path: string): GroupVersion | undefined {
  const match = /^\/(?:api|apis\/([^/]+))\/([^/]+)$/.exec(path);
  return match ? { group: match[1] ?? '', version: match[2]! } : undefined;
}

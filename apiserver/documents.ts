/** Answers about the server itself: version, discovery, OpenAPI. Made once per state of the registry. */
import { createHash } from 'node:crypto';
import { aggregatedType, groupDiscoveryList, wantsAggregated } from '#apiserver/discovery/aggregated.ts';
import { apiGroup, apiGroupList, apiResourceList, apiVersions } from '#apiserver/discovery/legacy.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import { openApiDocument, openApiIndex } from '#apiserver/openapi/v3.ts';
import type { GroupVersion, Registry } from '#apiserver/resources/registry.ts';
import { serverVersion } from './version.ts';

export interface Document {
  readonly text: string;
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
    const aggregated = wantsAggregated(accept) && (path === '/api' || path === '/apis');
    const key = `${path} ${aggregated}`;
    if (cache.has(key)) return cache.get(key);
    const body = aggregated ? groupDiscoveryList(registry, path === '/api') : build(registry, path);
    const document = body && toDocument(body, aggregated);
    // Paths that mean nothing are not kept: there is no end to them.
    if (document) cache.set(key, document);
    return document;
  };
}

function toDocument(body: JsonObject, aggregated: boolean): Document {
  const text = JSON.stringify(body);
  return {
    text,
    contentType: aggregated ? aggregatedType : 'application/json',
    etag: `"${createHash('sha256').update(text).digest('hex').toUpperCase()}"`,
    varyAccept: aggregated,
  };
}

function build(registry: Registry, path: string): JsonObject | undefined {
  if (path === '/version') return serverVersion;
  if (path === '/api') return apiVersions();
  if (path === '/apis') return apiGroupList(registry);
  if (path === '/openapi/v3') return openApiIndex(registry);
  const openApi = /^\/openapi\/v3\/(.+)$/.exec(path);
  const at = groupVersion(openApi ? `/${openApi[1]}` : path);
  if (openApi) return at && isServed(registry, at) ? openApiDocument(registry, at) : undefined;
  if (at) return apiResourceList(registry, at);
  const group = /^\/apis\/([^/]+)$/.exec(path);
  return group ? apiGroup(registry, group[1]!) : undefined;
}

function groupVersion(path: string): GroupVersion | undefined {
  const match = /^\/(?:api|apis\/([^/]+))\/([^/]+)$/.exec(path);
  return match ? { group: match[1] ?? '', version: match[2]! } : undefined;
}

function isServed(registry: Registry, at: GroupVersion): boolean {
  return registry.all().some(({ group, version }) => group === at.group && version === at.version);
}

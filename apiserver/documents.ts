/**
 * Answers about the server itself: version, discovery, OpenAPI. Made when somebody asks, and kept until the registry changes; documents of
 * one group and version until one of its own kinds does. Their hashes are those of their content, so they change when it does.
 */
import { createHash } from 'node:crypto';
import { aggregatedType, groupDiscoveryList, wantsAggregated } from '#apiserver/discovery/aggregated.ts';
import { apiGroup, apiGroupList, apiResourceList, apiVersions } from '#apiserver/discovery/legacy.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import { openApiV2 } from '#apiserver/openapi/v2.ts';
import { openApiV2Protobuf, openApiV2ProtobufType, wantsOpenApiV2Protobuf } from '#apiserver/openapi/v2-protobuf.ts';
import { openApiDocument, openApiIndex } from '#apiserver/openapi/v3.ts';
import type { GroupVersion, Registry } from '#apiserver/resources/registry.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { serverVersion } from './version.ts';

export interface Document {
  readonly content: string | Buffer;
  readonly contentType: string;
  /** SHA-512, in capitals. */
  readonly hash: string;
  readonly varyAccept: boolean;
}

export type Documents = (path: string, accept: string | undefined) => Document | undefined;

export function createDocuments(registry: Registry): Documents {
  const cache = new Map<string, Document>();
  const groupDocuments = rememberGroups(registry);
  let revision = registry.revision;
  return (path, accept) => {
    if (revision !== registry.revision) cache.clear();
    revision = registry.revision;
    const form = formOf(path, accept);
    const key = `${form} ${path}`;
    const known = cache.get(key);
    if (known) return known;
    const document = make(registry, groupDocuments, path, form);
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

interface GroupDocument {
  readonly resources: readonly Resource[];
  readonly value: JsonObject;
  readonly document: Document;
}

type GroupDocuments = (at: GroupVersion) => GroupDocument | undefined;

/** OpenAPI v3 documents, the heaviest ones: a change in one group leaves those of the others alone. */
function rememberGroups(registry: Registry): GroupDocuments {
  const known = new Map<string, GroupDocument>();
  return (at) => {
    const key = `${at.group}/${at.version}`;
    const resources = registry.of(at);
    const last = known.get(key);
    if (last && isSameList(last.resources, resources)) return last;
    known.delete(key);
    const value = openApiDocument(registry, at);
    if (!value) return undefined;
    const fresh = { resources, value, document: json(value) };
    known.set(key, fresh);
    return fresh;
  };
}

function isSameList(one: readonly Resource[], other: readonly Resource[]): boolean {
  return one.length === other.length && one.every((resource, index) => resource === other[index]);
}

function make(registry: Registry, groups: GroupDocuments, path: string, form: Form): Document | undefined {
  if (form === 'aggregated')
    return toDocument(JSON.stringify(groupDiscoveryList(registry, path === '/api')), aggregatedType, true);
  if (form === 'protobuf')
    return toDocument(openApiV2Protobuf(allGroups(registry, groups)), openApiV2ProtobufType, true);
  if (path === '/openapi/v2') return json(allGroups(registry, groups), true);
  if (path === '/openapi/v3') return json(openApiIndex(registry, (at) => groups(at)?.document.hash ?? ''));
  const openApi = /^\/openapi\/v3\/(.+)$/.exec(path);
  if (openApi) {
    const at = groupVersion(`/${openApi[1]}`);
    return at && groups(at)?.document;
  }
  const body = discovery(registry, path);
  return body && json(body, path === '/api' || path === '/apis');
}

function allGroups(registry: Registry, groups: GroupDocuments): JsonObject {
  const all = registry.groups().flatMap(({ group, versions }) => versions.map((version) => groups({ group, version })));
  return openApiV2(all.flatMap((group) => (group ? [group.value] : [])));
}

function json(value: JsonObject, varyAccept = false): Document {
  return toDocument(JSON.stringify(value), 'application/json', varyAccept);
}

function toDocument(content: string | Buffer, contentType: string, varyAccept: boolean): Document {
  const hash = createHash('sha512').update(content).digest('hex').toUpperCase();
  return { content, contentType, hash, varyAccept };
}

function discovery(registry: Registry, path: string): JsonObject | undefined {
  if (path === '/version') return serverVersion;
  if (path === '/api') return apiVersions();
  if (path === '/apis') return apiGroupList(registry);
  const at = groupVersion(path);
  if (at) return apiResourceList(registry, at);
  const group = /^\/apis\/([^/]+)$/.exec(path);
  return group ? apiGroup(registry, group[1]!) : undefined;
}

function groupVersion(path: string): GroupVersion | undefined {
  const match = /^\/(?:api|apis\/([^/]+))\/([^/]+)$/.exec(path);
  return match ? { group: match[1] ?? '', version: match[2]! } : undefined;
}

/**
 * OpenAPI v3, as much of it as clients read: kubectl finds a kind by its path, sees from the fieldValidation parameter that the server
 * validates, and explains the schema that carries the kind.
 */
import { createHash } from 'node:crypto';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { GroupVersion, Registry } from '#apiserver/resources/registry.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import { metaSchemas, objectMetaName } from './meta-schemas.ts';

/** `api/v1` or `apis/g/v1`: how the index names documents. */
export function documentPath({ group, version }: GroupVersion): string {
  return group === '' ? `api/${version}` : `apis/${group}/${version}`;
}

/** /openapi/v3: where the document of each group and version is, under a URL that changes with its content. */
export function openApiIndex(registry: Registry): JsonObject {
  const all = registry.groups().flatMap(({ group, versions }) => versions.map((version) => ({ group, version })));
  const entries = all.map((at) => {
    const path = documentPath(at);
    return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hashOf(openApiDocument(registry, at))}` }] as const;
  });
  return { paths: Object.fromEntries(entries) };
}

export function hashOf(document: JsonObject): string {
  return createHash('sha256').update(JSON.stringify(document)).digest('hex').toUpperCase();
}

/** The document of one group and version; without paths if it is not served. */
export function openApiDocument(registry: Registry, at: GroupVersion): JsonObject {
  const resources = registry.of(at);
  return {
    openapi: '3.0.0',
    info: { title: 'Compute Factory', version: 'v1' },
    paths: Object.fromEntries(resources.flatMap((resource) => pathsOf(resource))),
    components: {
      schemas: Object.fromEntries([
        ...resources.map((resource) => [schemaName(resource), kindSchema(resource)] as const),
        ...Object.entries(metaSchemas),
      ]),
    },
  };
}

/** As Kubernetes names definitions: the group turned around, then version and kind. */
export function schemaName({ group, version, kind }: Resource): string {
  const reversed = group === '' ? 'io.k8s.api.core' : group.split('.').reverse().join('.');
  return `${reversed}.${version}.${kind}`;
}

export function kindSchema(resource: Resource): JsonObject {
  const { group, version, kind, schema } = resource;
  const meta = {
    metadata: { description: 'Name, labels, owners and the like.', allOf: [{ $ref: ref(objectMetaName) }] },
  };
  return {
    ...publicSchema(schema),
    properties: { ...(publicSchema(schema).properties as JsonObject | undefined), ...meta },
    'x-kubernetes-group-version-kind': [{ group, version, kind }],
  };
}

function ref(name: string): string {
  return `#/components/schemas/${name}`;
}

/** Schemas hold JSON only. */
function publicSchema(schema: Schema): JsonObject {
  return schema as unknown as JsonObject;
}

function pathsOf(resource: Resource): [string, JsonObject][] {
  const { plural, namespaced } = resource;
  const collection = `/${documentPath(resource)}/${namespaced ? 'namespaces/{namespace}/' : ''}${plural}`;
  const reply = {
    200: { description: 'OK', content: { 'application/json': { schema: { $ref: ref(schemaName(resource)) } } } },
  };
  const can = (verb: string) => resource.verbs.some((known) => known === verb);
  const operation = (action: string, more: JsonObject = {}) => ({
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': { group: resource.group, version: resource.version, kind: resource.kind },
    responses: reply,
    ...more,
  });
  const write = { parameters: writeParameters };
  return [
    [collection, { get: operation('list'), ...(can('create') ? { post: operation('post', write) } : {}) }],
    [
      `${collection}/{name}`,
      {
        get: operation('get'),
        ...(can('update') ? { put: operation('put', write) } : {}),
        ...(can('patch') ? { patch: operation('patch', { ...write, requestBody: patchBody(resource) }) } : {}),
        ...(can('delete') ? { delete: operation('delete') } : {}),
      },
    ],
  ];
}

const writeParameters: JsonObject[] = ['dryRun', 'fieldManager', 'fieldValidation'].map((name) => ({
  name,
  in: 'query',
  schema: { type: 'string' },
}));

/** What a kind is not listed with, kubectl does not send. */
function patchBody(resource: Resource): JsonObject {
  const types = ['application/json-patch+json', 'application/merge-patch+json'];
  if (resource.builtin) types.push('application/strategic-merge-patch+json');
  return { content: Object.fromEntries(types.map((type) => [type, {}])) };
}

/** The paths of a resource and what can be done at each: from them kubectl learns whether a kind is served and what it may ask for. */
import type { JsonObject } from '#apiserver/json/json.ts';
import type { GroupVersion } from '#apiserver/resources/registry.ts';
import type { Resource, Verb } from '#apiserver/resources/resource.ts';
import { schemaName } from './kinds.ts';
import { deleteOptionsName, patchName, ref, scaleName, statusName } from './meta-schemas.ts';
import {
  collectionParameters,
  deleteParameters,
  nameParameter,
  namespaceParameter,
  patchParameters,
  pretty,
  readParameters,
  writeParameters,
} from './parameters.ts';

/** `api/v1` or `apis/g/v1`: how the index names documents. */
export function documentPath({ group, version }: GroupVersion): string {
  return group === '' ? `api/${version}` : `apis/${group}/${version}`;
}

export function pathsOf(resource: Resource): JsonObject {
  const { plural, namespaced } = resource;
  const base = `/${documentPath(resource)}`;
  const collection = `${base}/${namespaced ? 'namespaces/{namespace}/' : ''}${plural}`;
  const scope = namespaced ? [namespaceParameter] : [];
  const object = parameters([nameParameter, ...scope]);
  return {
    ...(namespaced
      ? { [`${base}/${plural}`]: { ...pathItem(resource, 'all'), ...parameters(collectionParameters) } }
      : {}),
    [collection]: { ...pathItem(resource, 'collection'), ...parameters(scope) },
    [`${collection}/{name}`]: { ...pathItem(resource, 'object'), ...object },
    ...(resource.status ? { [`${collection}/{name}/status`]: { ...subresource(resource, 'status'), ...object } } : {}),
    ...(resource.scale ? { [`${collection}/{name}/scale`]: { ...subresource(resource, 'scale'), ...object } } : {}),
  };
}

function parameters(more: readonly JsonObject[]): JsonObject {
  return { parameters: [...more, pretty] };
}

interface Operation {
  readonly method: 'get' | 'put' | 'post' | 'delete' | 'patch';
  /** x-kubernetes-action, by which clients tell what the path is for. */
  readonly action: string;
  readonly verb: Verb;
}

const operations: Readonly<Record<'all' | 'collection' | 'object', readonly Operation[]>> = {
  all: [{ method: 'get', action: 'list', verb: 'list' }],
  collection: [
    { method: 'get', action: 'list', verb: 'list' },
    { method: 'post', action: 'post', verb: 'create' },
    { method: 'delete', action: 'deletecollection', verb: 'deletecollection' },
  ],
  object: [
    { method: 'get', action: 'get', verb: 'get' },
    { method: 'put', action: 'put', verb: 'update' },
    { method: 'delete', action: 'delete', verb: 'delete' },
    { method: 'patch', action: 'patch', verb: 'patch' },
  ],
};

function pathItem(resource: Resource, place: 'all' | 'collection' | 'object'): JsonObject {
  const served = operations[place].filter(({ verb }) => resource.verbs.includes(verb));
  const kind = schemaName(resource, resource.kind);
  const suffix = place === 'all' ? 'ForAllNamespaces' : '';
  return Object.fromEntries(
    served.map((operation) => [
      operation.method,
      {
        ...operationOf(resource, operation, resource.kind, suffix),
        ...detailsOf(resource, operation, kind, place === 'all'),
        'x-kubernetes-group-version-kind': gvk(resource),
      },
    ]),
  );
}

function subresource(resource: Resource, name: 'status' | 'scale'): JsonObject {
  const kind = name === 'scale' ? scaleName : schemaName(resource, resource.kind);
  const own = name === 'scale' ? { group: 'autoscaling', version: 'v1', kind: 'Scale' } : gvk(resource);
  const served = operations.object.filter(({ method }) => method !== 'delete');
  return Object.fromEntries(
    served.map((operation) => [
      operation.method,
      {
        ...operationOf(resource, operation, resource.kind, name === 'scale' ? 'Scale' : 'Status'),
        ...detailsOf(resource, operation, kind, false),
        'x-kubernetes-group-version-kind': own,
      },
    ]),
  );
}

function gvk({ group, version, kind }: Resource): JsonObject {
  return { group, version, kind };
}

const words: Readonly<Record<string, string>> = {
  list: 'list objects of kind',
  post: 'create an object of kind',
  deletecollection: 'delete a collection of objects of kind',
  get: 'read an object of kind',
  put: 'replace an object of kind',
  delete: 'delete an object of kind',
  patch: 'change an object of kind in part',
};

const names: Readonly<Record<string, string>> = {
  list: 'list',
  post: 'create',
  deletecollection: 'deleteCollection',
  get: 'read',
  put: 'replace',
  delete: 'delete',
  patch: 'patch',
};

function operationOf(resource: Resource, { action }: Operation, kind: string, suffix: string): JsonObject {
  const { group, version, namespaced } = resource;
  const owner = group === '' ? 'core' : camel(group);
  const id = `${owner[0]!.toUpperCase()}${owner.slice(1)}${version[0]!.toUpperCase()}${version.slice(1)}`;
  const scope = namespaced && suffix !== 'ForAllNamespaces' ? 'Namespaced' : '';
  return {
    tags: [`${owner}_${version}`],
    description: `${words[action]} ${kind}`,
    operationId: `${names[action]}${id}${scope}${kind}${suffix}`,
    'x-kubernetes-action': action,
  };
}

function camel(group: string): string {
  return group.replaceAll(/[.-]+(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** Parameters, body and answers. */
function detailsOf(resource: Resource, { action }: Operation, kind: string, all: boolean): JsonObject {
  switch (action) {
    case 'list':
      // Those of the path hold for it where it is all that the path can do.
      return {
        ...(all ? {} : { parameters: collectionParameters }),
        ...responses(schemaName(resource, resource.listKind)),
      };
    case 'post':
      return { parameters: writeParameters, ...body(kind), ...responses(kind, ['200', '201', '202']) };
    case 'put':
      return { parameters: writeParameters, ...body(kind), ...responses(kind, ['200', '201']) };
    case 'patch':
      return { parameters: patchParameters, ...patchBody(resource), ...responses(kind, ['200', '201']) };
    case 'delete':
      return {
        parameters: deleteParameters,
        ...body(deleteOptionsName, false),
        ...responses(statusName, ['200', '202']),
      };
    case 'deletecollection':
      return { parameters: [...collectionParameters, ...deleteParameters], ...responses(statusName) };
    default:
      return { parameters: readParameters, ...responses(kind) };
  }
}

const answers: Readonly<Record<string, string>> = { 200: 'OK', 201: 'Created', 202: 'Accepted' };

function responses(name: string, codes: readonly string[] = ['200']): JsonObject {
  const content = Object.fromEntries(
    ['application/json', 'application/yaml'].map((type) => [type, { schema: ref(name) }]),
  );
  const good = codes.map((code): [string, JsonObject] => [code, { description: answers[code] ?? '', content }]);
  return { responses: { ...Object.fromEntries(good), 401: { description: 'Unauthorized' } } };
}

function body(name: string, required = true): JsonObject {
  const content = Object.fromEntries(
    ['application/json', 'application/yaml'].map((type) => [type, { schema: ref(name) }]),
  );
  return { requestBody: { ...(required ? { required } : {}), content } };
}

/** What a kind is not listed with, kubectl does not send. */
function patchBody(resource: Resource): JsonObject {
  const types = ['application/apply-patch+yaml', 'application/json-patch+json', 'application/merge-patch+json'];
  if (resource.builtin) types.push('application/strategic-merge-patch+json');
  const content = Object.fromEntries(types.map((type) => [type, { schema: ref(patchName) }]));
  return { requestBody: { required: true, content } };
}

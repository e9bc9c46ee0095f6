/**
 * OpenAPI v2: definitions, and which options a PATCH of each kind takes. Old clients validate with it: kubectl up to 1.28, which asks for gnostic's protobuf form of it and takes
 * nothing else, and Terraform, which takes JSON.
 */
import { isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { type Field, writeMessage as message } from '#apiserver/protobuf/wire.ts';
import type { Registry } from '#apiserver/resources/registry.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { metaSchemas } from './meta-schemas.ts';
import { documentPath, kindSchema, schemaName } from './v3.ts';

export const openApiV2ProtobufType = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/** Clients ask with an @ where the answer has a dot. */
export function wantsOpenApiV2Protobuf(accept: string | undefined): boolean {
  return /application\/com\.github\.proto-openapi\.spec\.v2[@.]v1\.0\+protobuf/.test(accept ?? '');
}

export function openApiV2(registry: Registry): JsonObject {
  const kinds = registry.all().map((resource) => [schemaName(resource), kindSchema(resource)] as const);
  return {
    swagger: '2.0',
    info: { title: 'Compute Factory', version: 'v1' },
    paths: Object.fromEntries(
      registry.all().map((resource) => [patchPath(resource), { patch: patchOperation(resource) }]),
    ),
    definitions: Object.fromEntries(
      [...kinds, ...Object.entries(metaSchemas)].map(([name, schema]) => [name, toV2(schema)]),
    ),
  };
}

/** By these kubectl decides what it may ask for: without dryRun it refuses to diff, with fieldValidation it leaves validation to us. */
const patchOptions = ['dryRun', 'fieldManager', 'fieldValidation'];

function patchPath(resource: Resource): string {
  return `/${documentPath(resource)}/${resource.namespaced ? 'namespaces/{namespace}/' : ''}${resource.plural}/{name}`;
}

function patchOperation({ group, version, kind }: Resource): JsonObject {
  return {
    parameters: patchOptions.map((name) => ({ name, in: 'query', type: 'string' })),
    responses: {},
    'x-kubernetes-group-version-kind': { group, version, kind },
  };
}

/** References point elsewhere, and one that stands in an allOf for the sake of its description stands alone. */
function toV2(value: Json): Json {
  if (Array.isArray(value)) return value.map(toV2);
  if (!isObject(value)) return value;
  const { allOf, $ref } = value;
  const target =
    typeof $ref === 'string' ? $ref : Array.isArray(allOf) && isObject(allOf[0]) ? allOf[0].$ref : undefined;
  if (typeof target === 'string') return { $ref: target.replace('#/components/schemas/', '#/definitions/') };
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, toV2(child)]));
}

/** The same as gnostic's openapi.v2.Document; field numbers are those of its OpenAPIv2.proto. */
export function openApiV2Protobuf(registry: Registry): Buffer {
  const document = openApiV2(registry);
  const definitions = Object.entries(document.definitions as JsonObject);
  const info = message([
    [1, 'Compute Factory'],
    [2, 'v1'],
  ]);
  return message([
    [1, '2.0'],
    [2, info],
    [8, message(Object.entries(document.paths as JsonObject).map(([path, item]): Field => [2, namedPath(path, item)]))],
    [9, message(definitions.map(([name, schema]): Field => [1, namedSchema(name, schema)]))],
  ]);
}

function namedPath(path: string, item: Json): Buffer {
  const operation = isObject(item) && isObject(item.patch) ? item.patch : {};
  const parameters = patchOptions.map((name): Field => {
    const query = message([
      [2, 'query'],
      [4, name],
      [6, 'string'],
    ]);
    // ParametersItem.parameter, Parameter.non_body_parameter, NonBodyParameter.query_parameter_sub_schema.
    return [8, message([[1, message([[2, message([[3, query]])]])]])];
  });
  const patch = message([...parameters, [9, message([])], ...extensions(operation, 13)]);
  return message([
    [1, path],
    [2, message([[8, patch]])],
  ]);
}

function namedSchema(name: string, schema: Json): Buffer {
  return message([
    [1, name],
    [2, encodeSchema(isObject(schema) ? schema : {})],
  ]);
}

const texts: readonly (readonly [string, number])[] = [
  ['$ref', 1],
  ['format', 2],
  ['description', 4],
];

function encodeSchema(schema: JsonObject): Buffer {
  const fields: Field[] = [];
  for (const [key, number] of texts) {
    const value = schema[key];
    if (typeof value === 'string') fields.push([number, value]);
  }
  const { required, additionalProperties, type, items, properties } = schema;
  if (Array.isArray(required)) for (const name of required) fields.push([19, String(name)]);
  if (isObject(additionalProperties)) fields.push([21, message([[1, encodeSchema(additionalProperties)]])]);
  if (typeof type === 'string') fields.push([22, message([[1, type]])]);
  if (isObject(items)) fields.push([23, message([[1, encodeSchema(items)]])]);
  if (isObject(properties))
    fields.push([25, message(Object.entries(properties).map(([name, child]): Field => [1, namedSchema(name, child)]))]);
  return message([...fields, ...extensions(schema, 31)]);
}

/** Values of extensions are YAML texts; JSON is YAML. */
function extensions(schema: JsonObject, number: number): Field[] {
  return Object.entries(schema)
    .filter(([key]) => key.startsWith('x-'))
    .map(([key, value]): Field => {
      const any = message([[2, JSON.stringify(value)]]);
      return [
        number,
        message([
          [1, key],
          [2, any],
        ]),
      ];
    });
}

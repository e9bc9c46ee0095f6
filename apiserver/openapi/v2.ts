/**
 * OpenAPI v2, made from the documents of v3: the same paths and definitions in older words, without what those cannot say. Terraform reads
 * it, Argo CD does not start without it, and kubectl up to 1.28 validates by it.
 */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { documentInfo } from './v3.ts';

/** Of all documents of v3 together. */
export function openApiV2(documents: readonly JsonObject[]): JsonObject {
  const paths: JsonObject = {};
  const definitions: JsonObject = {};
  for (const document of documents) {
    for (const [path, item] of membersOf(document, 'paths')) paths[path] = toPathItem(item);
    const components = at(document, 'components');
    if (isObject(components))
      for (const [name, schema] of membersOf(components, 'schemas')) definitions[name] ??= toSchema(schema);
  }
  return { swagger: '2.0', info: documentInfo, paths, definitions };
}

function membersOf(object: JsonObject, name: string): [string, JsonObject][] {
  const value = at(object, name);
  return isObject(value) ? (Object.entries(value) as [string, JsonObject][]) : [];
}

function toPathItem(item: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(item).map(([name, value]) => [
      name,
      name === 'parameters' ? toParameters(value) : toOperation(value as JsonObject),
    ]),
  );
}

function toOperation(operation: JsonObject): JsonObject {
  const { requestBody, responses, parameters, ...rest } = operation;
  const types = isObject(requestBody) ? membersOf(requestBody, 'content').map(([type]) => type) : [];
  return {
    ...rest,
    ...(types.length > 0 ? { consumes: types } : {}),
    produces: ['application/json', 'application/yaml'],
    parameters: [...toBody(requestBody), ...toParameters(parameters)],
    responses: Object.fromEntries(
      Object.entries(isObject(responses) ? responses : {}).map(([code, response]) => [code, toResponse(response)]),
    ),
  };
}

/** The type stands in the parameter itself. */
function toParameters(parameters: Json | undefined): JsonObject[] {
  if (!Array.isArray(parameters)) return [];
  return parameters.filter(isObject).map(({ schema, ...rest }) => ({ ...rest, ...(isObject(schema) ? schema : {}) }));
}

function toBody(requestBody: Json | undefined): JsonObject[] {
  if (!isObject(requestBody)) return [];
  const [, content] = membersOf(requestBody, 'content')[0] ?? [];
  const required = at(requestBody, 'required') === true ? { required: true } : {};
  return [{ name: 'body', in: 'body', ...required, schema: toSchema((content && at(content, 'schema')) ?? {}) }];
}

function toResponse(response: Json): JsonObject {
  if (!isObject(response)) return {};
  const { content: _, ...rest } = response;
  const [, first] = membersOf(response, 'content')[0] ?? [];
  const schema = first && at(first, 'schema');
  return { ...rest, ...(schema === undefined ? {} : { schema: toSchema(schema) }) };
}

/** Words of v3, and those by which clients of v2 would refuse what the server takes. */
const dropped = new Set(['nullable', 'allOf', 'anyOf', 'oneOf', 'not', 'default', 'x-kubernetes-validations']);
const shapeWords = ['type', 'items', 'properties', 'additionalProperties', 'required', 'enum'];

/** As apiextensions' ToStructuralOpenAPIV2: what may be null, or have unknown fields, is left open. */
function toSchema(value: Json): Json {
  if (!isObject(value)) return value;
  const target = referenceOf(value);
  if (target !== undefined) return { $ref: target.replace('#/components/schemas/', '#/definitions/') };
  const open = at(value, 'nullable') === true || at(value, 'x-kubernetes-preserve-unknown-fields') === true;
  const root = at(value, 'x-kubernetes-group-version-kind') !== undefined;
  const words = Object.entries(value).filter(
    ([word]) => !dropped.has(word) && !(open && !root && shapeWords.includes(word)),
  );
  return Object.fromEntries(words.map(([word, child]) => [word, toSchemaWord(word, child)]));
}

function toSchemaWord(word: string, value: Json): Json {
  if (word === 'properties' && isObject(value))
    return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, toSchema(child)]));
  return word === 'items' || word === 'additionalProperties' ? toSchema(value) : value;
}

/** A reference that stands in an allOf for the sake of its description stands alone. */
function referenceOf({ $ref, allOf }: JsonObject): string | undefined {
  if (typeof $ref === 'string') return $ref;
  const first = Array.isArray(allOf) && allOf.length === 1 ? allOf[0] : undefined;
  return isObject(first) && typeof first.$ref === 'string' ? first.$ref : undefined;
}

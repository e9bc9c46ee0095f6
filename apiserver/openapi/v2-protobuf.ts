/** OpenAPI v2 as gnostic's openapi.v2.Document, field by field of its OpenAPIv2.proto. What no client reads of a schema is left out. */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { type Field, writeMessage as message } from '#apiserver/protobuf/wire.ts';

export const openApiV2ProtobufType = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/** Clients ask with an @ where the answer has a dot. */
export function wantsOpenApiV2Protobuf(accept: string | undefined): boolean {
  return /application\/com\.github\.proto-openapi\.spec\.v2[@.]v1\.0\+protobuf/.test(accept ?? '');
}

/** Of a document of v2. */
export function openApiV2Protobuf(document: JsonObject): Buffer {
  const info = objectAt(document, 'info');
  return message([
    ...texts(document, { swagger: 1 }),
    [2, message(texts(info, { title: 1, version: 2 }))],
    [8, message(named(at(document, 'paths'), 2, pathItem))],
    [9, message(named(at(document, 'definitions'), 1, schema))],
  ]);
}

function objectAt(object: JsonObject, name: string): JsonObject {
  const value = at(object, name);
  return isObject(value) ? value : {};
}

/** The members that are texts, each under its number. */
function texts(object: JsonObject, numbers: Readonly<Record<string, number>>): Field[] {
  return Object.entries(numbers).flatMap(([name, number]): Field[] => {
    const value = at(object, name);
    return typeof value === 'string' ? [[number, value]] : [];
  });
}

function flags(object: JsonObject, numbers: Readonly<Record<string, number>>): Field[] {
  return Object.entries(numbers).flatMap(([name, number]): Field[] =>
    at(object, name) === true ? [[number, true]] : [],
  );
}

function list(value: Json | undefined, number: number, encode: (item: Json) => Buffer | string): Field[] {
  return Array.isArray(value) ? value.map((item): Field => [number, encode(item)]) : [];
}

/** A map is a list of pairs in gnostic's messages. */
function named(value: Json | undefined, number: number, encode: (child: JsonObject) => Buffer): Field[] {
  if (!isObject(value)) return [];
  return Object.entries(value).map(
    ([name, child]): Field => [
      number,
      message([
        [1, name],
        [2, encode(isObject(child) ? child : {})],
      ]),
    ],
  );
}

const methods: Readonly<Record<string, number>> = { get: 2, put: 3, post: 4, delete: 5, patch: 8 };

function pathItem(item: JsonObject): Buffer {
  const operations = Object.entries(methods).flatMap(([method, number]): Field[] => {
    const value = at(item, method);
    return isObject(value) ? [[number, operation(value)]] : [];
  });
  return message([...operations, ...list(at(item, 'parameters'), 9, parameter)]);
}

function operation(value: JsonObject): Buffer {
  return message([
    ...list(at(value, 'tags'), 1, String),
    ...texts(value, { description: 3, operationId: 5 }),
    ...list(at(value, 'produces'), 6, String),
    ...list(at(value, 'consumes'), 7, String),
    ...list(at(value, 'parameters'), 8, parameter),
    [9, message(named(at(value, 'responses'), 1, (child) => message([[1, response(child)]])))],
    ...extensions(value, 13),
  ]);
}

/** ParametersItem.parameter, in it Parameter.body_parameter or .non_body_parameter, in that the one for query or path. */
function parameter(item: Json): Buffer {
  const value = isObject(item) ? item : {};
  const place = at(value, 'in');
  if (place === 'body') {
    const fields = [...texts(value, { description: 1, name: 2, in: 3 }), ...flags(value, { required: 4 })];
    return message([[1, message([[1, message([...fields, [5, schema(objectAt(value, 'schema'))]])]])]]);
  }
  const fields = [...flags(value, { required: 1 }), ...texts(value, { in: 2, description: 3, name: 4 })];
  const typed = [...fields, ...texts(value, { type: place === 'path' ? 5 : 6 })];
  return message([[1, message([[2, message([[place === 'path' ? 4 : 3, message(typed)]])]])]]);
}

function response(value: JsonObject): Buffer {
  const answer = at(value, 'schema');
  return message([
    ...texts(value, { description: 1 }),
    ...(isObject(answer) ? [[2, message([[1, schema(answer)]])] satisfies Field] : []),
  ]);
}

function schema(value: JsonObject): Buffer {
  const additional = at(value, 'additionalProperties');
  const items = at(value, 'items');
  const type = at(value, 'type');
  const properties = at(value, 'properties');
  return message([
    ...texts(value, { $ref: 1, format: 2, title: 3, description: 4, pattern: 13 }),
    ...list(at(value, 'required'), 19, String),
    ...list(at(value, 'enum'), 20, any),
    ...(isObject(additional) ? [[21, message([[1, schema(additional)]])] satisfies Field] : []),
    ...(additional === true ? [[21, message([[2, true]])] satisfies Field] : []),
    ...(typeof type === 'string' ? [[22, message([[1, type]])] satisfies Field] : []),
    ...(isObject(items) ? [[23, message([[1, schema(items)]])] satisfies Field] : []),
    ...(isObject(properties) ? [[25, message(named(properties, 1, schema))] satisfies Field] : []),
    ...extensions(value, 31),
  ]);
}

/** Free values are YAML texts; JSON is YAML. */
function any(value: Json): Buffer {
  return message([[2, JSON.stringify(value)]]);
}

function extensions(value: JsonObject, number: number): Field[] {
  return Object.entries(value)
    .filter(([key]) => key.startsWith('x-'))
    .map(
      ([key, child]): Field => [
        number,
        message([
          [1, key],
          [2, any(child)],
        ]),
      ],
    );
}

/** The words of a structural schema (apiextensions v1, JSONSchemaProps), and which of them are refused. */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { forbidden, wrongType } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';

type Shape = 'string' | 'boolean' | 'number' | 'integer' | 'strings' | 'list' | 'schema' | 'schemas' | 'map' | 'any';

const shapes: Readonly<Record<string, Shape>> = {
  description: 'string',
  title: 'string',
  type: 'string',
  format: 'string',
  pattern: 'string',
  default: 'any',
  example: 'any',
  externalDocs: 'any',
  nullable: 'boolean',
  enum: 'list',
  minimum: 'number',
  maximum: 'number',
  exclusiveMinimum: 'boolean',
  exclusiveMaximum: 'boolean',
  multipleOf: 'number',
  minLength: 'integer',
  maxLength: 'integer',
  minItems: 'integer',
  maxItems: 'integer',
  uniqueItems: 'boolean',
  minProperties: 'integer',
  maxProperties: 'integer',
  required: 'strings',
  properties: 'map',
  additionalProperties: 'any',
  items: 'any',
  allOf: 'schemas',
  anyOf: 'schemas',
  oneOf: 'schemas',
  not: 'schema',
  'x-kubernetes-preserve-unknown-fields': 'boolean',
  'x-kubernetes-embedded-resource': 'boolean',
  'x-kubernetes-int-or-string': 'boolean',
  'x-kubernetes-list-type': 'string',
  'x-kubernetes-list-map-keys': 'strings',
  'x-kubernetes-map-type': 'string',
  'x-kubernetes-validations': 'list',
};

/** Words of JSON schema that Kubernetes knows and refuses, for what they would cost or could not promise. */
const refused: Readonly<Record<string, string>> = {
  $ref: '$ref is not supported',
  $schema: '$schema is not supported',
  id: 'id is not supported',
  definitions: 'definitions is not supported',
  dependencies: 'dependencies is not supported',
  patternProperties: 'patternProperties is not supported',
  additionalItems: 'additionalItems is not supported',
};

/** A copy without words that mean nothing here, as Go's typed decoder leaves them out. Depth is bounded by that of the request. */
export function knownWords(schema: JsonObject): JsonObject {
  const kept: JsonObject = {};
  for (const [word, value] of Object.entries(schema)) {
    if (value === null || !(Object.hasOwn(shapes, word) || Object.hasOwn(refused, word))) continue;
    kept[word] = knownBelow(word, value);
  }
  return kept;
}

function knownBelow(word: string, value: Json): Json {
  const inner = (child: Json) => (isObject(child) ? knownWords(child) : child);
  if (word === 'properties' && isObject(value))
    return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, inner(child)]));
  if (word === 'required' && Array.isArray(value)) return [...new Set(value)];
  if ((word === 'allOf' || word === 'anyOf' || word === 'oneOf') && Array.isArray(value)) return value.map(inner);
  return word === 'items' || word === 'not' || word === 'additionalProperties' ? inner(value) : value;
}

/** Causes for refused words and for values of another type than the word asks for, at this node alone. */
export function checkWords(schema: JsonObject, path: string): Cause[] {
  return Object.entries(schema).flatMap(([word, value]) => {
    const refusal = Object.hasOwn(refused, word) ? refused[word] : undefined;
    if (refusal !== undefined) return [forbidden(`${path}.${word}`, refusal)];
    const shape = shapes[word] ?? 'any';
    return fits(value, shape) ? [] : [wrongType(`${path}.${word}`, value, `must be of type ${shape}`)];
  });
}

function fits(value: Json, shape: Shape): boolean {
  switch (shape) {
    case 'integer':
      return Number.isInteger(value) && (value as number) >= 0;
    case 'strings':
      return Array.isArray(value) && value.every((item) => typeof item === 'string');
    case 'list':
      return Array.isArray(value);
    case 'schema':
      return isObject(value);
    case 'schemas':
      return Array.isArray(value) && value.every(isObject);
    case 'map':
      return isObject(value) && Object.values(value).every(isObject);
    case 'any':
      return true;
    default:
      return typeof value === shape;
  }
}

/** The schemas of the named fields. */
export function propertiesOf(schema: JsonObject): [string, JsonObject][] {
  const properties = at(schema, 'properties');
  return isObject(properties) ? (Object.entries(properties) as [string, JsonObject][]) : [];
}

/** The accept path: one compiled ajv function per schema, which knows only yes and no. */
import { Ajv, type AnySchemaObject } from 'ajv';
import type { Json } from '#apiserver/json/json.ts';
import { fitsPattern, patternOf } from '#lib/std/pattern.ts';
import { formatCheck, formatNames } from './formats.ts';
import { isInteger, isMultiple } from './numbers.ts';
import type { Schema } from './schema.ts';
import { repeatedItems } from './unique.ts';

export type Accepts = (value: Json) => boolean;

/** Compiles a structural schema. Throws if it cannot be, for example for a pattern that RE2 cannot read. */
export function compileSchema(schema: Schema): Accepts {
  const ajv = new Ajv({
    strict: true,
    strictTypes: false,
    // Inside of anyOf and its like, fields are required that are named outside of it.
    strictRequired: false,
    allowUnionTypes: true,
    ownProperties: true,
    validateFormats: true,
  });
  ajv.addKeyword({
    keyword: 'uniqueItemsOf',
    type: 'array',
    validate: (list: Schema, data: Json[]) => repeatedItems(data, list).length === 0,
  });
  ajv.addKeyword({
    keyword: 're2',
    type: 'string',
    validate: fitsPattern,
  });
  ajv.addKeyword({ keyword: 'int64', type: 'integer', validate: (_: true, data: number) => isInteger(data) });
  ajv.addKeyword({
    keyword: 'multiple',
    type: 'number',
    validate: (factor: number, data: number) => isMultiple(data, factor),
  });
  for (const name of formatNames) ajv.addFormat(name, formatCheck(name) ?? (() => true));
  const validate = ajv.compile(translate(schema));
  return (value) => validate(value) === true;
}

const same = ['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties'] as const;

/** Null, where it is allowed, has nothing else to fulfil. */
function translate(schema: Schema): AnySchemaObject {
  const result = translateValue(schema);
  const free = schema.nullable === true || (schema.type === undefined && !schema['x-kubernetes-int-or-string']);
  const looksAtNull = schema.allOf ?? schema.anyOf ?? schema.oneOf ?? schema.not ?? schema.enum;
  return free && looksAtNull ? { anyOf: [{ type: 'null' }, result] } : result;
}

function translateValue(schema: Schema): AnySchemaObject {
  const result: AnySchemaObject = {};
  const type = typeOf(schema);
  if (type) result.type = type;
  for (const key of same) if (schema[key] !== undefined) result[key] = schema[key];
  if (schema.enum) result.enum = schema.enum;
  if (schema.multipleOf !== undefined) result.multiple = schema.multipleOf;
  if (type?.includes('integer')) result.int64 = true;
  if (formatCheck(schema.format)) result.format = schema.format;
  if (schema.pattern !== undefined) {
    patternOf(schema.pattern);
    result.re2 = schema.pattern;
  }
  if (schema['x-kubernetes-list-type'] !== undefined) result.uniqueItemsOf = listIdentity(schema);
  return { ...result, ...translateBounds(schema), ...translateChildren(schema), ...translateComposites(schema) };
}

/** Only what repeatedItems looks at, so that ajv does not keep the whole schema a second time. */
function listIdentity(schema: Schema): Schema {
  const keys = schema['x-kubernetes-list-map-keys'];
  return {
    'x-kubernetes-list-type': schema['x-kubernetes-list-type'] ?? 'atomic',
    ...(keys ? { 'x-kubernetes-list-map-keys': keys } : {}),
  };
}

function typeOf(schema: Schema): string[] | undefined {
  const types = schema['x-kubernetes-int-or-string'] ? ['integer', 'string'] : schema.type ? [schema.type] : undefined;
  return types && schema.nullable ? [...types, 'null'] : types;
}

/** OpenAPI v3.0's exclusive bounds are flags; JSON Schema's, which ajv reads, are numbers. */
function translateBounds(schema: Schema): AnySchemaObject {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  return {
    ...(minimum === undefined ? {} : exclusiveMinimum ? { exclusiveMinimum: minimum } : { minimum }),
    ...(maximum === undefined ? {} : exclusiveMaximum ? { exclusiveMaximum: maximum } : { maximum }),
  };
}

function translateChildren(schema: Schema): AnySchemaObject {
  const result: AnySchemaObject = {};
  if (schema.properties)
    result.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([name, child]) => [name, translate(child)]),
    );
  if (schema.required?.length) result.required = schema.required;
  if (typeof schema.additionalProperties === 'object')
    result.additionalProperties = translate(schema.additionalProperties);
  if (schema.items) result.items = translate(schema.items);
  return result;
}

function translateComposites(schema: Schema): AnySchemaObject {
  const result: AnySchemaObject = {};
  for (const key of ['allOf', 'anyOf', 'oneOf'] as const)
    if (schema[key]?.length) result[key] = schema[key].map(translate);
  if (schema.not) result.not = translate(schema.not);
  return result;
}

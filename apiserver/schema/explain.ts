/** Says what is wrong with a value that its schema refuses, in Kubernetes' words. Slower than ajv, so asked only then. */
import { goTypeOf, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { Cause } from '#lib/std/errors.ts';
import { duplicate, invalid, notSupported, required, tooLong, tooMany, wrongType } from './causes.ts';
import { formatCheck } from './formats.ts';
import { patternOf } from './pattern.ts';
import { additionalOf, propertyOf, type Schema } from './schema.ts';
import { repeatedItems } from './unique.ts';

/** Every reason, in the order of the fields. Empty if the value is as the schema says. */
export function explain(value: Json, schema: Schema, path: string): Cause[] {
  if (value === null && schema.nullable === true) return [];
  const typeProblem = checkType(value, schema, path);
  if (typeProblem) return [typeProblem];
  if (schema.enum && !schema.enum.includes(value)) return [notSupported(path, value, schema.enum)];
  if (typeof value === 'string') return explainString(value, schema, path);
  if (typeof value === 'number') return explainNumber(value, schema, path);
  if (Array.isArray(value)) return explainList(value, schema, path);
  return isObject(value) ? explainObject(value, schema, path) : [];
}

function checkType(value: Json, schema: Schema, path: string): Cause | undefined {
  const actual = goTypeOf(value);
  const refuse = (type: string) => wrongType(path, actual, `${path} in body must be of type ${type}: "${actual}"`);
  if (schema['x-kubernetes-int-or-string'] === true)
    return typeof value === 'string' || Number.isInteger(value) ? undefined : refuse('integer,string');
  switch (schema.type) {
    case 'integer':
      return Number.isInteger(value) ? undefined : refuse('integer');
    case 'boolean':
      return actual === 'bool' ? undefined : refuse('boolean');
    case undefined:
      return undefined;
    default:
      return actual === schema.type ? undefined : refuse(schema.type);
  }
}

function explainString(text: string, schema: Schema, path: string): Cause[] {
  const causes: Cause[] = [];
  // Length in code points, as Go's utf8.RuneCountInString and ajv count it.
  const length = [...text].length;
  if (schema.maxLength !== undefined && length > schema.maxLength) causes.push(tooLong(path, schema.maxLength));
  if (schema.minLength !== undefined && length < schema.minLength)
    causes.push(invalid(path, text, `${path} in body should be at least ${schema.minLength} chars long`));
  if (schema.pattern !== undefined && !patternOf(schema.pattern).test(text))
    causes.push(invalid(path, text, `${path} in body should match '${schema.pattern}'`));
  if (formatCheck(schema.format)?.(text) === false)
    causes.push(wrongType(path, text, `${path} in body must be of type ${schema.format}: ${JSON.stringify(text)}`));
  return causes;
}

function explainNumber(value: number, schema: Schema, path: string): Cause[] {
  const causes: Cause[] = [];
  const refuse = (why: string) => causes.push(invalid(path, value, `${path} in body should be ${why}`));
  const { minimum, maximum, multipleOf } = schema;
  if (minimum !== undefined && (schema.exclusiveMinimum ? value <= minimum : value < minimum))
    refuse(schema.exclusiveMinimum ? `greater than ${minimum}` : `greater than or equal to ${minimum}`);
  if (maximum !== undefined && (schema.exclusiveMaximum ? value >= maximum : value > maximum))
    refuse(schema.exclusiveMaximum ? `less than ${maximum}` : `less than or equal to ${maximum}`);
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) refuse(`a multiple of ${multipleOf}`);
  return causes;
}

function explainList(list: readonly Json[], schema: Schema, path: string): Cause[] {
  const causes: Cause[] = [];
  if (schema.maxItems !== undefined && list.length > schema.maxItems)
    causes.push(tooMany(path, list.length, schema.maxItems));
  if (schema.minItems !== undefined && list.length < schema.minItems)
    causes.push(invalid(path, list.length, `${path} in body should have at least ${schema.minItems} items`));
  const { items } = schema;
  if (items) list.forEach((item, index) => void causes.push(...explain(item, items, `${path}[${index}]`)));
  for (const { index, value } of repeatedItems(list, schema)) causes.push(duplicate(`${path}[${index}]`, value));
  return causes;
}

function explainObject(object: JsonObject, schema: Schema, path: string): Cause[] {
  const causes: Cause[] = [];
  const size = Object.keys(object).length;
  if (schema.maxProperties !== undefined && size > schema.maxProperties)
    causes.push(tooMany(path, size, schema.maxProperties));
  if (schema.minProperties !== undefined && size < schema.minProperties)
    causes.push(invalid(path, size, `${path} in body should have at least ${schema.minProperties} properties`));
  for (const name of schema.required ?? [])
    if (!Object.hasOwn(object, name)) causes.push(required(path === '' ? name : `${path}.${name}`));
  const additional = additionalOf(schema);
  for (const [name, child] of Object.entries(object)) {
    const below = propertyOf(schema, name) ?? additional;
    if (below) causes.push(...explain(child, below, path === '' ? name : `${path}.${name}`));
  }
  return causes;
}

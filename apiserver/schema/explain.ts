/** Says what is wrong with a value that its schema refuses, in Kubernetes' words. Slower than ajv, so asked only then. */
import { isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { Cause } from '#lib/std/errors.ts';
import { fitsPattern } from '#lib/std/pattern.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { invalid, notSupported, required, tooLong, tooMany, wrongType } from './causes.ts';
import { explainComposites } from './composite.ts';
import type { Correlation } from './correlation.ts';
import { formatCheck } from './formats.ts';
import { isInteger, isMultiple, jsonTypeOf } from './numbers.ts';
import { additionalOf, propertyOf, type Schema } from './schema.ts';

/**
 * Every reason, in the order of the fields. Empty if the value is as the schema says. With what the value was before: without the reasons
 * that lie in unchanged parts only. Items that repeat are told by explainRepeated.
 */
export function explain(value: Json, schema: Schema, path: string, before?: Correlation): Cause[] {
  const causes = explainValue(value, schema, path, before);
  return causes.length > 0 && before?.unchanged ? [] : causes;
}

function explainValue(value: Json, schema: Schema, path: string, before: Correlation | undefined): Cause[] {
  const typeProblem = checkType(value, schema, path);
  if (typeProblem) return [typeProblem];
  if (value === null) return [];
  return [
    ...explainComposites(value, schema, path, explain),
    ...explainEnum(value, schema, path),
    ...explainContent(value, schema, path, before),
  ];
}

function explainContent(value: Json, schema: Schema, path: string, before: Correlation | undefined): Cause[] {
  if (typeof value === 'string') return explainString(value, schema, path);
  if (typeof value === 'number') return explainNumber(value, schema, path);
  if (Array.isArray(value)) return explainList(value, schema, path, before);
  return isObject(value) ? explainObject(value, schema, path, before) : [];
}

function explainEnum(value: Json, schema: Schema, path: string): Cause[] {
  const allowed = schema.enum;
  return allowed && !allowed.some((one) => sameJson(one, value)) ? [notSupported(path, value, allowed)] : [];
}

function checkType(value: Json, schema: Schema, path: string): Cause | undefined {
  const wanted = schema['x-kubernetes-int-or-string'] === true ? 'integer,string' : schema.type;
  if (wanted === undefined || (value === null && schema.nullable === true) || hasType(value, wanted)) return undefined;
  const [type, actual] = typeWords(value, wanted, schema.format);
  return wrongType(path, actual, `${path} in body must be of type ${type}: "${actual}"`);
}

/** What is wanted and what is there. Where a format of text is wanted, upstream compares formats instead of types. */
function typeWords(value: Json, wanted: string, format: string | undefined): [string, string] {
  if (value === null || Array.isArray(value) || !format || !formatCheck(format)) return [wanted, jsonTypeOf(value)];
  return [format, typeof value === 'number' ? (isInteger(value) ? 'int64' : 'float64') : ''];
}

function hasType(value: Json, wanted: string): boolean {
  switch (wanted) {
    case 'integer,string':
      return typeof value === 'string' || isInteger(value);
    case 'integer':
      return isInteger(value);
    case 'number':
      return typeof value === 'number';
    default:
      return jsonTypeOf(value) === wanted;
  }
}

function explainString(text: string, schema: Schema, path: string): Cause[] {
  const causes: Cause[] = [];
  const { maxLength, minLength } = schema;
  // Length in code points, as Go's utf8.RuneCountInString and ajv count it.
  const length = maxLength === undefined && minLength === undefined ? 0 : [...text].length;
  if (maxLength !== undefined && length > maxLength) causes.push(tooLong(path, maxLength));
  if (minLength !== undefined && length < minLength)
    causes.push(invalid(path, text, `${path} in body should be at least ${minLength} chars long`));
  if (schema.pattern !== undefined && !fitsPattern(schema.pattern, text))
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
  if (multipleOf !== undefined && !isMultiple(value, multipleOf)) refuse(`a multiple of ${multipleOf}`);
  return causes;
}

function explainList(list: readonly Json[], schema: Schema, path: string, before: Correlation | undefined): Cause[] {
  const causes: Cause[] = [];
  const { items, maxItems, minItems } = schema;
  if (maxItems !== undefined && list.length > maxItems) causes.push(tooMany(path, list.length, maxItems));
  if (minItems !== undefined && list.length < minItems)
    causes.push(invalid(path, list.length, `${path} in body should have at least ${minItems} items`));
  if (items)
    for (const [index, item] of list.entries())
      causes.push(...explain(item, items, `${path}[${index}]`, before?.item(index, items)));
  return causes;
}

function explainObject(object: JsonObject, schema: Schema, path: string, before: Correlation | undefined): Cause[] {
  const causes: Cause[] = [];
  const size = Object.keys(object).length;
  if (schema.maxProperties !== undefined && size > schema.maxProperties)
    causes.push(tooMany(path, size, schema.maxProperties));
  if (schema.minProperties !== undefined && size < schema.minProperties)
    causes.push(invalid(path, size, `${path} in body should have at least ${schema.minProperties} properties`));
  for (const name of schema.required ?? []) if (!Object.hasOwn(object, name)) causes.push(required(below(path, name)));
  const additional = additionalOf(schema);
  for (const [name, child] of Object.entries(object)) {
    const childSchema = propertyOf(schema, name) ?? additional;
    if (childSchema) causes.push(...explain(child, childSchema, below(path, name), before?.field(name, childSchema)));
  }
  return causes;
}

function below(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

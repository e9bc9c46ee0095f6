/** JSON of a schema as a value of CEL. */
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import { additionalOf, type Schema } from '#apiserver/schema/schema.ts';
import { canonical } from './equality.ts';
import { EvaluationError } from './errors.ts';
import { hasFields, objectFields, stringKind } from './schema-types.ts';
import { readDuration, readTimestamp } from './time.ts';
import { KeyedList, ObjectValue, type Value } from './values.ts';

export function readValue(value: Json, schema: Schema): Value {
  if (value === null) {
    if (schema.nullable === true) return null;
    throw new EvaluationError('invalid data, got null for schema with nullable=false');
  }
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') return readNumber(value, schema);
  if (typeof value === 'string') return readString(value, schema);
  if (Array.isArray(value)) return readList(value, schema);
  if (hasFields(value, schema)) return new ObjectValue(value, objectFields(schema), readValue);
  const child = additionalOf(schema)!;
  return new Map(Object.entries(value as JsonObject).map(([key, item]) => [key, readValue(item, child)]));
}

function readNumber(value: number, schema: Schema): Value {
  const whole = schema.type === 'integer' || schema['x-kubernetes-int-or-string'] === true;
  if (!whole) return value;
  if (Number.isInteger(value)) return BigInt(value);
  throw new EvaluationError(`invalid data, expected an integer, got ${value}`);
}

function readString(value: string, schema: Schema): Value {
  switch (stringKind(schema.format)) {
    case 'bytes':
      return Buffer.from(value, 'base64');
    case 'duration':
      return readDuration(value);
    case 'timestamp':
      return readTimestamp(schema.format === 'date' ? `${value}T00:00:00Z` : value);
    default:
      return value;
  }
}

function readList(list: readonly Json[], schema: Schema): Value {
  const { items } = schema;
  if (!items) throw new EvaluationError('invalid data, the schema says nothing of the items');
  const identify = identityOf(schema);
  if (!identify) return list.map((item) => readValue(item, items));
  const keyed = new KeyedList();
  keyed.identify = identify;
  for (const item of list) keyed.push(readValue(item, items));
  return keyed;
}

function identityOf(schema: Schema): ((item: Value) => string) | undefined {
  if (schema['x-kubernetes-list-type'] === 'set') return canonical;
  const keys = schema['x-kubernetes-list-map-keys'];
  if (schema['x-kubernetes-list-type'] !== 'map' || !keys) return undefined;
  return (item) => JSON.stringify(keys.map((key) => (item instanceof ObjectValue ? (item.property(key) ?? null) : '')));
}

/** From JSON to messages, as Go writes them: fields that it does not point to are written even if they are zero. */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { unfold } from './folded.ts';
import type { FieldType } from './message-type.ts';
import { isScalar, typeOf } from './tables.ts';
import { type Field, writeMessage } from './wire.ts';

/** TypeError for a value that is not of the type of its field. Fields that the table does not name are left out. */
export function encodeMessage(name: string, value: Json | undefined): Buffer {
  const object = value === undefined ? {} : unfold(name, value);
  return writeMessage(typeOf(name).fields.flatMap((field) => encodeField(field, object)));
}

function encodeField({ name, number, type, shape, zero }: FieldType, object: JsonObject): Field[] {
  const value = at(object, name);
  if (shape === 'list') return Array.isArray(value) ? value.map((item) => [number, encodeValue(type, item)]) : [];
  if (shape === 'map')
    return isObject(value) ? Object.entries(value).map((entry) => [number, mapEntry(type, entry)]) : [];
  if (value !== undefined && value !== null) return [[number, encodeValue(type, value)]];
  return zero === 'kept' || type === 'bytes' ? [] : [[number, encodeValue(type, undefined)]];
}

function mapEntry(type: string, [key, value]: [string, Json]): Buffer {
  return writeMessage([
    [1, key],
    [2, encodeValue(type, value)],
  ]);
}

function encodeValue(type: string, value: Json | undefined): Field[1] {
  if (!isScalar(type)) return encodeMessage(type, value);
  switch (type) {
    case 'string':
      return text(value ?? '');
    case 'bytes':
      return Buffer.from(text(value ?? ''), 'base64');
    case 'bool':
      return value === true;
    case 'double':
      return { double: numeric(value ?? 0) };
    default:
      return BigInt(numeric(value ?? 0));
  }
}

function text(value: Json): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`Cannot write ${JSON.stringify(value)} as a text`);
}

function numeric(value: Json): number {
  if (typeof value === 'number') return value;
  throw new TypeError(`Cannot write ${JSON.stringify(value)} as a number`);
}

/** From messages to JSON, as Go's detour through its own types makes it. */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { maxDepth, refuseDangerousName } from '#apiserver/json/strict.ts';
import { fold } from './folded.ts';
import type { FieldType } from './message-type.ts';
import { isScalar, typeOf } from './tables.ts';
import { readFields, type WireField } from './wire.ts';

/** Two bytes on the wire can become an object of many fields: this bounds how often. */
const maxMessages = 200_000;

interface Position {
  readonly depth: number;
  readonly budget: { messages: number };
}

/**
 * The message as JSON. Zero values are left out as the mark of their field says, fields that the table does not name are skipped. Throws
 * an Error for bytes that are no such message, nest deeper than maxDepth or hold more than maxMessages.
 */
export function decodeMessage(type: string, bytes: Uint8Array): JsonObject {
  const value = readMessage(type, bytes, { depth: 0, budget: { messages: maxMessages } });
  if (!isObject(value)) throw new TypeError(`A message of type ${type} is no object`);
  return value;
}

function readMessage(name: string, bytes: Uint8Array, { depth, budget }: Position): Json | undefined {
  if (depth > maxDepth) throw new RangeError(`it is nested more than ${maxDepth} levels deep`);
  if (--budget.messages < 0) throw new RangeError(`it holds more than ${maxMessages} messages`);
  const below = { depth: depth + 1, budget };
  const { fields, byNumber } = typeOf(name);
  const object: JsonObject = {};
  for (const { number, value } of readFields(bytes)) {
    const field = byNumber.get(number);
    if (field) add(object, field, value, below);
  }
  for (const field of fields)
    if (field.zero === 'always' && !Object.hasOwn(object, field.name)) object[field.name] = zeroOf(field.type, below);
  return fold(name, object);
}

/** The last value counts; of lists and maps all do. */
function add(object: JsonObject, field: FieldType, value: WireField['value'], below: Position): void {
  const { name, type, shape, zero } = field;
  if (shape === 'list') {
    const items = at(object, name) ?? [];
    object[name] = items;
    if (Array.isArray(items)) items.push(readValue(type, value, below) ?? null);
  } else if (shape === 'map') {
    const members = at(object, name) ?? {};
    object[name] = members;
    if (isObject(members)) addEntry(members, type, lengthDelimited(value), below);
  } else {
    const read = readValue(type, value, below);
    if (read === undefined || (zero === 'dropped' && isZero(read))) delete object[name];
    else object[name] = read;
  }
}

function addEntry(members: JsonObject, type: string, bytes: Uint8Array, below: Position): void {
  if (--below.budget.messages < 0) throw new RangeError(`it holds more than ${maxMessages} messages`);
  let key = '';
  let member: Json | undefined;
  for (const { number, value } of readFields(bytes))
    if (number === 1) key = textOf(value);
    else if (number === 2) member = readValue(type, value, below);
  refuseDangerousName(key);
  members[key] = member ?? zeroOf(type, below);
}

function readValue(type: string, value: WireField['value'], below: Position): Json | undefined {
  switch (type) {
    case 'string':
      return textOf(value);
    case 'bytes':
      return Buffer.from(lengthDelimited(value)).toString('base64');
    case 'bool':
      return integer(value) !== 0n;
    case 'int':
      return Number(integer(value));
    case 'double':
      return double(value);
    default:
      return readMessage(type, lengthDelimited(value), below);
  }
}

function zeroOf(type: string, below: Position): Json {
  if (!isScalar(type)) return readMessage(type, new Uint8Array(), below) ?? null;
  if (type === 'bool') return false;
  return type === 'string' || type === 'bytes' ? '' : 0;
}

function isZero(value: Json): boolean {
  return value === '' || value === 0 || value === false || (isObject(value) && Object.keys(value).length === 0);
}

function textOf(value: WireField['value']): string {
  const bytes = lengthDelimited(value);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function lengthDelimited(value: WireField['value']): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError('a field that has a length was written without one');
}

function integer(value: WireField['value']): bigint {
  if (typeof value === 'bigint') return value;
  throw new TypeError('an integer was written as something else');
}

/** NaN and the infinities have no JSON. */
function double(value: WireField['value']): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new TypeError('a number was written as something else');
}

/** Messages that are no object in JSON: times, quantities, either-ors, and JSON itself. */
import { isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { parseJson } from '#apiserver/json/strict.ts';

interface Folding {
  /** Undefined for what means nothing, such as the time zero. */
  readonly fold: (message: JsonObject) => Json | undefined;
  readonly unfold: (value: Json) => JsonObject;
}

/** Numbers and types are those of the generated.proto files of apimachinery and apiextensions-apiserver. */
export const foldedMessages = {
  Time: 'seconds 1 int?, nanos 2 int?',
  MicroTime: 'seconds 1 int?, nanos 2 int?',
  Quantity: 'string 1?',
  IntOrString: 'type 1 int!, intVal 2 int!, strVal 3!',
  Raw: 'raw 1 bytes',
  Texts: 'items 1[]',
  SchemaOrArray: 'schema 1 JSONSchemaProps?, schemas 2 JSONSchemaProps[]',
  SchemaOrBool: 'allows 1 bool!, schema 2 JSONSchemaProps?',
  SchemaOrTexts: 'schema 1 JSONSchemaProps?, texts 2[]',
};

const foldings: ReadonlyMap<string, Folding> = new Map<keyof typeof foldedMessages, Folding>([
  ['Time', { fold: (message) => timeOf(message)?.replace(/\.\d+Z$/, 'Z'), unfold: timestampOf }],
  ['MicroTime', { fold: timeOf, unfold: timestampOf }],
  ['Quantity', { fold: ({ string }) => string, unfold: (value) => ({ string: value }) }],
  ['IntOrString', { fold: ({ type, intVal, strVal }) => (type === 0 ? intVal : strVal), unfold: intOrString }],
  ['Raw', { fold: rawJson, unfold: (value) => ({ raw: Buffer.from(JSON.stringify(value)).toString('base64') }) }],
  ['Texts', { fold: ({ items }) => items ?? [], unfold: (value) => ({ items: value }) }],
  [
    'SchemaOrArray',
    { fold: ({ schema, schemas }) => schemas ?? schema, unfold: (value) => eitherOf('schemas', value) },
  ],
  ['SchemaOrBool', { fold: ({ allows, schema }) => schema ?? allows, unfold: schemaOrBool }],
  ['SchemaOrTexts', { fold: ({ schema, texts }) => texts ?? schema, unfold: (value) => eitherOf('texts', value) }],
]);

export function fold(name: string, message: JsonObject): Json | undefined {
  const folding = foldings.get(name);
  return folding ? folding.fold(message) : message;
}

/** TypeError for a value that cannot be such a message. */
export function unfold(name: string, value: Json): JsonObject {
  const folding = foldings.get(name);
  const message = folding ? folding.unfold(value) : value;
  if (isObject(message)) return message;
  throw new TypeError(`Cannot write ${JSON.stringify(value)} as a ${name}`);
}

/** RFC 3339 with microseconds. RangeError outside of the years 1 to 9999, which is all that RFC 3339 can say. */
function timeOf({ seconds, nanos = 0 }: JsonObject): string | undefined {
  // Go writes its time zero as an empty message.
  if (seconds === undefined) return undefined;
  const at = new Date(Number(seconds) * 1000);
  const year = at.getUTCFullYear();
  if (!(year >= 1 && year <= 9999) || !(Number(nanos) >= 0 && Number(nanos) < 1e9))
    throw new RangeError(`there is no time of ${seconds} s and ${nanos} ns`);
  const micros = String(Math.floor(Number(nanos) / 1000)).padStart(6, '0');
  return `${at.toISOString().slice(0, 19)}.${micros}Z`;
}

function timestampOf(value: Json): JsonObject {
  const match = /^(.{19})(?:\.(\d{1,9}))?Z$/.exec(String(value));
  const ms = Date.parse(`${match?.[1]}Z`);
  if (!match || Number.isNaN(ms)) throw new TypeError(`Cannot write ${JSON.stringify(value)} as a time`);
  return { seconds: ms / 1000, nanos: Number((match[2] ?? '').padEnd(9, '0')) };
}

function intOrString(value: Json): JsonObject {
  return typeof value === 'number' ? { type: 0, intVal: value, strVal: '' } : { type: 1, intVal: 0, strVal: value };
}

function rawJson({ raw }: JsonObject): Json | undefined {
  if (typeof raw !== 'string' || raw === '') return undefined;
  return parseJson(Buffer.from(raw, 'base64').toString('utf8'), 'the JSON in a protobuf message').value;
}

function eitherOf(list: string, value: Json): JsonObject {
  return Array.isArray(value) ? { [list]: value } : { schema: value };
}

function schemaOrBool(value: Json): JsonObject {
  return typeof value === 'boolean' ? { allows: value } : { allows: true, schema: value };
}

/**
 * What we send is checked strictly, because Mesos is silent about a field name that it does not know: `check` finds it, and what is
 * missing, and a value of the wrong kind. What we read is read as Mesos reads: `read` passes over fields it does not know, takes null for
 * absent and numbers written as strings, drops words that an optional enum does not have; only a message that lacks something required is
 * refused. Both cost one walk over the message.
 */
import { type Api, type ApiName, apiMessages, apis } from './apis.ts';
import { messages, taskStates } from './messages.ts';

export class ProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProtocolError';
  }
}

type Json = Record<string, unknown>;

interface Field {
  readonly name: string;
  readonly kind: string;
  readonly shape: 'one' | 'list' | 'map';
  readonly required: boolean;
  /** The words of an enum. */
  readonly words: ReadonlySet<string> | undefined;
}

interface Message {
  readonly fields: ReadonlyMap<string, Field>;
  readonly required: readonly Field[];
  /** Has fields that nobody looked at. */
  readonly open: boolean;
}

const compiled = new Map<string, Message>();
/** Deeper than any message of Mesos. */
const maxDepth = 32;

function fieldOf(text: string): Field {
  const space = text.indexOf(' ');
  const [, kind = '', shape, required] = /^([^!{[]*)(\[\]|\{\})?(!)?$/.exec(text.slice(space + 1))!;
  const words = kind === 'TaskState' ? taskStates : kind.includes('|') ? kind : undefined;
  return {
    name: text.slice(0, space),
    kind: words === undefined ? kind : 'enum',
    shape: shape === '[]' ? 'list' : shape === '{}' ? 'map' : 'one',
    required: required !== undefined,
    words: words === undefined ? undefined : new Set(words.split('|')),
  };
}

function compile(text: string): Message {
  const parts = text.split(', ').filter((part) => part !== '');
  const fields = parts.filter((part) => part !== '*').map(fieldOf);
  return {
    fields: new Map(fields.map((field) => [field.name, field])),
    required: fields.filter((field) => field.required),
    open: parts.includes('*'),
  };
}

function cached(key: string, text: string): Message {
  let message = compiled.get(key);
  if (message === undefined) {
    message = compile(text);
    compiled.set(key, message);
  }
  return message;
}

function messageOf(name: string): Message {
  const text = messages[name] ?? apiMessages[name];
  if (text === undefined) throw new Error(`The schema has no message ${name}`);
  return cached(name, text);
}

/** The bodies of an API's types, each as a message of its own. */
function bodyOf(api: ApiName, type: string): { readonly message: Message | undefined; readonly required: boolean } {
  const text = ((apis[api] as Api).types as Readonly<Record<string, string>>)[type]!;
  if (text === '-') return { message: undefined, required: false };
  const required = text.startsWith('! ');
  return { message: cached(`${api} ${type}`, required ? text.slice(2) : text), required };
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function walk(strict: boolean, message: Message, value: unknown, path: string, depth: number): void {
  if (!isObject(value)) throw new ProtocolError(`${path} is no object`);
  if (depth > maxDepth) throw new ProtocolError(`${path} is nested more than ${maxDepth} deep`);
  for (const name of Object.keys(value)) {
    const field = message.fields.get(name);
    if (field !== undefined) walkField(strict, field, value, path, depth);
    else if (strict && !message.open) throw new ProtocolError(`${path}.${name} is no field that Mesos knows`);
  }
  for (const field of message.required) {
    if (value[field.name] === undefined) throw new ProtocolError(`${path}.${field.name} is missing`);
  }
}

function walkField(strict: boolean, field: Field, holder: Json, path: string, depth: number): void {
  const value = holder[field.name];
  const here = `${path}.${field.name}`;
  if (value === undefined || (value === null && !strict)) {
    delete holder[field.name];
    return;
  }
  if (field.shape === 'one') {
    const next = walkValue(strict, field, value, here, depth);
    if (next === undefined) delete holder[field.name];
    else if (next !== value) holder[field.name] = next;
    return;
  }
  const isRight = field.shape === 'list' ? Array.isArray(value) : isObject(value);
  if (!isRight) throw new ProtocolError(`${here} is no ${field.shape}`);
  const items = value as Json;
  for (const key of Object.keys(items)) {
    const next = walkValue(strict, field, items[key], `${here}[${key}]`, depth);
    if (next !== items[key]) items[key] = next;
  }
}

/** The value as it should be; undefined if an enum has no such word and may be absent. */
function walkValue(strict: boolean, field: Field, value: unknown, path: string, depth: number): unknown {
  const kind = field.kind;
  if (kind === 'string' || kind === 'bool') {
    if (typeof value === (kind === 'bool' ? 'boolean' : 'string')) return value;
  } else if (kind === 'double' || kind === 'int32' || kind === 'int64') {
    const number = strict ? value : numberOf(value);
    if (isNumber(kind, number, strict)) return number;
  } else if (kind === 'bytes') {
    if (typeof value === 'string' && isBase64(value)) return value;
  } else if (kind === 'enum') {
    if (typeof value === 'string' && field.words!.has(value)) return value;
    if (!strict && !field.required && typeof value === 'string') return undefined;
  } else {
    walk(strict, messageOf(kind), value, path, depth + 1);
    return value;
  }
  throw new ProtocolError(`${path} is ${JSON.stringify(value)?.slice(0, 60)}, which is no ${kind}`);
}

function numberOf(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (value === 'Infinity' || value === '-Infinity' || value === 'NaN') return Number(value);
  if (!/^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(value)) return value;
  const number = Number(value);
  return Number.isInteger(number) && !Number.isSafeInteger(number) ? BigInt(value) : number;
}

/** A number beyond 2^53 that was read without care is rounded already: it may be read, never sent. */
function isNumber(kind: string, value: unknown, strict: boolean): boolean {
  if (typeof value === 'bigint') return kind === 'int64';
  if (typeof value !== 'number') return false;
  if (kind === 'double') return strict ? Number.isFinite(value) : true;
  return strict ? Number.isSafeInteger(value) : Number.isInteger(value);
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}

function walkUnion(api: ApiName, value: unknown, strict: boolean): Json | undefined {
  if (!isObject(value)) throw new ProtocolError(`A ${api} is no object`);
  const { common, types } = apis[api] as Api;
  const { type } = value;
  if (typeof type !== 'string' || !Object.hasOwn(types, type)) {
    if (!strict && typeof type === 'string') return undefined;
    throw new ProtocolError(`"${String(type)}" is no type of ${api}`);
  }
  const { message, required } = bodyOf(api, type);
  const name = type.toLowerCase();
  const { fields } = cached(api, common);
  for (const key of Object.keys(value)) {
    const field = fields.get(key);
    if (field !== undefined) walkField(strict, field, value, type, 0);
    else if (strict && key !== 'type' && (key !== name || message === undefined))
      throw new ProtocolError(`${type}.${key} is no field that Mesos knows`);
  }
  for (const field of fields.values()) {
    if (field.required && value[field.name] === undefined) throw new ProtocolError(`${type}.${field.name} is missing`);
  }
  const body = value[name] ?? undefined;
  if (body === undefined && required) throw new ProtocolError(`${type} has no "${name}"`);
  if (body !== undefined && message !== undefined) walk(strict, message, body, name, 0);
  return value;
}

/** Throws ProtocolError naming the field if Mesos would refuse the call, or take it and ignore a part of it. */
export function check(api: ApiName, call: object): void {
  walkUnion(api, call, true);
}

/**
 * A parsed event or answer with what is odd about it put right, in place. Undefined if its type is not known: it comes from a newer Mesos
 * and is nothing for us. Throws ProtocolError if it lacks what it must have.
 */
export function read(api: ApiName, value: unknown): { readonly type: string } | undefined {
  return walkUnion(api, value, false) as { readonly type: string } | undefined;
}

/** The same for one message, such as the MasterInfo of a ZooKeeper node. */
export function readMessage(name: string, value: unknown): unknown {
  walk(false, messageOf(name), value, name, 0);
  return value;
}

/** The same check for one message. */
export function checkMessage(name: string, value: object): void {
  walk(true, messageOf(name), value, name, 0);
}

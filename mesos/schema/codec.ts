/**
 * What we send is checked strictly, because Mesos is silent about a field name that it does not know: `check` finds it, and what is
 * missing, and a value of the wrong kind. What we read is read as Mesos reads: `read` passes over fields it does not know, takes null for
 * absent and numbers written as strings, drops words that an optional enum does not have; only a message that lacks something required is
 * refused. Both cost one walk over the message.
 */
import type { ApiName } from './apis.ts';
import { type Body, type Field, type Message, messageOf, unionOf } from './compile.ts';

export class ProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProtocolError';
  }
}

/** What is wrong with a value, on its way out to where the path to it is known: paths are made only when one is needed. */
class Flaw extends Error {
  path = '';

  within(step: string): this {
    this.path = `${step}${this.path}`;
    return this;
  }

  at(root: string): ProtocolError {
    return new ProtocolError(`${root}${this.path} ${this.message}`);
  }
}

type Json = Record<string, unknown>;

/** Deeper than any message of Mesos. */
const maxDepth = 32;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function walk(strict: boolean, message: Message, value: unknown, depth: number): void {
  if (!isObject(value)) throw new Flaw('is no object');
  if (depth > maxDepth) throw new Flaw(`is nested more than ${maxDepth} deep`);
  for (const name in value) {
    const field = message.fields.get(name);
    if (field !== undefined && field.plain === typeof value[name]) continue;
    if (field !== undefined) walkField(strict, field, value, depth);
    else if (strict && !message.open) throw new Flaw('is no field that Mesos knows').within(`.${name}`);
  }
  for (const field of message.required)
    if (value[field.name] === undefined) throw new Flaw('is missing').within(`.${field.name}`);
}

function walkField(strict: boolean, field: Field, holder: Json, depth: number): void {
  const value = holder[field.name];
  if (value === undefined || (value === null && !strict)) {
    delete holder[field.name];
    return;
  }
  try {
    const next =
      field.shape === 'one' ? walkValue(strict, field, value, depth) : walkItems(strict, field, value, depth);
    if (next === undefined) delete holder[field.name];
    else if (next !== value) holder[field.name] = next;
  } catch (error) {
    throw error instanceof Flaw ? error.within(`.${field.name}`) : error;
  }
}

/** The list or map, its items put right. */
function walkItems(strict: boolean, field: Field, value: unknown, depth: number): unknown {
  const isRight = field.shape === 'list' ? Array.isArray(value) : isObject(value);
  if (!isRight) throw new Flaw(`is no ${field.shape}`);
  const items = value as Json;
  for (const key of Array.isArray(value) ? value.keys() : Object.keys(items)) {
    try {
      const next = walkValue(strict, field, items[key], depth);
      if (next !== items[key]) items[key] = next;
    } catch (error) {
      throw error instanceof Flaw ? error.within(`[${key}]`) : error;
    }
  }
  return items;
}

/** The value as it should be; undefined if an enum has no such word and may be absent. */
function walkValue(strict: boolean, field: Field, value: unknown, depth: number): unknown {
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
    field.message ??= messageOf(kind);
    walk(strict, field.message, value, depth + 1);
    return value;
  }
  throw new Flaw(`is ${JSON.stringify(value)?.slice(0, 60)}, which is no ${kind}`);
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
  const { common, types } = unionOf(api);
  const { type } = value;
  const body = typeof type === 'string' ? types.get(type) : undefined;
  if (body === undefined) {
    if (!strict && typeof type === 'string') return undefined;
    throw new ProtocolError(`"${String(type)}" is no type of ${api}`);
  }
  try {
    walkHead(common, body, value, strict);
  } catch (error) {
    throw error instanceof Flaw ? error.at(String(type)) : error;
  }
  const content = value[body.name] ?? undefined;
  if (content === undefined && body.required) throw new ProtocolError(`${String(type)} has no "${body.name}"`);
  if (content !== undefined && body.message !== undefined) walkRoot(strict, body.message, content, body.name);
  return value;
}

/** The fields beside the body. */
function walkHead(common: Message, { name, message }: Body, value: Json, strict: boolean): void {
  for (const key in value) {
    const field = common.fields.get(key);
    if (field !== undefined) walkField(strict, field, value, 0);
    else if (strict && key !== 'type' && (key !== name || message === undefined))
      throw new Flaw('is no field that Mesos knows').within(`.${key}`);
  }
  for (const field of common.required)
    if (value[field.name] === undefined) throw new Flaw('is missing').within(`.${field.name}`);
}

function walkRoot(strict: boolean, message: Message, value: unknown, root: string): void {
  try {
    walk(strict, message, value, 0);
  } catch (error) {
    throw error instanceof Flaw ? error.at(root) : error;
  }
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
  walkRoot(false, messageOf(name), value, name);
  return value;
}

/** The same check for one message. */
export function checkMessage(name: string, value: object): void {
  walkRoot(true, messageOf(name), value, name);
}

/**
 * Reading JSON with what JSON.parse leaves out: duplicate fields, a limit on depth, integers that JavaScript would round, and names that
 * are dangerous in it.
 */
import { ApiError, messageOf } from '#lib/std/errors.ts';
import { requireFewValues } from './bounds.ts';
import { isObject, type Json } from './json.ts';

export const maxDepth = 64;

export interface Parsed {
  readonly value: Json;
  /** Paths such as spec.image that were given more than once; the last one counted. */
  readonly duplicates: readonly string[];
}

interface Frame {
  readonly path: string;
  /** Names seen so far; undefined in an array. */
  readonly names: Set<string> | undefined;
  index: number;
  /** Path of the member whose value comes next. */
  member: string;
}

/**
 * BadRequest for text that is not JSON, nests deeper than maxDepth, or has a field `__proto__` or an integer that would be rounded;
 * RequestEntityTooLarge for too many values.
 */
export function parseJson(text: string, what: string): Parsed {
  requireFewValues(text, what);
  const duplicates: string[] = [];
  const value = parsed(text, what);
  scan(text, duplicates);
  return { value, duplicates };
}

function parsed(text: string, what: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    const reason = messageOf(error).replace(/^[A-Z]/, (letter) => letter.toLowerCase());
    throw new ApiError('BadRequest', `${what}; json parse error: ${reason} (${summary(text)})`, { cause: error });
  }
}

/** The beginning of a body, as messages quote it: as text if it looks like an object, else byte by byte. */
export function summary(text: string): string {
  if (text === '') return '<empty>';
  const bytes = Buffer.from(text.slice(0, 31));
  const shown = text.startsWith('{') ? text.slice(0, 30) : bytes.subarray(0, 30).toString('hex');
  return bytes.length > 30 ? `${shown} ...` : shown;
}

/** Walks over text that is known to be JSON, token by token. */
function scan(text: string, duplicates: string[]): void {
  const stack: Frame[] = [];
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],]|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;
  let expectName = false;
  for (let match = tokens.exec(text); match; match = tokens.exec(text)) {
    const token = match[0];
    const top = stack.at(-1);
    if (token === '{' || token === '[') {
      stack.push(open(token, top, stack.length));
      expectName = token === '{';
    } else if (token === '}' || token === ']') {
      stack.pop();
      expectName = false;
    } else if (token === ',') {
      if (top) top.index++;
      expectName = top?.names !== undefined;
    } else if (token[0] !== '"') exactNumber(BigInt(token));
    else if (expectName && top?.names) {
      enter(top, JSON.parse(token) as string, duplicates);
      expectName = false;
    }
  }
}

/** BadRequest for a value that nests deeper than maxDepth: read from something else than JSON text, or patched together. */
export function requireShallow(value: Json, depth = 0): void {
  if (depth > maxDepth) throw tooDeep();
  if (Array.isArray(value)) for (const item of value) requireShallow(item, depth + 1);
  else if (isObject(value)) for (const child of Object.values(value)) requireShallow(child, depth + 1);
}

/**
 * The integer as JavaScript's number. BadRequest for one of 64 bits that would come back as another: rather refused than changed. What has
 * more bits is no integer in Kubernetes either, and rounded there too.
 */
export function exactNumber(integer: bigint): number {
  const number = Number(integer);
  if (BigInt.asIntN(64, integer) !== integer || String(number) === String(integer)) return number;
  throw new ApiError('BadRequest', `the integer ${integer} cannot be kept exactly: use one below 2^53, or a text`);
}

export function tooDeep(): ApiError {
  return new ApiError('BadRequest', `the object is nested more than ${maxDepth} levels deep; flatten it`);
}

function open(token: string, parent: Frame | undefined, depth: number): Frame {
  if (depth >= maxDepth) throw tooDeep();
  const path = parent === undefined ? '' : parent.names ? parent.member : `${parent.path}[${parent.index}]`;
  return { path, names: token === '{' ? new Set() : undefined, index: 0, member: path };
}

function enter(frame: Frame, name: string, duplicates: string[]): void {
  refuseDangerousName(name);
  frame.member = frame.path === '' ? name : `${frame.path}.${name}`;
  if (frame.names?.has(name)) duplicates.push(frame.member);
  frame.names?.add(name);
}

/** An own property of this name turns into the prototype as soon as anybody copies it by assignment. */
export function refuseDangerousName(name: string): void {
  if (name === '__proto__') throw new ApiError('BadRequest', 'a field may not be named "__proto__"');
}

/** One step of a path, as FieldsV1 writes it, and how messages show it. */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { ListType } from './type.ts';

export function fieldStep(name: string): string {
  return `f:${name}`;
}

/** What tells an item of an associative list apart; undefined for one that cannot be told apart. */
export function itemStep(item: Json, list: ListType): string | undefined {
  if (list.kind === 'set') return item === null || typeof item === 'object' ? undefined : `v:${JSON.stringify(item)}`;
  if (!isObject(item)) return undefined;
  let keys = '';
  for (const name of list.keys) {
    const value = at(item, name) ?? list.keyDefaults.get(name);
    if (value !== undefined) keys += `${keys && ','}${JSON.stringify(name)}:${JSON.stringify(value)}`;
  }
  return keys === '' ? undefined : `k:{${keys}}`;
}

/** Steps with one plain text in them can be spelt in one way only. */
const plain = /^(?:f:|v:"[^"\\]*"$|k:\{"[^"\\]*":"[^"\\]*"\}$)/;

/** The same step in our spelling: members of a key in order, no blanks. SyntaxError for a step that is none. */
export function canonicalStep(step: string): string {
  if (plain.test(step)) return step;
  const rest = step.slice(2);
  switch (step.slice(0, 2)) {
    case 'v:':
      return `v:${canonicalScalar(JSON.parse(rest) as Json)}`;
    case 'k:':
      return `k:${canonicalKey(JSON.parse(rest) as Json)}`;
    case 'i:':
      if (/^\d{1,15}$/.test(rest)) return step;
  }
  throw new SyntaxError(`"${step}" is no step of a path`);
}

function canonicalKey(key: Json): string {
  if (!isObject(key)) throw new SyntaxError('the key of an item must be an object');
  const members = Object.entries(key).sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${canonicalScalar(value)}`).join(',')}}`;
}

/** Nothing that nests tells items apart; a client may nest it deeper than the stack is. */
function canonicalScalar(value: Json): string {
  if (typeof value === 'object' && value !== null) throw new SyntaxError('what tells items apart must be a scalar');
  return JSON.stringify(value);
}

/** `.spec.ports[name="http"].port` */
export function showPath(path: readonly string[]): string {
  return path.map(showStep).join('');
}

export function showStep(step: string): string {
  const rest = step.slice(2);
  if (step.startsWith('f:')) return `.${rest}`;
  if (step.startsWith('v:')) return `[=${rest}]`;
  if (step.startsWith('i:')) return `[${rest}]`;
  const key = JSON.parse(rest) as JsonObject;
  const members = Object.entries(key).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `[${members.join(',')}]`;
}

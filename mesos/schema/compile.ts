/** The schema's short texts made into what codec.ts walks by: each once, when it is first needed. */
import { type Api, type ApiName, apiMessages, apis } from './apis.ts';
import { messages, taskStates } from './messages.ts';

export interface Field {
  readonly name: string;
  readonly kind: string;
  readonly shape: 'one' | 'list' | 'map';
  readonly required: boolean;
  /** What `typeof` gives for a value that is right, where that is all there is to know: most fields are strings. */
  readonly plain: 'string' | 'boolean' | undefined;
  /** The words of an enum. */
  readonly words: ReadonlySet<string> | undefined;
  /** Of a kind that is a message; looked up at first use, since messages contain themselves. */
  message?: Message;
}

export interface Message {
  readonly fields: ReadonlyMap<string, Field>;
  readonly required: readonly Field[];
  /** Has fields that nobody looked at. */
  readonly open: boolean;
}

/** The body of a type of an API, in the field of this name. */
export interface Body {
  readonly name: string;
  readonly message: Message | undefined;
  readonly required: boolean;
}

export interface Union {
  readonly common: Message;
  readonly types: ReadonlyMap<string, Body>;
}

const compiled = new Map<string, Message>();
const unions = new Map<ApiName, Union>();
function fieldOf(text: string): Field {
  const space = text.indexOf(' ');
  const [, kind = '', shape, required] = /^([^!{[]*)(\[\]|\{\})?(!)?$/.exec(text.slice(space + 1))!;
  const words = kind === 'TaskState' ? taskStates : kind.includes('|') ? kind : undefined;
  return {
    name: text.slice(0, space),
    kind: words === undefined ? kind : 'enum',
    shape: shape === '[]' ? 'list' : shape === '{}' ? 'map' : 'one',
    required: required !== undefined,
    plain: shape !== undefined ? undefined : kind === 'string' ? 'string' : kind === 'bool' ? 'boolean' : undefined,
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

export function messageOf(name: string): Message {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const text = messages[name] ?? apiMessages[name];
  if (text === undefined) throw new Error(`The schema has no message ${name}`);
  const message = compile(text);
  compiled.set(name, message);
  return message;
}

export function unionOf(name: ApiName): Union {
  const known = unions.get(name);
  if (known !== undefined) return known;
  const { common, types } = apis[name] as Api;
  const bodies = Object.entries(types).map(([type, text]) => [type, bodyOf(type, text)] as const);
  const union = { common: compile(common), types: new Map(bodies) };
  unions.set(name, union);
  return union;
}

function bodyOf(type: string, text: string): Body {
  const name = type.toLowerCase();
  if (text === '-') return { name, message: undefined, required: false };
  const required = text.startsWith('! ');
  return { name, message: compile(required ? text.slice(2) : text), required };
}

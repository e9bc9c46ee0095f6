/** Types of CEL expressions, as the checker knows them before anything is evaluated. */

export type ScalarKind =
  | 'dyn'
  | 'null'
  | 'bool'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'timestamp'
  | 'duration';

export type Type =
  | { readonly kind: ScalarKind }
  | { readonly kind: 'list'; readonly item: Type }
  | { readonly kind: 'map'; readonly key: Type; readonly value: Type }
  | { readonly kind: 'optional'; readonly of: Type }
  /** The type of a type: what type(x) gives. */
  | { readonly kind: 'type' }
  /** An object of a schema. Two are the same only if they come from the same place of the schema. */
  | { readonly kind: 'object'; readonly fields: ReadonlyMap<string, Type> }
  /** A value that only functions can look into: a quantity, an address. */
  | { readonly kind: 'opaque'; readonly name: string }
  /** Stands for any type in the signature of a function, the same one everywhere. */
  | { readonly kind: 'param'; readonly name: string };

const scalars = new Map(
  (['dyn', 'null', 'bool', 'int', 'uint', 'double', 'string', 'bytes', 'timestamp', 'duration'] as const).map(
    (kind): [string, Type] => [kind, { kind }],
  ),
);

export function scalar(kind: ScalarKind): Type {
  return scalars.get(kind)!;
}

export const dyn = scalar('dyn');
export const bool = scalar('bool');
export const int = scalar('int');
export const string = scalar('string');
export const typeType: Type = { kind: 'type' };

export function listOf(item: Type): Type {
  return { kind: 'list', item };
}

export function mapOf(key: Type, value: Type): Type {
  return { kind: 'map', key, value };
}

export function optionalOf(of: Type): Type {
  return { kind: 'optional', of };
}

/** Reads what signatures say: `int`, `list<A>`, `map<K,V>`, `optional<string>`, `Quantity`. */
export function readType(text: string): Type {
  const known = scalars.get(text);
  if (known) return known;
  if (text === 'type') return typeType;
  if (/^[A-Z]$/.test(text)) return { kind: 'param', name: text };
  const generic = /^(list|map|optional)<(.*)>$/.exec(text);
  if (!generic) return { kind: 'opaque', name: text };
  const args = splitTop(generic[2]!).map(readType);
  if (generic[1] === 'map') return mapOf(args[0]!, args[1]!);
  return generic[1] === 'list' ? listOf(args[0]!) : optionalOf(args[0]!);
}

/** Splits at commas that are in no angle brackets. */
export function splitTop(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < text.length; index++) {
    const char = text[index];
    if (char === '<') depth++;
    else if (char === '>') depth--;
    else if (char === ',' && depth === 0) {
      parts.push(text.slice(start, index).trim());
      start = index + 1;
    }
  }
  const last = text.slice(start).trim();
  return last === '' ? parts : [...parts, last];
}

/** As cel-go's messages name types. */
export function showType(type: Type): string {
  switch (type.kind) {
    case 'list':
      return `list(${showType(type.item)})`;
    case 'map':
      return `map(${showType(type.key)}, ${showType(type.value)})`;
    case 'optional':
      return `optional_type(${showType(type.of)})`;
    case 'opaque':
      return `kubernetes.${type.name}`;
    case 'param':
      return type.name;
    default:
      return type.kind;
  }
}

export type Bindings = Map<string, Type>;

/** Kinds whose values may be absent as null, as cel-go has it. */
const nullable: ReadonlySet<string> = new Set(['object', 'timestamp', 'duration', 'opaque', 'optional']);

/** Whether a value of type `actual` may stand where `wanted` is asked for. Binds the parameters of `wanted`. */
export function accepts(wanted: Type, actual: Type, bindings: Bindings): boolean {
  if (wanted.kind === 'param') return bind(wanted.name, actual, bindings);
  if (wanted.kind === 'dyn' || actual.kind === 'dyn' || wanted === actual) return true;
  if (actual.kind === 'null' && nullable.has(wanted.kind)) return true;
  if (wanted.kind === 'list' && actual.kind === 'list') return accepts(wanted.item, actual.item, bindings);
  if (wanted.kind === 'map' && actual.kind === 'map')
    return accepts(wanted.key, actual.key, bindings) && accepts(wanted.value, actual.value, bindings);
  if (wanted.kind === 'optional' && actual.kind === 'optional') return accepts(wanted.of, actual.of, bindings);
  if (wanted.kind === 'opaque' && actual.kind === 'opaque') return wanted.name === actual.name;
  return wanted.kind === actual.kind && wanted.kind !== 'object';
}

function bind(name: string, actual: Type, bindings: Bindings): boolean {
  const bound = bindings.get(name);
  if (!bound || bound.kind === 'null') {
    if (bound && !accepts(actual, bound, bindings)) return false;
    bindings.set(name, actual);
    return true;
  }
  if (bound.kind === 'param') return actual.kind === 'param' && actual.name === bound.name;
  // An empty list says nothing of its items: [] fits list<int>, and the other way round.
  if (accepts(bound, actual, bindings)) return true;
  if (!accepts(actual, bound, bindings)) return false;
  bindings.set(name, actual);
  return true;
}

/** The type with its parameters replaced by what they were bound to; what was never bound may be anything. */
export function resolve(type: Type, bindings: Bindings): Type {
  switch (type.kind) {
    case 'param':
      return bindings.get(type.name) ?? dyn;
    case 'list':
      return listOf(resolve(type.item, bindings));
    case 'map':
      return mapOf(resolve(type.key, bindings), resolve(type.value, bindings));
    case 'optional':
      return optionalOf(resolve(type.of, bindings));
    default:
      return type;
  }
}

/** The type of values that are of one or the other; undefined if they have nothing in common. */
export function join(one: Type, other: Type): Type | undefined {
  const bindings: Bindings = new Map();
  if (accepts(one, other, bindings)) return one.kind === 'null' ? other : one;
  return accepts(other, one, bindings) ? other : undefined;
}

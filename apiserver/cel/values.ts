/** Values that CEL expressions compute with. */
import { at, type Json, type JsonObject } from '#apiserver/json/json.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import { EvaluationError } from './errors.ts';
import type { ObjectFields } from './schema-types.ts';

export type Value =
  | null
  | boolean
  /** A double. Integers are bigints. */
  | number
  | bigint
  | string
  | Uint8Array
  | Uint
  | Timestamp
  | Duration
  | TypeValue
  | Optional
  | Opaque
  | readonly Value[]
  | ReadonlyMap<Value, Value>
  | ObjectValue;

export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    if (value < 0n || value > 0xffff_ffff_ffff_ffffn) throw new EvaluationError('unsigned integer overflow');
    this.value = value;
  }
}

/** Nanoseconds since 1970. */
export class Timestamp {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

export class Duration {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

export class TypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export class Optional {
  static readonly none = new Optional(undefined);
  readonly value: Value | undefined;

  constructor(value: Value | undefined) {
    this.value = value;
  }
}

/** A value of a library: equal as `key` is. */
export abstract class Opaque {
  abstract readonly type: string;
  abstract readonly key: string;
}

/**
 * An object of a schema with named properties. Fields become values when somebody asks for them. A field that is null is the same as none,
 * as in Kubernetes; items of lists and values of maps may be null.
 */
export class ObjectValue {
  readonly #raw: JsonObject;
  readonly #fields: ObjectFields;
  readonly #known = new Map<string, Value>();
  readonly #read: (value: Json, schema: Schema) => Value;

  constructor(raw: JsonObject, fields: ObjectFields, read: (value: Json, schema: Schema) => Value) {
    this.#raw = raw;
    this.#fields = fields;
    this.#read = read;
  }

  has(name: string): boolean {
    return this.#json(name) !== undefined;
  }

  get(name: string): Value | undefined {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const json = this.#json(name);
    if (json === undefined) return undefined;
    const value = this.#read(json, this.#fields.get(name)!.schema);
    this.#known.set(name, value);
    return value;
  }

  /** By the name in the JSON, as it is there. */
  property(name: string): Json | undefined {
    return at(this.#raw, name);
  }

  #json(name: string): Json | undefined {
    const field = this.#fields.get(name);
    return (field && at(this.#raw, field.property)) ?? undefined;
  }

  /** The fields that are there, by the names that expressions use. */
  names(): string[] {
    return [...this.#fields.keys()].filter((name) => this.has(name));
  }
}

/** A list whose items have an identity, so that order does not count and addition replaces: x-kubernetes-list-type set or map. */
export class KeyedList extends Array<Value> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
  /** Makes the identity of an item. Set right after construction, for Array's own constructor takes a length. */
  identify: (item: Value) => string = () => '';
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

export function isMap(value: Value): value is ReadonlyMap<Value, Value> {
  return value instanceof Map;
}

/** Keys of maps: 1, 1u and 1.0 are the same key. */
export function mapKey(value: Value): Value {
  if (value instanceof Uint) return value.value;
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value;
}

/** The name of the value's type, as type() and messages show it. */
export function typeNameOf(value: Value): string {
  if (value === null) return 'null_type';
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'number':
      return 'double';
    case 'bigint':
      return 'int';
    case 'string':
      return 'string';
    default:
      return classNameOf(value);
  }
}

function classNameOf(value: Exclude<Value, null | boolean | number | bigint | string>): string {
  if (isList(value)) return 'list';
  if (value instanceof Uint8Array) return 'bytes';
  if (value instanceof Uint) return 'uint';
  if (value instanceof Timestamp) return 'google.protobuf.Timestamp';
  if (value instanceof Duration) return 'google.protobuf.Duration';
  if (value instanceof TypeValue) return 'type';
  if (value instanceof Optional) return 'optional_type';
  if (value instanceof Opaque) return `kubernetes.${value.type}`;
  return value instanceof ObjectValue ? 'object' : 'map';
}

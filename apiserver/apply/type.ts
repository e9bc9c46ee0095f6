/** How values of a schema merge: which maps have named fields, which lists have items that can be told apart, and what is one whole. */
import { isObject, type Json } from '#apiserver/json/json.ts';
import { additionalOf, propertyOf, type Schema } from '#apiserver/schema/schema.ts';

/** A value may have several forms where the schema leaves it open. */
export interface Type {
  readonly scalar?: 'string' | 'number' | 'boolean' | 'any';
  readonly map?: MapType;
  readonly list?: ListType;
}

export interface MapType {
  /** Owned and replaced as a whole. */
  readonly atomic: boolean;
  /** Fields that the schema names; every other key is an entry of a true map, of type `values`. */
  readonly fields: ReadonlyMap<string, Type>;
  readonly values?: Type;
}

export interface ListType {
  readonly kind: 'atomic' | 'set' | 'map';
  /** Fields that tell items of a map apart, sorted. */
  readonly keys: readonly string[];
  readonly keyDefaults: ReadonlyMap<string, Json>;
  readonly items: Type;
}

export type Form = 'map' | 'list' | 'scalar';

/** The form under which a value of this type is looked at. null, and what does not fit, goes by the type alone. */
export function formOf(type: Type, value: Json): Form {
  if (isObject(value) && type.map) return 'map';
  if (Array.isArray(value) && type.list) return 'list';
  if (value !== null && typeof value !== 'object' && type.scalar) return 'scalar';
  return type.map ? 'map' : type.scalar ? 'scalar' : 'list';
}

/** The type of a member, or undefined if the schema knows no such field. */
export function memberType(map: MapType, name: string): Type | undefined {
  return map.fields.get(name) ?? map.values;
}

/** Whatever it is, it is one whole. */
const whole: { -readonly [K in keyof Type]: Type[K] } = { scalar: 'any' };
whole.map = { atomic: true, fields: new Map(), values: whole };
whole.list = { kind: 'atomic', keys: [], keyDefaults: new Map(), items: whole };

/** managedFields nest as deep as what they speak of: they must not make an object too deep to be sent back. */
export const openLevels = 32;
/** What no schema describes: maps merge key by key, lists are one whole, and so is what lies very deep. */
const open = openType(openLevels);

function openType(levels: number): Type {
  if (levels === 0) return whole;
  return { ...whole, map: { atomic: false, fields: new Map(), values: openType(levels - 1) } };
}

const string: Type = { scalar: 'string' };
const number: Type = { scalar: 'number' };
const strings: Type = { map: { atomic: false, fields: new Map(), values: string } };

/** metav1.ObjectMeta, for every kind the same. */
const metadata: Type = {
  map: {
    atomic: false,
    fields: new Map<string, Type>([
      ...['name', 'generateName', 'namespace', 'uid', 'resourceVersion', 'selfLink'].map((n) => [n, string] as const),
      ...['creationTimestamp', 'deletionTimestamp'].map((n) => [n, string] as const),
      ...['generation', 'deletionGracePeriodSeconds'].map((n) => [n, number] as const),
      ['labels', strings],
      ['annotations', strings],
      ['finalizers', { list: { kind: 'set', keys: [], keyDefaults: new Map(), items: string } }],
      ['ownerReferences', { list: { kind: 'map', keys: ['uid'], keyDefaults: new Map(), items: whole } }],
      ['managedFields', { list: { kind: 'atomic', keys: [], keyDefaults: new Map(), items: whole } }],
    ]),
  },
};

const types = new WeakMap<Schema, Type>();

/** The type of whole objects of this schema; made once per schema. */
export function objectType(schema: Schema): Type {
  const known = types.get(schema);
  if (known) return known;
  const fresh = { map: withIdentity(mapType(schema)) };
  types.set(schema, fresh);
  return fresh;
}

/** Objects of the API say in every place what they are. */
function withIdentity(map: MapType): MapType {
  const identity: [string, Type][] = [
    ['apiVersion', string],
    ['kind', string],
    ['metadata', metadata],
  ];
  return { ...map, fields: new Map([...map.fields, ...identity]) };
}

function typeOf(schema: Schema): Type {
  if (schema['x-kubernetes-int-or-string']) return { scalar: 'any' };
  switch (schema.type) {
    case 'object':
      return { map: schema['x-kubernetes-embedded-resource'] ? withIdentity(mapType(schema)) : mapType(schema) };
    case 'array':
      return { list: listType(schema) };
    case 'string':
    case 'boolean':
      return { scalar: schema.type };
    case 'integer':
    case 'number':
      return number;
    default:
      return open;
  }
}

function mapType(schema: Schema): MapType {
  const fields = Object.entries(schema.properties ?? {}).map(([name, child]) => [name, typeOf(child)] as const);
  const values = valuesOf(schema);
  return {
    atomic: schema['x-kubernetes-map-type'] === 'atomic',
    fields: new Map(fields),
    ...(values ? { values } : {}),
  };
}

function valuesOf(schema: Schema): Type | undefined {
  const additional = additionalOf(schema);
  if (additional) return typeOf(additional);
  const anything = schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties === true;
  return anything ? open : undefined;
}

/** Lists are atomic unless their schema says what their items are told apart by. */
function listType(schema: Schema): ListType {
  const { items } = schema;
  const kind = schema['x-kubernetes-list-type'] ?? 'atomic';
  const keys = [...(schema['x-kubernetes-list-map-keys'] ?? [])].sort();
  const defaults = keys.flatMap((key) => {
    const value = items && propertyOf(items, key)?.default;
    return value === undefined ? [] : [[key, value] as const];
  });
  return { kind, keys, keyDefaults: new Map(defaults), items: items ? typeOf(items) : open };
}

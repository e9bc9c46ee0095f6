import { copyJson, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { additionalOf, propertyOf, type Schema } from './schema.ts';

/** Where in a schema there are defaults. It is asked with every read and write, and most of a schema has none. */
interface Places {
  readonly defaults: readonly (readonly [name: string, property: Schema])[];
  /** Properties with defaults further below. */
  readonly properties: readonly (readonly [name: string, property: Schema])[];
  readonly additional: Schema | undefined;
  readonly items: Schema | undefined;
}

/** Null: there are none. */
const known = new WeakMap<Schema, Places | null>();

/**
 * Fills in defaults, in place. As Kubernetes: a null where the schema allows none is dropped first if there is a default, and
 * defaults inside an object count only if the object is there, be it by a default of its own.
 */
export function applyDefaults(value: Json, schema: Schema): void {
  const places = placesOf(schema);
  if (!places) return;
  if (isObject(value)) defaultObject(value, schema, places);
  else if (Array.isArray(value) && places.items) for (const item of value) applyDefaults(item, places.items);
}

function defaultObject(object: JsonObject, schema: Schema, { defaults, properties, additional }: Places): void {
  for (const [name, property] of defaults) {
    const absent = !Object.hasOwn(object, name) || (object[name] === null && property.nullable !== true);
    if (absent) object[name] = copyJson(property.default!);
  }
  for (const [name, property] of properties) if (Object.hasOwn(object, name)) applyDefaults(object[name]!, property);
  if (additional)
    for (const [name, child] of Object.entries(object)) if (!propertyOf(schema, name)) applyDefaults(child, additional);
}

function placesOf(schema: Schema): Places | null {
  const before = known.get(schema);
  if (before !== undefined) return before;
  const places = findPlaces(schema);
  known.set(schema, places);
  return places;
}

function findPlaces(schema: Schema): Places | null {
  const all = Object.entries(schema.properties ?? {});
  const defaults = all.filter(([, property]) => property.default !== undefined);
  const properties = all.filter(([, property]) => placesOf(property));
  const [additional, items] = [additionalOf(schema), schema.items].map((child) =>
    child && placesOf(child) ? child : undefined,
  );
  return defaults.length + properties.length > 0 || additional || items
    ? { defaults, properties, additional, items }
    : null;
}

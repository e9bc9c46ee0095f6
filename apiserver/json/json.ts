/** JSON values as data. Keys of objects are chosen by clients: read them with Object.hasOwn or `at`, never by plain indexing alone. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [key: string]: Json };

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The own property, so that `constructor` and `toString` are absent unless somebody put them there. */
export function at(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Follows object keys; undefined as soon as one is not there. */
export function atPath(value: Json | undefined, path: readonly string[]): Json | undefined {
  let here = value;
  for (const key of path) {
    if (!isObject(here)) return undefined;
    here = at(here, key);
  }
  return here;
}

/** A copy with the value put at the path, objects made on the way. Nothing of the original is changed. */
export function withPath(object: JsonObject, path: readonly string[], value: Json): JsonObject {
  const [key, ...rest] = path;
  if (key === undefined) return object;
  const child = at(object, key);
  return { ...object, [key]: rest.length === 0 ? value : withPath(isObject(child) ? child : {}, rest, value) };
}

export function copyJson<T extends Json>(value: T): T {
  if (Array.isArray(value)) return value.map(copyJson) as T;
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, copyJson(child)])) as T;
}

/** For a message. Not by a template alone: an object may bring a toString of its own, which is no function. */
export function asText(value: Json | undefined): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The words Go's JSON decoder uses for types, which Kubernetes' messages contain. */
export function goTypeOf(value: Json | undefined): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value;
}

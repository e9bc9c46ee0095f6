/** Members of an object, as far as they are of the type that is expected; nothing in place of any other. */
import { at, isObject, type JsonObject } from './json.ts';

export function objectsIn(object: JsonObject, field: string): JsonObject[] {
  const value = at(object, field);
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function textsIn(object: JsonObject, field: string): string[] {
  const value = at(object, field);
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

export function textIn(object: JsonObject, field: string): string {
  const value = at(object, field);
  return typeof value === 'string' ? value : '';
}

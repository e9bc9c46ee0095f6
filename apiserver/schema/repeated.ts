import { isObject, type Json } from '#apiserver/json/json.ts';
import type { Cause } from '#lib/std/errors.ts';
import { duplicate } from './causes.ts';
import { additionalOf, propertyOf, type Schema } from './schema.ts';
import { repeatedItems } from './unique.ts';

/** The items of sets and of lists with keys that repeat an earlier one, wherever in the value. */
export function explainRepeated(value: Json, schema: Schema, path: string): Cause[] {
  if (Array.isArray(value)) return repeatedIn(value, schema, path);
  if (!isObject(value)) return [];
  const additional = additionalOf(schema);
  return Object.entries(value).flatMap(([name, child]) => {
    const below = propertyOf(schema, name) ?? additional;
    return below ? explainRepeated(child, below, path === '' ? name : `${path}.${name}`) : [];
  });
}

function repeatedIn(list: readonly Json[], schema: Schema, path: string): Cause[] {
  const { items } = schema;
  return [
    ...repeatedItems(list, schema).map(({ index, value }) => duplicate(`${path}[${index}]`, value)),
    ...(items ? list.flatMap((item, index) => explainRepeated(item, items, `${path}[${index}]`)) : []),
  ];
}

/** x-kubernetes-embedded-resource: a whole object inside of an object, such as a template, has a kind and typed metadata of its own. */
import { at, isObject, type Json } from '#apiserver/json/json.ts';
import type { Cause } from '#lib/std/errors.ts';
import { required } from './causes.ts';
import { additionalOf, propertyOf, type Schema } from './schema.ts';

const holders = new WeakMap<Schema, boolean>();

/** Whether there is an embedded resource anywhere in values of this schema. */
function holdsEmbedded(schema: Schema): boolean {
  const known = holders.get(schema);
  if (known !== undefined) return known;
  const below = [...Object.values(schema.properties ?? {}), additionalOf(schema), schema.items];
  const holds =
    schema['x-kubernetes-embedded-resource'] === true ||
    below.some((child) => child !== undefined && holdsEmbedded(child));
  holders.set(schema, holds);
  return holds;
}

/** Embedded resources that do not say what they are. */
export function embeddedCauses(value: Json, schema: Schema, path: string): Cause[] {
  if (!holdsEmbedded(schema)) return [];
  if (Array.isArray(value)) {
    const { items } = schema;
    return items ? value.flatMap((item, index) => embeddedCauses(item, items, `${path}[${index}]`)) : [];
  }
  if (!isObject(value)) return [];
  const additional = additionalOf(schema);
  const own = schema['x-kubernetes-embedded-resource'] === true ? ['apiVersion', 'kind'] : [];
  return [
    ...own
      .filter((name) => typeof at(value, name) !== 'string' || at(value, name) === '')
      .map((name) => required(`${path}.${name}`, 'must not be empty')),
    ...Object.entries(value).flatMap(([name, child]) => {
      const below = propertyOf(schema, name) ?? additional;
      return below ? embeddedCauses(child, below, path === '' ? name : `${path}.${name}`) : [];
    }),
  ];
}

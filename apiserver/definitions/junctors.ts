/** allOf, anyOf, oneOf and not may restrict values; they may not say what a field is, which the schema outside of them does. */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { forbidden, required } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import { checkWords, propertiesOf } from './keywords.ts';

const structureWords = [
  'type',
  'description',
  'title',
  'default',
  'nullable',
  'additionalProperties',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-validations',
];

/** `schema` is the structure around them. */
export function checkJunctors(schema: JsonObject, path: string): Cause[] {
  return junctorsOf(schema, path).flatMap(([junctor, here]) => checkJunctor(junctor, schema, here));
}

function junctorsOf(schema: JsonObject, path: string): [JsonObject, string][] {
  const many = ['allOf', 'anyOf', 'oneOf'].flatMap((word) => {
    const list = at(schema, word);
    return Array.isArray(list)
      ? list.map((item, index): [JsonObject, string] => [item as JsonObject, `${path}.${word}[${index}]`])
      : [];
  });
  const not = at(schema, 'not');
  return isObject(not) ? [...many, [not, `${path}.not`]] : many;
}

function checkJunctor(junctor: JsonObject, structure: Json | undefined, path: string): Cause[] {
  const words = checkWords(junctor, path);
  if (words.length > 0) return words;
  const outside = isObject(structure) ? structure : {};
  const items = at(junctor, 'items');
  return [
    ...structureWords
      .filter((word) => at(junctor, word) !== undefined && !isIntOrString(word, outside))
      .map((word) => forbidden(`${path}.${word}`, 'must be empty to be structural')),
    ...propertiesOf(junctor).flatMap(([name, child]) =>
      checkInside(child, propertiesOf(outside).find(([known]) => known === name)?.[1], `${path}.properties[${name}]`),
    ),
    ...(isObject(items) ? checkInside(items, at(outside, 'items'), `${path}.items`) : []),
    ...junctorsOf(junctor, path).flatMap(([inner, here]) => checkJunctor(inner, outside, here)),
  ];
}

function checkInside(junctor: JsonObject, structure: Json | undefined, path: string): Cause[] {
  if (isObject(structure)) return checkJunctor(junctor, structure, path);
  return [required(path, 'must be specified outside of allOf, anyOf, oneOf and not too')];
}

/** anyOf: [{type: integer}, {type: string}] is how int-or-string is said. */
function isIntOrString(word: string, outside: JsonObject): boolean {
  return word === 'type' && at(outside, 'x-kubernetes-int-or-string') === true;
}

/** What makes a schema structural: every field has one type that can be told without looking at values (apiextensions, apiserver/schema/validation.go). */
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { forbidden, invalid, notSupported, required } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import { checkJunctors } from './junctors.ts';
import { checkWords, propertiesOf } from './keywords.ts';
import { checkLists } from './list-types.ts';

export type Place = 'root' | 'field' | 'item';

const types = ['array', 'boolean', 'integer', 'number', 'object', 'string'];

/** Every reason why this is no structural schema, that of an object as a whole. */
export function checkStructural(schema: JsonObject, path: string): Cause[] {
  return checkNode(schema, path, 'root');
}

function checkNode(schema: JsonObject, path: string, place: Place): Cause[] {
  const words = checkWords(schema, path);
  // The rest relies on words being of the right type.
  if (words.length > 0) return words;
  return [
    ...checkType(schema, path, place),
    ...checkShape(schema, path, place),
    ...checkLists(schema, path),
    ...checkJunctors(schema, path),
    ...(place === 'root' ? checkRoot(schema, path) : []),
    ...checkEmbedded(schema, path),
    ...checkChildren(schema, path),
  ];
}

function checkType(schema: JsonObject, path: string, place: Place): Cause[] {
  const type = at(schema, 'type') ?? '';
  if (place === 'root') return type === 'object' ? [] : [invalid(`${path}.type`, type, 'must be object at the root')];
  if (at(schema, 'x-kubernetes-int-or-string') === true)
    return type === '' ? [] : [forbidden(`${path}.type`, 'must be empty if x-kubernetes-int-or-string is true')];
  if (type !== '') return types.includes(String(type)) ? [] : [notSupported(`${path}.type`, type, types)];
  if (at(schema, 'x-kubernetes-preserve-unknown-fields') === true) return [];
  const what = place === 'item' ? 'array items' : 'object fields';
  return [required(`${path}.type`, `must not be empty for specified ${what}`)];
}

function checkShape(schema: JsonObject, path: string, place: Place): Cause[] {
  const causes: Cause[] = [];
  const additional = at(schema, 'additionalProperties');
  const items = at(schema, 'items');
  const type = at(schema, 'type');
  if (additional === false)
    causes.push(forbidden(`${path}.additionalProperties`, 'additionalProperties cannot be set to false'));
  if (additional !== undefined && place === 'root')
    causes.push(forbidden(`${path}.additionalProperties`, 'must not be used at the root'));
  if (additional !== undefined && propertiesOf(schema).length > 0)
    causes.push(forbidden(`${path}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'));
  if (Array.isArray(items)) causes.push(forbidden(`${path}.items`, 'items must be a schema object and not an array'));
  if (type === 'array' && items === undefined) causes.push(required(`${path}.items`, 'must be specified'));
  if (at(schema, 'uniqueItems') === true)
    causes.push(
      forbidden(
        `${path}.uniqueItems`,
        'uniqueItems cannot be set to true since the runtime complexity becomes quadratic; use x-kubernetes-list-type: set',
      ),
    );
  if (at(schema, 'x-kubernetes-preserve-unknown-fields') === false)
    causes.push(invalid(`${path}.x-kubernetes-preserve-unknown-fields`, false, 'must be true or undefined'));
  return causes;
}

/** apiVersion, kind and metadata are typed by the server; of metadata only the name may be restricted. */
function checkRoot(schema: JsonObject, path: string): Cause[] {
  return propertiesOf(schema).flatMap(([name, field]) => {
    const here = `${path}.properties[${name}]`;
    if (name === 'metadata') return checkMetadataSchema(field, here);
    if (name !== 'apiVersion' && name !== 'kind') return [];
    return at(field, 'type') === 'string' ? [] : [invalid(`${here}.type`, at(field, 'type') ?? '', 'must be string')];
  });
}

function checkMetadataSchema(schema: JsonObject, path: string): Cause[] {
  const type = at(schema, 'type');
  if (type !== 'object') return [invalid(`${path}.type`, type ?? '', 'must be object')];
  const words = Object.keys(schema).filter((word) => !['type', 'description', 'properties', 'default'].includes(word));
  const fields = propertiesOf(schema).map(([name]) => name);
  if (words.length === 0 && fields.every((name) => name === 'name' || name === 'generateName')) return [];
  return [
    forbidden(path, 'must not specify anything other than name and generateName, but metadata is implicitly specified'),
  ];
}

function checkEmbedded(schema: JsonObject, path: string): Cause[] {
  if (at(schema, 'x-kubernetes-embedded-resource') !== true) return [];
  if (at(schema, 'type') !== 'object')
    return [
      invalid(`${path}.type`, at(schema, 'type') ?? '', 'must be object if x-kubernetes-embedded-resource is true'),
    ];
  const open = at(schema, 'x-kubernetes-preserve-unknown-fields') === true || propertiesOf(schema).length > 0;
  return open
    ? []
    : [
        required(
          `${path}.properties`,
          'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
        ),
      ];
}

function checkChildren(schema: JsonObject, path: string): Cause[] {
  const inner = (child: Json | undefined, below: string, place: Place) =>
    isObject(child) ? checkNode(child, below, place) : [];
  return [
    ...propertiesOf(schema).flatMap(([name, child]) => checkNode(child, `${path}.properties[${name}]`, 'field')),
    ...inner(at(schema, 'additionalProperties'), `${path}.additionalProperties`, 'field'),
    ...inner(at(schema, 'items'), `${path}.items`, 'item'),
  ];
}

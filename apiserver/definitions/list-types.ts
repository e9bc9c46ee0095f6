/** x-kubernetes-list-type and x-kubernetes-map-type: by what items are told apart, and who owns them. */
import { at, isObject, type JsonObject } from '#apiserver/json/json.ts';
import { forbidden, invalid, notSupported, required } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import { propertiesOf } from './keywords.ts';

const listWord = 'x-kubernetes-list-type';
const keysWord = 'x-kubernetes-list-map-keys';
const mapWord = 'x-kubernetes-map-type';

export function checkLists(schema: JsonObject, path: string): Cause[] {
  return [...checkMapType(schema, path), ...checkListType(schema, path)];
}

function checkMapType(schema: JsonObject, path: string): Cause[] {
  const mapType = at(schema, mapWord);
  if (mapType === undefined) return [];
  if (at(schema, 'type') !== 'object')
    return [invalid(`${path}.type`, at(schema, 'type') ?? '', `must be object if ${mapWord} is specified`)];
  if (mapType === 'granular' || mapType === 'atomic') return [];
  return [notSupported(`${path}.${mapWord}`, mapType, ['atomic', 'granular'])];
}

function checkListType(schema: JsonObject, path: string): Cause[] {
  const listType = at(schema, listWord);
  const keys = at(schema, keysWord);
  const causes: Cause[] = [];
  if (keys !== undefined && listType !== 'map')
    causes.push(forbidden(`${path}.${keysWord}`, `must be unset unless ${listWord} is map`));
  if (listType === undefined) return causes;
  if (at(schema, 'type') !== 'array')
    return [...causes, invalid(`${path}.type`, at(schema, 'type') ?? '', `must be array if ${listWord} is specified`)];
  const items = at(schema, 'items');
  const item = isObject(items) ? items : {};
  if (listType === 'map') return [...causes, ...checkMapList(item, Array.isArray(keys) ? keys.map(String) : [], path)];
  if (listType === 'set') return [...causes, ...checkSet(item, path)];
  return listType === 'atomic'
    ? causes
    : [...causes, notSupported(`${path}.${listWord}`, listType, ['atomic', 'set', 'map'])];
}

function checkMapList(item: JsonObject, keys: readonly string[], path: string): Cause[] {
  if (keys.length === 0) return [required(`${path}.${keysWord}`, `must not be empty if ${listWord} is map`)];
  if (at(item, 'type') !== 'object')
    return [
      invalid(`${path}.items.type`, at(item, 'type') ?? '', `must be object if parent array's ${listWord} is map`),
    ];
  const wanted = at(item, 'required');
  const fields = new Map(propertiesOf(item));
  return keys.flatMap((key, index) => {
    const field = fields.get(key);
    const here = `${path}.${keysWord}[${index}]`;
    if (!field) return [invalid(here, key, 'entries must all be names of item properties')];
    if (keys.indexOf(key) < index) return [invalid(here, key, 'must be unique')];
    const type = at(field, 'type');
    if (type === 'object' || type === 'array')
      return [
        invalid(
          `${path}.items.properties[${key}].type`,
          type,
          `must be a scalar type if parent array's ${listWord} is map`,
        ),
      ];
    const present = (Array.isArray(wanted) && wanted.includes(key)) || at(field, 'default') !== undefined;
    return present
      ? []
      : [
          required(
            `${path}.items.properties[${key}].default`,
            `this property is in ${keysWord}, so it must have a default or be a required property`,
          ),
        ];
  });
}

/** Items are compared as a whole, so nobody may own a part of one. */
function checkSet(item: JsonObject, path: string): Cause[] {
  const type = at(item, 'type');
  const whole = type === 'object' ? at(item, mapWord) === 'atomic' : at(item, listWord) === 'atomic';
  if ((type !== 'object' && type !== 'array') || whole) return [];
  const word = type === 'object' ? mapWord : listWord;
  return [invalid(`${path}.items.${word}`, null, `must be atomic as item of a list with ${listWord}=set`)];
}

/** What an update may leave as it was, although the schema refuses it now. */
import { expect, test } from 'vitest';
import type { Json } from '#apiserver/json/json.ts';
import { schemaCauses } from './check.ts';
import { Correlation } from './correlation.ts';
import type { Schema } from './schema.ts';

const short: Schema = { type: 'string', maxLength: 3 };
const item: Schema = { type: 'object', required: ['name'], properties: { name: { type: 'string' }, note: short } };
const keyed: Schema = {
  type: 'array',
  items: item,
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['name'],
};
const set: Schema = { type: 'array', items: short, 'x-kubernetes-list-type': 'set' };

test.each<[string, Schema, Json, Json, readonly string[]]>([
  ['a value that stays', short, 'long one', 'long one', []],
  ['a value that changes', short, 'long one', 'another', ['x']],
  ['a value that is new', short, null, 'long one', ['x']],
  ['a field beside one that changes', item, { name: 'a', note: 'long' }, { name: 'b', note: 'long' }, []],
  ['a field that is missing, where others change', item, { note: 'a' }, { note: 'b' }, ['x.name']],
  ['a field that is missing, where nothing changes', item, { note: 'a' }, { note: 'a' }, []],
  [
    'an item that is found by its key in another place',
    keyed,
    [{ name: 'a', note: 'long' }],
    [{ name: 'b' }, { name: 'a', note: 'long' }],
    [],
  ],
  [
    'a field of an item that is found by its key',
    keyed,
    [{ name: 'a', note: 'long' }],
    [{ name: 'a', note: 'longer' }],
    ['x[0].note'],
  ],
  [
    'an item of a list without keys, where another is added',
    { type: 'array', items: short },
    ['long'],
    ['long', 'b'],
    ['x[0]'],
  ],
  ['an item of a list without keys, where nothing changes', { type: 'array', items: short }, ['long'], ['long'], []],
  ['an item of a set, where another is added', set, ['long'], ['long', 'b'], ['x[0]']],
  ['too many items, where nothing changes', { type: 'array', maxItems: 1, items: short }, ['a', 'b'], ['a', 'b'], []],
  ['too many items, of which one changes', { type: 'array', maxItems: 1, items: short }, ['a', 'b'], ['a', 'c'], ['x']],
  ['a value of a map', { type: 'object', additionalProperties: short }, { k: 'long' }, { k: 'long', l: 'b' }, []],
  ['items that repeat, as before', set, ['a', 'a'], ['a', 'a', 'b'], []],
  ['items that repeat from now on', set, ['a', 'b'], ['a', 'b', 'b'], ['x[2]']],
  ['keys that repeat from now on', keyed, [{ name: 'a' }], [{ name: 'a' }, { name: 'a' }], ['x[1]']],
  ['a value that an enum no longer has', { type: 'string', enum: ['a'] }, 'b', 'b', []],
  [
    'a part inside of anyOf, where something else changes',
    { type: 'object', properties: { p: short, q: short }, anyOf: [{ properties: { p: { maxLength: 1 } } }] },
    { p: 'ab', q: 'a' },
    { p: 'ab', q: 'b' },
    ['<nil>', 'x.p'],
  ],
])('%s', (_, schema, old, now, expected) => {
  const whole: Schema = { type: 'object', properties: { x: { ...schema, nullable: true }, other: { type: 'string' } } };
  const object = { x: now, other: 'new' };
  const causes = schemaCauses(object, whole, new Correlation(object, { x: old, other: 'old' }, whole));
  expect(causes.map(({ field }) => field).sort()).toEqual([...expected].sort());
});

import { describe, expect, test } from 'vitest';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import { fc } from '#test/properties.ts';
import { mergePatch } from './merge.ts';
import { strategicPatch } from './strategic.ts';

const schema: Schema = {
  type: 'object',
  properties: {
    items: {
      type: 'array',
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'name',
      items: { type: 'object', properties: { tags: { type: 'array', 'x-kubernetes-patch-strategy': 'merge' } } },
    },
    tags: { type: 'array', 'x-kubernetes-patch-strategy': 'merge' },
    whole: { type: 'object', 'x-kubernetes-patch-strategy': 'replace' },
    data: { type: 'object', additionalProperties: { type: 'string' } },
  },
};
const named = (...names: string[]) => names.map((name) => ({ name }));

describe('strategic merge patch', () => {
  test.each<[string, JsonObject, JsonObject, JsonObject]>([
    [
      'maps merge, null removes',
      { data: { a: '1', b: '2' } },
      { data: { a: null, c: '3' } },
      { data: { b: '2', c: '3' } },
    ],
    ['a null in something new removes nothing', {}, { data: { a: null, b: '1' } }, { data: { b: '1' } }],
    ['a list without strategy is replaced', { args: ['a'] }, { args: ['b', 'c'] }, { args: ['b', 'c'] }],
    ['a map with strategy replace is replaced', { whole: { a: 1 } }, { whole: { b: 2 } }, { whole: { b: 2 } }],
    ['texts merge without repeats', { tags: ['x', 'y'] }, { tags: ['y', 'z'] }, { tags: ['x', 'y', 'z'] }],
    [
      'what the patch names comes in its order',
      { tags: ['x', 'y', 'z'] },
      { tags: ['z', 'x'] },
      { tags: ['y', 'z', 'x'] },
    ],
    [
      'items merge by their key',
      { items: [{ name: 'a', v: 1, w: 1 }, { name: 'b' }] },
      { items: [{ name: 'a', v: 2, w: null }, { name: 'c' }] },
      { items: [{ name: 'a', v: 2 }, { name: 'c' }, { name: 'b' }] },
    ],
    [
      'lists inside of items merge too',
      { items: [{ name: 'a', tags: ['x'] }] },
      { items: [{ name: 'a', tags: ['y'] }] },
      { items: [{ name: 'a', tags: ['y', 'x'] }] },
    ],
    ['$patch: replace in a map', { data: { a: '1' } }, { data: { $patch: 'replace', b: '2' } }, { data: { b: '2' } }],
    ['$patch: delete in a map', { data: { a: '1' } }, { data: { $patch: 'delete' } }, { data: {} }],
    [
      '$patch: merge in a map',
      { data: { a: '1' } },
      { data: { $patch: 'merge', b: '2' } },
      { data: { a: '1', b: '2' } },
    ],
    [
      '$patch: delete in an item',
      { items: named('a', 'b') },
      {
        items: [
          { name: 'a', $patch: 'delete' },
          { name: 'x', $patch: 'delete' },
        ],
      },
      { items: named('b') },
    ],
    [
      '$patch: replace in an item',
      { items: named('a', 'b') },
      { items: [{ $patch: 'replace' }, { name: 'c' }] },
      { items: named('c') },
    ],
    [
      '$deleteFromPrimitiveList',
      { tags: ['x', 'y', 'z'] },
      { '$deleteFromPrimitiveList/tags': ['x', 'q'], '$deleteFromPrimitiveList/none': ['x'] },
      { tags: ['y', 'z'] },
    ],
    [
      '$setElementOrder alone',
      { items: named('a', 'b', 'c') },
      { '$setElementOrder/items': named('c', 'b', 'a') },
      { items: named('c', 'b', 'a') },
    ],
    ['$setElementOrder of a list that is not there', {}, { '$setElementOrder/items': named('a') }, {}],
    [
      '$setElementOrder with what only the server has',
      { items: named('a', 'server', 'b') },
      { items: named('c'), '$setElementOrder/items': named('b', 'c', 'a') },
      { items: named('server', 'b', 'c', 'a') },
    ],
    [
      '$setElementOrder with a deletion, as kubectl apply sends it',
      { tags: ['x', 'y'] },
      { tags: ['z'], '$deleteFromPrimitiveList/tags': ['x'], '$setElementOrder/tags': ['z', 'y'] },
      { tags: ['z', 'y'] },
    ],
    [
      '$retainKeys',
      { data: { a: '1', b: '2' } },
      { data: { $retainKeys: ['b', 'c'], c: '3' } },
      { data: { b: '2', c: '3' } },
    ],
    [
      'finalizers by value and owners by uid',
      { metadata: { finalizers: ['x'], ownerReferences: [{ uid: 'u', name: 'n' }] } },
      { metadata: { finalizers: ['y'], ownerReferences: [{ uid: 'u', name: 'm' }, { uid: 'v' }] } },
      { metadata: { finalizers: ['y', 'x'], ownerReferences: [{ uid: 'u', name: 'm' }, { uid: 'v' }] } },
    ],
    [
      'directives in something new leave nothing',
      {},
      { data: { $retainKeys: ['a'], a: '1' }, items: [{ name: 'a', $patch: 'delete' }] },
      { data: { a: '1' }, items: [] },
    ],
  ])('%s', (_, target, patch, result) => {
    const before = JSON.stringify([target, patch]);
    expect(strategicPatch(target, patch, schema)).toEqual(result);
    expect(JSON.stringify([target, patch])).toBe(before);
  });

  test.each<[JsonObject, string]>([
    [{ data: { $patch: 'no' } }, 'unknown patch type: no in map'],
    [{ items: [{ other: 1 }] }, 'does not contain declared merge key: name'],
    [{ items: ['a'] }, 'must be an object'],
    [{ tags: [{}] }, 'invalid patch format of primitive list'],
    [{ '$deleteFromPrimitiveList/tags': 'x' }, 'invalid patch format of primitive list'],
    [{ '$setElementOrder/tags': 'x' }, 'invalid patch format of setElementOrder list'],
    [{ data: { $retainKeys: 'a' } }, 'invalid patch format of retainKeys'],
    [{ data: { $retainKeys: ['a'], b: '1' } }, "patch content doesn't match retainKeys list"],
    [{ tags: ['a', 'b'], '$setElementOrder/tags': ['b', 'a'] }, "doesn't match $setElementOrder list"],
  ])('refuses %j', (patch, why) => {
    expect(() => strategicPatch({ data: { a: '1' }, items: named('a'), tags: ['x'] }, patch, schema)).toThrow(why);
  });

  const keys = fc.constantFrom('a', 'b', 'data', '__proto__', 'constructor');
  const leaves = fc.constantFrom<Json>(null, 1, 'x', true, {});
  const inner = fc.dictionary(keys, fc.oneof(leaves, fc.dictionary(keys, leaves, { noNullPrototype: true })));
  const objects = fc.dictionary(keys, fc.oneof(leaves, inner), { noNullPrototype: true }) as fc.Arbitrary<JsonObject>;

  test('without strategies and directives is a merge patch', () => {
    fc.assert(
      fc.property(objects, objects, (target, patch) => {
        expect(JSON.stringify(strategicPatch(target, patch, {}))).toBe(JSON.stringify(mergePatch(target, patch)));
      }),
    );
  });

  test('$setElementOrder puts what it names in its order, loses nothing, and again changes nothing', () => {
    const names = fc.uniqueArray(fc.constantFrom<string>('a', 'b', 'c', 'd', 'e', 'f'));
    fc.assert(
      fc.property(names, names, names, (live, added, extra) => {
        const order = [...new Set([...added, ...extra])];
        const patch = { items: named(...added), '$setElementOrder/items': named(...order) };
        const once = strategicPatch({ items: named(...live) }, patch, schema);
        const result = (once.items as { name: string }[]).map(({ name }) => name);
        expect(new Set(result)).toEqual(new Set([...live, ...added]));
        expect(result.filter((name) => order.includes(name))).toEqual(order.filter((name) => result.includes(name)));
        const server = (name: string) => !order.includes(name);
        expect(result.filter(server)).toEqual(live.filter(server));
        expect(strategicPatch(once, patch, schema)).toEqual(once);
      }),
    );
  });
});

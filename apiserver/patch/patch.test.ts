import { describe, expect, test } from 'vitest';
import { isObject, type Json } from '#apiserver/json/json.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { fc } from '#test/properties.ts';
import { jsonPatch } from './json-patch.ts';
import { mergePatch } from './merge.ts';

describe('merge patch', () => {
  // The examples of RFC 7386, appendix A.
  test.each<[Json, Json, Json]>([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [['a'], { b: 1 }, { b: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j with %j gives %j', (target, patch, result) => {
    expect(mergePatch(target, patch)).toEqual(result);
  });

  test('applied twice is applied once, and the target is left alone', () => {
    const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>;
    fc.assert(
      fc.property(json, json, (target, patch) => {
        const before = JSON.stringify(target);
        const once = mergePatch(target, patch);
        expect(sameJson(mergePatch(once, patch), once)).toBe(true);
        expect(JSON.stringify(target)).toBe(before);
        expect(Object.getPrototypeOf(isObject(once) ? once : {})).toBe(Object.prototype);
      }),
    );
  });
});

describe('JSON patch', () => {
  test.each<[Json, Json, Json]>([
    [{ foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { foo: 'bar', baz: 'qux' }],
    [{ foo: ['a', 'c'] }, [{ op: 'add', path: '/foo/1', value: 'b' }], { foo: ['a', 'b', 'c'] }],
    [{ foo: ['a'] }, [{ op: 'add', path: '/foo/-', value: 'b' }], { foo: ['a', 'b'] }],
    [{ a: 1, b: 2 }, [{ op: 'remove', path: '/a' }], { b: 2 }],
    [{ a: { b: 1 } }, [{ op: 'move', from: '/a/b', path: '/c' }], { a: {}, c: 1 }],
    [{ a: [1] }, [{ op: 'copy', from: '/a', path: '/b' }], { a: [1], b: [1] }],
    [
      { '/': 1, '~': 2 },
      [
        { op: 'replace', path: '/~1', value: 3 },
        { op: 'test', path: '/~0', value: 2 },
      ],
      { '/': 3, '~': 2 },
    ],
  ])('%j with %j gives %j', (document, patch, result) => {
    expect(jsonPatch(document, patch)).toEqual(result);
  });

  test.each<[Json]>([
    [[{ op: 'test', path: '/a', value: 2 }]],
    [[{ op: 'replace', path: '/b', value: 2 }]],
    [[{ op: 'remove', path: '/b' }]],
    [[{ op: 'add', path: '/a/b', value: 1 }]],
    [[{ op: 'add', path: '/list/3', value: 1 }]],
    [[{ op: 'remove', path: '/list/01' }]],
  ])('%j does not fit', (patch) => {
    expect(() => jsonPatch({ a: 1, list: [0] }, patch)).toThrow(/the server rejected our request/);
  });

  test('copies cannot grow a document without end', () => {
    const patch = Array.from({ length: 40 }, () => ({ op: 'copy', from: '/a', path: '/a/-' }));
    expect(() => jsonPatch({ a: ['y'.repeat(100)] }, patch)).toThrow(/may copy/);
  });

  test('changes nothing of the document that it was given', () => {
    const document = { list: [1, 2] };
    jsonPatch(document, [{ op: 'remove', path: '/list/0' }]);
    expect(document).toEqual({ list: [1, 2] });
  });
});

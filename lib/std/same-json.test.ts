import { describe, expect, it } from 'vitest';
import { fc } from '#test/properties.ts';
import { sameJson } from './same-json.ts';

describe('sameJson', () => {
  it('takes what is undefined for absent, and for null in a list', () => {
    expect(sameJson({ a: 1, b: undefined }, { a: 1 })).toBe(true);
    expect(sameJson({ a: 1 }, { a: 1, b: undefined })).toBe(true);
    expect(sameJson({ a: undefined }, { a: null })).toBe(false);
    expect(sameJson([undefined], [null])).toBe(true);
  });

  it('tells kinds of values apart', () => {
    const values = [{}, [], null, '', 0, false, '0', { 0: 1 }, [1], { length: 0 }];
    for (const a of values) for (const b of values) expect(sameJson(a, b)).toBe(a === b);
  });

  it('looks at own keys only', () => {
    expect(sameJson({ toString: undefined }, {})).toBe(true);
    expect(sameJson({ constructor: Object }, {})).toBe(false);
    expect(sameJson(JSON.parse('{"__proto__": {}}'), {})).toBe(false);
  });

  it('says of any two values what the comparison of their JSON says', () => {
    const value = fc.jsonValue({ maxDepth: 3 });
    const written = (one: unknown) => JSON.stringify(one, (_key, inner: unknown) => sorted(inner));
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(sameJson(a, b)).toBe(written(a) === written(b));
        expect(sameJson(a, JSON.parse(JSON.stringify(a)))).toBe(true);
      }),
    );
  });
});

/** Keys in one order. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

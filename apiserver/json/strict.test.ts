import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseJson } from './strict.ts';
import { parseYaml } from './yaml.ts';

test('reads what JSON.parse reads', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const expected: unknown = JSON.parse(text);
      if (text.includes('__proto__')) return;
      const { value, duplicates } = parseJson(text, 'x');
      expect(value).toEqual(expected);
      expect(duplicates).toEqual([]);
    }),
  );
});

test('names fields that are given twice, wherever they are', () => {
  const text = '{"a":1,"a":2,"b":{"c":[{"d":1,"d":2},{"d":1}],"e\\u0066":1,"ef":2},"s":"{\\"a\\":1,\\"a\\":2}"}';
  expect(parseJson(text, 'x').duplicates).toEqual(['a', 'b.c[0].d', 'b.ef']);
});

test.each([['{"a":'], ['{"__proto__":1}'], ['{"\\u005f_proto__":1}'], ['['.repeat(65) + ']'.repeat(65)]])(
  'refuses %s',
  (text) => {
    expect(() => parseJson(text, 'x')).toThrow(expect.objectContaining({ code: 'BadRequest' }));
  },
);

test('YAML: one document, duplicates by line, no prototypes', () => {
  expect(parseYaml('a: 1\nb: {c: x}\n', 'x')).toEqual({ value: { a: 1, b: { c: 'x' } }, duplicates: [] });
  expect(parseYaml('a: 1\na: 2\n', 'x')).toEqual({ value: { a: 2 }, duplicates: ['line 2'] });
  expect(() => parseYaml('a: 1\n---\nb: 1\n', 'x')).toThrow(/exactly one/);
  expect(() => parseYaml('__proto__: {a: 1}\n', 'x')).toThrow(/__proto__/);
});

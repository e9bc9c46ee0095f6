import { describe, expect, test } from 'vitest';
import { fc } from '#test/properties.ts';
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

test.each([['9007199254740993'], ['-9007199254740993'], ['[1, 9223372036854775807]']])(
  'refuses %s, which JavaScript would round',
  (text) => {
    expect(() => parseJson(`{"a":${text}}`, 'x')).toThrow(/cannot be kept exactly/);
  },
);

test('integers that are exact, doubles and what has more than 64 bits are read', () => {
  const text = '{"a":[9007199254740992,0.1234567890123456789,1e21,12345678901234567890],"b":"9007199254740993"}';
  expect(parseJson(text, 'x').value).toEqual(JSON.parse(text));
});

describe('YAML is read as Go reads it', () => {
  test.each<[string, unknown]>([
    ['a: y', { a: true }],
    ['a: NO', { a: false }],
    ['a: "y"', { a: 'y' }],
    ['a: 014', { a: 12 }],
    ['a: 0x1F', { a: 31 }],
    ['a: 1_000', { a: 1000 }],
    ['a: 2001-01-01', { a: '2001-01-01' }],
    ['a: 190:20:30', { a: '190:20:30' }],
    ['a: ~', { a: null }],
    ['1: a', { 1: 'a' }],
    ['a: &x {b: 1}\nc: {<<: *x, d: 2}', { a: { b: 1 }, c: { b: 1, d: 2 } }],
    ['a: {"<<": 1}', { a: { '<<': 1 } }],
  ])('%s', (text, expected) => {
    expect(parseYaml(text, 'x')).toEqual({ value: expected, duplicates: [] });
  });

  test('fields given twice are named; the last one counts', () => {
    expect(parseYaml('a: 1\nb: [{c: 1, c: 2}]\na: 2\n', 'x')).toEqual({
      value: { a: 2, b: [{ c: 2 }] },
      duplicates: ['b[0].c', 'a'],
    });
  });

  test.each([
    ['two documents', 'a: 1\n---\nb: 1', /exactly one/],
    ['a prototype', '__proto__: {a: 1}', /__proto__/],
    ['a list as a key', '? [a]\n: b', /a key must be/],
    ['no number of JSON', 'a: .inf', /no number/],
    ['an integer that would be rounded', 'a: 9007199254740993', /exactly/],
    ['an unknown tag', 'a: !x b', /Unresolved tag/],
    ['an unknown anchor', 'a: *x', /unknown anchor/],
    ['an alias of what it stands in', 'a: &x [*x]', /levels deep/],
    ['a billion laughs', bomb(), /aliases repeat/],
  ])('%s is refused', (_, text, why) => {
    expect(() => parseYaml(text, 'x')).toThrow(why);
  });
});

function bomb(): string {
  const lines = Array.from({ length: 20 }, (_, index) => `a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(9)}]`);
  return `a0: &a0 lol\n${lines.join('\n')}\n`;
}

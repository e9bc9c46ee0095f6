/** Whatever a rule says and whatever an object holds: a rule passes, is broken or cannot be computed, and nothing else happens. */

import { expect, test } from 'vitest';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import { fc } from '#test/properties.ts';
import { ruleCauses } from './check-object.ts';
import { checkRules } from './check-rules.ts';

const text: Schema = { type: 'string' };
const properties: Readonly<Record<string, Schema>> = {
  s: text,
  i: { type: 'integer' },
  d: { type: 'number' },
  b: { type: 'boolean' },
  x: { 'x-kubernetes-int-or-string': true },
  l: { type: 'array', items: { ...text, nullable: true } },
  t: { type: 'array', items: { type: 'integer' }, 'x-kubernetes-list-type': 'set' },
  m: { type: 'object', additionalProperties: { type: 'integer', nullable: true } },
  k: {
    type: 'array',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['n'],
    items: { type: 'object', properties: { n: text, v: { type: 'integer' } } },
  },
  when: { type: 'string', format: 'date-time' },
  long: { type: 'string', format: 'duration' },
};
const hostile = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.constantFrom('(a+)+$', '[', '%d%s%', '1e999999999', '٣', '😀', '10.0.0.0/33', 'http://[', '9'.repeat(40), '-9h'),
);
const integer = fc.oneof(fc.integer({ min: -5, max: 5 }), fc.constantFrom(2 ** 53 - 1, -(2 ** 53) + 1));
const spec = fc.record<JsonObject>(
  {
    s: hostile,
    i: integer,
    d: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), integer),
    b: fc.boolean(),
    x: fc.oneof(hostile, integer),
    l: fc.array(fc.option(hostile), { maxLength: 4 }),
    t: fc.uniqueArray(integer, { maxLength: 4 }),
    m: fc.dictionary(hostile, fc.option(integer), { maxKeys: 3, noNullPrototype: true }),
    k: fc.array(fc.record({ n: fc.constantFrom('a', 'b'), v: integer }), { maxLength: 3 }),
    when: fc.constantFrom('2026-02-28T00:00:00Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999999Z'),
    long: fc.constantFrom('1h', '0s', '2562047h', 'nonsense'),
  },
  { requiredKeys: [] },
);

const operators = ['+', '-', '*', '/', '%', '==', '!=', '<', '<=', '>', '>=', '&&', '||', 'in'];
const methods = [
  'size()',
  'contains(#)',
  'matches(#)',
  'find(#)',
  'findAll(#)',
  'split(#)',
  'replace(#, #)',
  'substring(#)',
  'charAt(#)',
  'indexOf(#)',
  'format([#, #])',
  'lowerAscii()',
  'join(#)',
  'sum()',
  'min()',
  'isSorted()',
  'sort()',
  'distinct()',
  'reverse()',
  'slice(#, #)',
  'flatten()',
  'all(v, #)',
  'exists(v, #)',
  'exists_one(v, #)',
  'map(v, #)',
  'filter(v, #)',
  'all(i, v, #)',
  'transformMap(i, v, #)',
  'transformList(i, v, #)',
  'sortBy(v, #)',
  'getHours(#)',
  'getFullYear()',
  'orValue(#)',
  'optMap(v, #)',
  'hasValue()',
  'value()',
  's',
  '?s',
  'n',
  'v',
  'asInteger()',
  'add(#)',
  'compareTo(#)',
  'getHost()',
  'getQuery()',
  'containsIP(#)',
  'masked()',
  'validate(#)',
];
const functions = [
  'size(#)',
  'int(#)',
  'uint(#)',
  'double(#)',
  'string(#)',
  'bool(#)',
  'bytes(#)',
  'dyn(#)',
  'type(#)',
  'timestamp(#)',
  'duration(#)',
  'quantity(#)',
  'isQuantity(#)',
  'url(#)',
  'isURL(#)',
  'ip(#)',
  'cidr(#)',
  'optional.of(#)',
  'has(self.s)',
  'sets.contains(#, #)',
  'sets.intersects(#, #)',
  'lists.range(#)',
  'cel.bind(v, #, #)',
  '[#, #]',
  '{#: #}',
  '-#',
  '!#',
  '(# ? # : #)',
  '#[#]',
  '#[?#]',
  'format.named(#)',
  'strings.quote(#)',
];
const leaves = [
  'v',
  'i',
  'self',
  'oldSelf',
  'true',
  'null',
  '1',
  '-9223372036854775808',
  '9223372036854775807',
  '2.5',
  '3u',
  "'a'",
  "'(a+)+$'",
  "b'x'",
  "'10.0.0.0/8'",
  ...Object.keys(properties).map((name) => `self.${name}`),
];

const expression = fc.letrec<{ node: string }>((tie) => {
  const filled = (templates: readonly string[]) =>
    fc
      .tuple(fc.constantFrom(...templates), fc.array(tie('node'), { minLength: 3, maxLength: 3 }))
      .map(([template, parts]) => {
        let next = 0;
        return template.replaceAll('#', () => parts[next++] ?? '1');
      });
  return {
    node: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'expression', withCrossShrink: true },
      fc.constantFrom(...leaves),
      fc.tuple(tie('node'), fc.constantFrom(...operators), tie('node')).map(([a, sign, b]) => `(${a} ${sign} ${b})`),
      fc.tuple(tie('node'), filled(methods)).map(([target, method]) => `${target}.${method}`),
      filled(functions),
    ),
  };
}).node;

/** Whatever its type is, there is a question about it. */
const rule = fc.oneof(
  expression,
  expression.map((any) => `type(${any}) != map`),
);

function schemaWith(rules: readonly string[]): Schema {
  return {
    type: 'object',
    properties: { spec: { type: 'object', properties, 'x-kubernetes-validations': rules.map((rule) => ({ rule })) } },
  };
}

test('rules made by chance', () => {
  let computed = 0;
  fc.assert(
    fc.property(
      fc.array(rule, { minLength: 20, maxLength: 20 }),
      fc.array(spec, { minLength: 3, maxLength: 3 }),
      (rules, specs) => {
        const schema = schemaWith(rules);
        const refused = new Set(checkRules(schema, 'x').map(({ field }) => field));
        computed += rules.length - refused.size;
        for (const json of specs)
          for (const { field, message } of ruleCauses({ spec: json }, schema, undefined))
            expect(`${field}: ${message}`).toMatch(/^spec/);
      },
    ),
    { numRuns: 150 },
  );
  // Otherwise the generator would be testing the checker alone.
  expect(computed).toBeGreaterThan(100);
});

test('texts that are no rules', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 30 }), { minLength: 5, maxLength: 5 }), (rules) => {
      expect(checkRules(schemaWith(rules), 'x').length).toBeGreaterThan(0);
    }),
    { numRuns: 200 },
  );
});

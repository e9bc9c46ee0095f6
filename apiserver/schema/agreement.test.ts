/** The fast path and the explanation are written twice: here they are held against each other, over random schemas and random values. */

import { expect, test } from 'vitest';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import { fc } from '#test/properties.ts';
import { compileSchema } from './accept.ts';
import { Correlation } from './correlation.ts';
import { explain } from './explain.ts';
import { explainRepeated } from './repeated.ts';
import type { Schema } from './schema.ts';

const names = ['a', 'b', 'toString'];
const small = fc.integer({ min: 0, max: 3 });
const number = fc.constantFrom(-1, 0, 0.1, 0.3, 1, 1.5, 2, 3, 2 ** 53, 2 ** 63, 1e300);
const text = fc.constantFrom('', 'a', 'ab', 'abcd', '1', '😀', '2026-02-30', '2026-02-28T00:00:00Z', '10.0.0.1', '1h');

const value = fc.letrec<{ node: Json }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'value' },
    fc.constantFrom<Json>(null, true, false),
    number,
    text,
    fc.array(tie('node'), { maxLength: 3, depthIdentifier: 'value' }),
    fc.dictionary(fc.constantFrom(...names), tie('node'), {
      maxKeys: 3,
      noNullPrototype: true,
      depthIdentifier: 'value',
    }),
  ),
})).node;

/** Conditions on values of a type, as they stand in a schema and inside of anyOf and its like. */
const conditions = {
  string: fc.record<Schema>(
    {
      minLength: small,
      maxLength: small,
      pattern: fc.constantFrom('^a', 'b$', '[0-9]'),
      format: fc.constantFrom('date', 'date-time', 'ipv4', 'duration', 'unheard-of'),
      enum: fc.constant(['a', 'ab']),
    },
    { requiredKeys: [] },
  ),
  number: fc.record<Schema>(
    {
      minimum: number,
      maximum: number,
      exclusiveMinimum: fc.boolean(),
      multipleOf: fc.constantFrom(0.1, 0.5, 2),
      enum: fc.constant([0, 1.5]),
    },
    { requiredKeys: [] },
  ),
  array: fc.record<Schema>({ minItems: small, maxItems: small }, { requiredKeys: [] }),
  object: fc.record<Schema>(
    { minProperties: small, maxProperties: small, required: fc.subarray(names) },
    { requiredKeys: [] },
  ),
};
const anyCondition = fc.oneof(conditions.string, conditions.number, conditions.array, conditions.object);

const composites = fc.record<Schema>(
  {
    allOf: fc.array(anyCondition, { minLength: 1, maxLength: 2 }),
    anyOf: fc.array(anyCondition, { minLength: 1, maxLength: 2 }),
    oneOf: fc.array(anyCondition, { minLength: 1, maxLength: 2 }),
    not: anyCondition,
  },
  { requiredKeys: [] },
);

const listType = fc.constantFrom<Schema>(
  {},
  { 'x-kubernetes-list-type': 'set' },
  { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['a'] },
);

const schema = fc.letrec<{ node: Schema }>((tie) => {
  const typed = fc.oneof(
    { maxDepth: 3, depthIdentifier: 'schema' },
    conditions.string.map((rest): Schema => ({ type: 'string', ...rest })),
    conditions.number.map((rest): Schema => ({ type: 'integer', ...rest })),
    conditions.number.map((rest): Schema => ({ type: 'number', ...rest })),
    fc.constant<Schema>({ type: 'boolean' }),
    fc.constant<Schema>({ 'x-kubernetes-int-or-string': true, pattern: '^[0-9]+$', minimum: 1 }),
    fc.constant<Schema>({ 'x-kubernetes-preserve-unknown-fields': true }),
    fc
      .tuple(conditions.array, listType, tie('node'))
      .map(([rest, list, items]): Schema => ({ type: 'array', ...rest, ...list, items })),
    fc
      .tuple(conditions.object, fc.dictionary(fc.constantFrom(...names), tie('node'), { noNullPrototype: true }))
      .map(([rest, properties]): Schema => ({ type: 'object', ...rest, properties })),
    fc
      .tuple(conditions.object, tie('node'))
      .map(([rest, additionalProperties]): Schema => ({ type: 'object', ...rest, additionalProperties })),
  );
  return {
    node: fc
      .tuple(typed, fc.option(composites, { freq: 3, nil: {} }), fc.boolean())
      .map(([own, parts, nullable]): Schema => ({ ...own, ...parts, ...(nullable ? { nullable } : {}) })),
  };
}).node;

const causesOf = (json: Json, of: Schema) => [...explain(json, of, 'x'), ...explainRepeated(json, of, 'x')];

test('what is accepted has no reason against it, and what is not has one', () => {
  fc.assert(
    fc.property(schema, fc.array(value, { minLength: 8, maxLength: 8 }), (of, values) => {
      const accepts = compileSchema(of);
      for (const json of values) {
        const causes = causesOf(json, of);
        expect(accepts(json), JSON.stringify({ of, json, causes })).toBe(causes.length === 0);
      }
    }),
    { numRuns: 150 },
  );
});

test('an update has no other reasons against it than a new object, and none if it changes nothing', () => {
  fc.assert(
    fc.property(schema, value, value, (of, old, json) => {
      const all = explain(json, of, 'x').map((cause) => JSON.stringify(cause));
      const since = explain(json, of, 'x', new Correlation(json, old, of)).map((cause) => JSON.stringify(cause));
      expect(all).toEqual(expect.arrayContaining(since));
      expect(explain(json, of, 'x', new Correlation(json, structuredClone(json), of))).toEqual([]);
    }),
    { numRuns: 150 },
  );
});

test('hostile texts take linear time', () => {
  const hostile = 'a'.repeat(1_000_000);
  const formats = [
    'date-time',
    'duration',
    'email',
    'hostname',
    'uri',
    'mac',
    'cidr',
    'byte',
    'uuid',
    'rgbcolor',
    'k8s-long-name',
  ];
  const properties = Object.fromEntries(
    formats.map((format): [string, Schema] => [format, { type: 'string', format, pattern: '^(a+)+$', maxLength: 10 }]),
  );
  const object: JsonObject = Object.fromEntries(formats.map((format) => [format, `${hostile}!`]));
  const started = performance.now();
  expect(explain(object, { type: 'object', properties }, '').length).toBeGreaterThan(formats.length);
  expect(performance.now() - started).toBeLessThan(20_000);
});

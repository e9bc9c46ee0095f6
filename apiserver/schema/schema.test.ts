import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import { compileSchema } from './accept.ts';
import { applyDefaults } from './defaults.ts';
import { explain } from './explain.ts';
import { coerceMetadata } from './metadata.ts';
import { patternOf } from './pattern.ts';
import { prune } from './prune.ts';
import type { Schema } from './schema.ts';

const schema: Schema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 3, pattern: '^[a-c]*$' },
    count: { type: 'integer', minimum: 0, maximum: 3, default: 1 },
    ratio: { type: 'number', minimum: 0, exclusiveMinimum: true, multipleOf: 0.5 },
    mode: { type: 'string', enum: ['On', 'Off'], nullable: true },
    size: { 'x-kubernetes-int-or-string': true },
    when: { type: 'string', format: 'date-time' },
    tags: { type: 'array', maxItems: 2, items: { type: 'string' }, 'x-kubernetes-list-type': 'set' },
    ports: {
      type: 'array',
      minItems: 1,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name'],
        properties: { name: { type: 'string' }, on: { type: 'boolean', default: true } },
      },
    },
    labels: { type: 'object', maxProperties: 1, additionalProperties: { type: 'string' } },
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  },
};

const leaf = fc.constantFrom<Json>(
  null,
  true,
  0,
  1,
  -1,
  3,
  4,
  0.5,
  1.5,
  '',
  'a',
  'abc',
  'abcd',
  'On',
  'x',
  '2026-01-02T03:04:05Z',
);
const value = fc.letrec<{ node: Json }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('name', 'on', 'toString', 'k'), tie('node'), { maxKeys: 2, noNullPrototype: true }),
  ),
})).node;
const objects = fc.dictionary(fc.constantFrom(...Object.keys(schema.properties ?? {})), value, {
  noNullPrototype: true,
});

test('the fast path and the explanation agree on every value', () => {
  const accepts = compileSchema(schema);
  fc.assert(
    fc.property(objects, (object) => {
      const causes = explain(object as JsonObject, schema, '');
      expect(accepts(object as JsonObject), JSON.stringify({ object, causes })).toBe(causes.length === 0);
    }),
    { numRuns: 2_000 },
  );
});

describe('pruning', () => {
  test('removes what is not known and says where, but not below preserve-unknown-fields', () => {
    const object: JsonObject = {
      name: 'a',
      bogus: 1,
      ports: [{ name: 'p', x: 1 }],
      labels: { any: 'v' },
      free: { y: 1 },
    };
    expect(prune(object, schema)).toEqual(['bogus', 'ports[0].x']);
    expect(object).toEqual({ name: 'a', ports: [{ name: 'p' }], labels: { any: 'v' }, free: { y: 1 } });
  });

  test('a name that every JavaScript object has is not a known field', () => {
    const object: JsonObject = JSON.parse('{"name":"a","constructor":1,"toString":2}');
    expect(prune(object, schema)).toEqual(['constructor', 'toString']);
  });
});

test('defaults fill what is absent or null, inside of items too', () => {
  const object: JsonObject = { name: 'a', count: null, mode: null, ports: [{ name: 'p' }, { name: 'q', on: false }] };
  applyDefaults(object, schema);
  expect(object).toEqual({
    name: 'a',
    count: 1,
    mode: null,
    ports: [
      { name: 'p', on: true },
      { name: 'q', on: false },
    ],
  });
});

test('patterns take linear time', () => {
  const started = performance.now();
  expect(patternOf('^(a+)+$').test(`${'a'.repeat(50_000)}b`)).toBe(false);
  expect(performance.now() - started).toBeLessThan(5_000);
});

describe('metadata', () => {
  test('known fields stay, unknown ones are named, empty ones go', () => {
    const unknown: string[] = [];
    const sent = {
      name: 'a',
      labels: {},
      finalizers: [],
      bogus: 1,
      generation: 2,
      ownerReferences: [{ uid: 'u', extra: 1 }],
    };
    expect(coerceMetadata(sent, 'VM in version "v1"', unknown)).toEqual({
      name: 'a',
      generation: 2,
      ownerReferences: [{ apiVersion: '', kind: '', name: '', uid: 'u' }],
    });
    expect(unknown).toEqual(['metadata.bogus', 'metadata.ownerReferences[0].extra']);
  });

  test.each([[{ name: 5 }], [{ labels: { a: 1 } }], [{ finalizers: 'a' }], [{ generation: 'x' }], ['text']])(
    '%j is refused as of the wrong type',
    (sent) => {
      expect(() => coerceMetadata(sent as Json, 'VM in version "v1"', [])).toThrow(/cannot unmarshal/);
    },
  );
});

import { describe, expect, test } from 'vitest';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import { patternOf } from '#lib/std/pattern.ts';
import { schemaCauses } from './check.ts';
import { applyDefaults } from './defaults.ts';
import { coerceMetadata } from './metadata.ts';
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

describe('what is said about a value', () => {
  test.each<[string, Schema, Json, readonly string[]]>([
    [
      'a text for a number',
      { type: 'string' },
      3,
      ['x: Invalid value: "integer": x in body must be of type string: "integer"'],
    ],
    [
      'a fraction for an integer',
      { type: 'integer' },
      1.5,
      ['x: Invalid value: "number": x in body must be of type integer: "number"'],
    ],
    [
      'what has more than 64 bits',
      { type: 'integer' },
      1e19,
      ['x: Invalid value: "number": x in body must be of type integer: "number"'],
    ],
    ['no null', { type: 'string' }, null, ['x: Invalid value: "null": x in body must be of type string: "null"']],
    ['null where it may be', { type: 'string', nullable: true, enum: ['a'], minLength: 1 }, null, []],
    ['three tenths are a multiple of one', { type: 'number', multipleOf: 0.1 }, 0.3, []],
    [
      'a quarter is not',
      { type: 'number', multipleOf: 0.1 },
      0.25,
      ['x: Invalid value: 0.25: x in body should be a multiple of 0.1'],
    ],
    [
      'too many properties',
      { type: 'object', maxProperties: 1 },
      { a: 1, b: 2 },
      ['x: Too many: 2: must have at most 1 items'],
    ],
    [
      'a number where a time is wanted',
      { type: 'string', format: 'date-time' },
      5,
      ['x: Invalid value: "int64": x in body must be of type date-time: "int64"'],
    ],
    [
      'a day that does not exist',
      { type: 'string', format: 'date' },
      '2026-02-30',
      ['x: Invalid value: "2026-02-30": x in body must be of type date: "2026-02-30"'],
    ],
    [
      'none of several alternatives, and what the nearest lacks',
      { type: 'object', anyOf: [{ required: ['a'] }, { required: ['b', 'c'] }] },
      {},
      ['<nil>: Invalid value: "": "x" must validate at least one schema (anyOf)', 'x.a: Required value'],
    ],
    [
      'more than one of several alternatives',
      { type: 'object', oneOf: [{ required: ['a'] }, { required: ['b'] }] },
      { a: 1, b: 2 },
      ['<nil>: Invalid value: "": "x" must validate one and only one schema (oneOf). Found 2 valid alternatives'],
    ],
    [
      'not all of several conditions',
      { type: 'string', allOf: [{ minLength: 2 }, { pattern: '^a' }] },
      'a',
      [
        'x: Invalid value: "a": x in body should be at least 2 chars long',
        '<nil>: Invalid value: "": "x" must validate all the schemas (allOf)',
      ],
    ],
    [
      'what must not be',
      { type: 'string', not: { enum: ['a'] } },
      'a',
      ['<nil>: Invalid value: "": "x" must not validate the schema (not)'],
    ],
    [
      'an embedded resource that does not say what it is',
      { type: 'object', 'x-kubernetes-embedded-resource': true },
      { kind: 'Pod' },
      ['x.apiVersion: Required value: must not be empty'],
    ],
  ])('%s', (_, schema, x, expected) => {
    const causes = schemaCauses({ x }, { type: 'object', properties: { x: schema } }, undefined);
    expect(causes.map(({ field, message }) => `${field}: ${message}`)).toEqual(expected);
  });
});

describe('embedded resources', () => {
  const holder: Schema = {
    type: 'object',
    properties: {
      template: {
        type: 'object',
        'x-kubernetes-embedded-resource': true,
        properties: { spec: { type: 'object', properties: { a: { type: 'integer' } } } },
      },
    },
  };

  test('keep kind and metadata, and of that what is metadata', () => {
    const object: JsonObject = {
      template: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', bogus: 1 }, spec: { a: 1, b: 2 }, other: 3 },
    };
    expect(prune(object, holder)).toEqual(['template.metadata.bogus', 'template.spec.b', 'template.other']);
    expect(object).toEqual({ template: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { a: 1 } } });
  });
});

test('below preserve-unknown-fields, what the schema does know is pruned again', () => {
  const open: Schema = {
    type: 'object',
    'x-kubernetes-preserve-unknown-fields': true,
    properties: { known: { type: 'object', properties: { a: { type: 'integer' } } } },
  };
  const object: JsonObject = { unknown: { b: 1 }, known: { a: 1, b: 2 } };
  expect(prune({ open: object }, { type: 'object', properties: { open } })).toEqual(['open.known.b']);
  expect(object).toEqual({ unknown: { b: 1 }, known: { a: 1 } });
});

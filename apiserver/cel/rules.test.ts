/** Rules at their places in a schema: what is asked, what is said, and what an update may leave as it was. */
import { describe, expect, test } from 'vitest';
import type { Json } from '#apiserver/json/json.ts';
import { Correlation } from '#apiserver/schema/correlation.ts';
import type { Rule, Schema } from '#apiserver/schema/schema.ts';
import { ruleCauses } from './check-object.ts';

const integer: Schema = { type: 'integer' };
const text: Schema = { type: 'string' };

function specWith(rules: readonly Rule[], properties: Readonly<Record<string, Schema>>): Schema {
  return {
    type: 'object',
    properties: { spec: { type: 'object', properties, 'x-kubernetes-validations': rules } },
  };
}

function messages(spec: Json, schema: Schema, old?: Json): string[] {
  const object = { spec };
  const before = old === undefined ? undefined : new Correlation(object, { spec: old }, schema);
  return ruleCauses(object, schema, before).map(({ field, message }) => `${field}: ${message}`);
}

describe('what a broken rule says', () => {
  const rule = 'self.min <= self.max';
  const fields = { min: integer, max: integer };
  test.each<[string, Rule, string]>([
    ['itself', { rule }, 'spec: Invalid value: failed rule: self.min <= self.max'],
    ['its message', { rule, message: ' too large ' }, 'spec: Invalid value: too large'],
    [
      'what its expression makes',
      { rule, message: 'no', messageExpression: '"%d is more than %d".format([self.min, self.max])' },
      'spec: Invalid value: 5 is more than 3',
    ],
    [
      'its message, if its expression cannot be computed',
      { rule, message: 'no', messageExpression: 'string(1 / (self.max - 3))' },
      'spec: Invalid value: no',
    ],
    [
      'its message, if its expression makes two lines',
      { rule, message: 'no', messageExpression: '"a\\nb"' },
      'spec: Invalid value: no',
    ],
    ['the field to blame', { rule, message: 'no', fieldPath: '.min' }, 'spec.min: Invalid value: no'],
    ['forbidden', { rule, message: 'no', reason: 'FieldValueForbidden' }, 'spec: Forbidden: no'],
    ['required', { rule, message: 'no', reason: 'FieldValueRequired' }, 'spec: Required value: no'],
    ['duplicate', { rule, message: 'no', reason: 'FieldValueDuplicate' }, 'spec: Duplicate value'],
  ])('%s', (_, given, expected) => {
    expect(messages({ min: 5, max: 3 }, specWith([given], fields))).toEqual([expected]);
    expect(messages({ min: 3, max: 3 }, specWith([given], fields))).toEqual([]);
  });

  test('why it could not be computed', () => {
    expect(messages({ min: 5 }, specWith([{ rule, message: 'order' }], fields))).toEqual([
      'spec: Invalid value: "object": no such key: max evaluating rule: order',
    ]);
    const port: Schema = { 'x-kubernetes-int-or-string': true };
    expect(messages({ port: 'http' }, specWith([{ rule: 'self.port > 1024' }], { port }))).toEqual([
      `spec: Invalid value: "object": 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self.port > 1024`,
    ]);
  });

  test('the value, if it is neither object nor list', () => {
    const schema = specWith([], { size: { ...integer, 'x-kubernetes-validations': [{ rule: 'self % 2 == 0' }] } });
    expect(messages({ size: 3 }, schema)).toEqual(['spec.size: Invalid value: 3: failed rule: self % 2 == 0']);
  });

  test('that it does not compile, where a definition got past the check', () => {
    expect(messages({ min: 1 }, specWith([{ rule: 'self.nope' }], fields))[0]).toMatch(
      /rule compile error: compilation failed/,
    );
  });
});

test('rules stand anywhere: on items, on values of maps, inside of allOf, at the root', () => {
  const odd: Schema = { ...integer, 'x-kubernetes-validations': [{ rule: 'self % 2 == 1', message: 'odd' }] };
  const schema: Schema = {
    ...specWith([], { list: { type: 'array', items: odd }, map: { type: 'object', additionalProperties: odd } }),
    'x-kubernetes-validations': [{ rule: "self.metadata.name != 'bad'", message: 'name' }],
    allOf: [{ 'x-kubernetes-validations': [{ rule: 'has(self.spec.list)', message: 'list' }] }],
  };
  const object = { metadata: { name: 'bad' }, spec: { list: [1, 2, null], map: { a: 4, b: 5 } } };
  expect(ruleCauses(object, schema, undefined).map(({ field, message }) => `${field}: ${message}`)).toEqual([
    ': Invalid value: name',
    'spec.list[1]: Invalid value: 2: odd',
    'spec.map[a]: Invalid value: 4: odd',
  ]);
});

describe('transition rules', () => {
  const fixed: Rule = { rule: 'self.image == oldSelf.image', message: 'immutable' };
  const schema = specWith([fixed], { image: text });

  test('are asked only where there was something before', () => {
    expect(messages({ image: 'a' }, schema)).toEqual([]);
    expect(messages({ image: 'b' }, schema, { image: 'a' })).toEqual(['spec: Invalid value: immutable']);
    expect(messages({ image: 'a' }, schema, { image: 'a' })).toEqual([]);
  });

  test('with optionalOldSelf are asked about new objects too', () => {
    const once: Rule = {
      rule: "oldSelf.hasValue() || self.image == 'a'",
      message: 'start with a',
      optionalOldSelf: true,
    };
    const grows: Rule = {
      rule: 'self.size >= oldSelf.optMap(o, o.size).orValue(1)',
      message: 'grow',
      optionalOldSelf: true,
    };
    expect(messages({ image: 'b' }, specWith([once], { image: text }))).toEqual(['spec: Invalid value: start with a']);
    expect(messages({ image: 'b' }, specWith([once], { image: text }), { image: 'a' })).toEqual([]);
    expect(messages({ size: 2 }, specWith([grows], { size: integer }), { size: 3 })).toEqual([
      'spec: Invalid value: grow',
    ]);
  });

  test('find items of lists by their keys, whatever their order, and of no other list', () => {
    const item: Schema = {
      type: 'object',
      properties: { name: text, size: integer },
      'x-kubernetes-validations': [{ rule: 'self.size >= oldSelf.size', message: 'shrinks' }],
    };
    const keyed: Schema = {
      type: 'array',
      items: item,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    };
    const old = {
      list: [
        { name: 'a', size: 1 },
        { name: 'b', size: 5 },
      ],
    };
    const now = {
      list: [
        { name: 'b', size: 4 },
        { name: 'a', size: 1 },
        { name: 'c', size: 0 },
      ],
    };
    expect(messages(now, specWith([], { list: keyed }), old)).toEqual(['spec.list[0]: Invalid value: shrinks']);
    expect(messages(now, specWith([], { list: { type: 'array', items: item } }), old)).toEqual([]);
  });
});

describe('an update is not refused for what it leaves as it was', () => {
  const rule: Rule = { rule: 'self.size > 10', message: 'small' };
  const part: Schema = { type: 'object', properties: { size: integer }, 'x-kubernetes-validations': [rule] };

  test.each<[string, Schema, Json, Json, readonly string[]]>([
    ['an unchanged part passes', part, { size: 1 }, { size: 1 }, []],
    ['a changed part does not', part, { size: 1 }, { size: 2 }, ['spec.part: Invalid value: small']],
    [
      'an item found by its key passes',
      {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['n'],
        items: { ...part, properties: { n: text, size: integer } },
      },
      [{ n: 'a', size: 1 }],
      [
        { n: 'b', size: 2 },
        { n: 'a', size: 1 },
      ],
      ['spec.part[0]: Invalid value: small'],
    ],
    [
      'an item of another list counts by the list: unchanged',
      { type: 'array', items: part },
      [{ size: 1 }],
      [{ size: 1 }],
      [],
    ],
    [
      'an item of another list counts by the list: changed',
      { type: 'array', items: part },
      [{ size: 1 }],
      [{ size: 1 }, { size: 20 }],
      ['spec.part[0]: Invalid value: small'],
    ],
    [
      'a value of a map passes',
      { type: 'object', additionalProperties: part },
      { a: { size: 1 } },
      { a: { size: 1 }, b: { size: 30 } },
      [],
    ],
  ])('%s', (_, schema, old, now, expected) => {
    const whole = specWith([], { part: schema, other: text });
    expect(messages({ part: now, other: 'new' }, whole, { part: old, other: 'old' })).toEqual(expected);
  });

  test('but a transition rule is never let pass', () => {
    const never: Rule = { rule: 'oldSelf.size != self.size', message: 'must change' };
    expect(messages({ size: 1 }, specWith([never], { size: integer }), { size: 1 })).toEqual([
      'spec: Invalid value: must change',
    ]);
  });
});

describe('the budget', () => {
  const heavy = 'self.list.all(a, self.list.all(b, a + b >= 0))';
  const schema = (rules: readonly Rule[]) => specWith(rules, { list: { type: 'array', items: integer } });
  const list = (length: number) => ({ list: Array.from({ length }, (_, index) => index) });

  test('of one rule: the rules after it are not asked', () => {
    expect(messages(list(1_000), schema([{ rule: heavy, message: 'heavy' }, { rule: 'false' }]))).toEqual([
      `spec: Invalid value: "object": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: heavy`,
    ]);
  });

  test('of an object: many rules, each of which is cheap enough', () => {
    const rules = Array.from({ length: 20 }, () => ({ rule: heavy }));
    expect(messages(list(400), schema(rules))).toEqual([
      'spec: Invalid value: "object": validation failed due to running out of cost budget, no further validation rules will be run',
    ]);
  });

  test('is spent in bounded time', () => {
    const started = performance.now();
    messages(list(400), schema(Array.from({ length: 20 }, () => ({ rule: heavy }))));
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

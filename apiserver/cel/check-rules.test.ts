/** What is refused when a CustomResourceDefinition with rules is written. */
import { describe, expect, test } from 'vitest';
import type { Rule, Schema } from '#apiserver/schema/schema.ts';
import { checkRules } from './check-rules.ts';

const root = 'spec.versions[0].schema.openAPIV3Schema';

function causesOf(rule: Rule, around: (part: Schema) => Schema = (part) => part): string[] {
  const part: Schema = {
    type: 'object',
    properties: { size: { type: 'integer' }, labels: { type: 'object', additionalProperties: { type: 'string' } } },
    'x-kubernetes-validations': [rule],
  };
  const schema: Schema = { type: 'object', properties: { spec: around(part) } };
  return checkRules(schema, root).map(
    ({ field, message, reason }) => `${field.replace(`${root}.`, '')} ${reason} ${message}`,
  );
}

const at = 'properties[spec].x-kubernetes-validations[0]';

describe('a rule is refused', () => {
  test.each<[string, Rule, string]>([
    ['without text', { rule: ' ' }, `${at}.rule FieldValueRequired Required value: rule is not specified`],
    [
      'with an empty message',
      { rule: 'true', message: ' ' },
      `${at}.message FieldValueInvalid Invalid value: " ": message must be non-empty if specified`,
    ],
    [
      'with a message of two lines',
      { rule: 'true', message: 'a\nb' },
      `${at}.message FieldValueInvalid Invalid value: "a\\nb": message must not contain line breaks`,
    ],
    [
      'of two lines without a message',
      { rule: 'true\n|| false' },
      `${at}.message FieldValueRequired Required value: message must be specified if rule contains line breaks`,
    ],
    [
      'with another reason than there are',
      { rule: 'true', reason: 'Nope' },
      `${at}.reason FieldValueNotSupported Unsupported value: "Nope": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"`,
    ],
    [
      'that blames a field that is not there',
      { rule: 'true', fieldPath: '.nope' },
      `${at}.fieldPath FieldValueInvalid Invalid value: ".nope": fieldPath must be a valid path`,
    ],
    [
      'that gives no truth value',
      { rule: 'self.size' },
      `${at}.rule FieldValueInvalid Invalid value: {"rule":"self.size"}: cel expression must evaluate to a bool`,
    ],
    [
      'that does not fit the schema',
      { rule: 'self.sice > 0' },
      `${at}.rule FieldValueInvalid Invalid value: {"rule":"self.sice > 0"}: compilation failed: ERROR: <input>:1:5: undefined field 'sice'\n | self.sice > 0\n | ....^`,
    ],
    [
      'whose message is no text',
      { rule: 'true', messageExpression: 'self.size' },
      `${at}.messageExpression FieldValueInvalid Invalid value: {"rule":"true","messageExpression":"self.size"}: messageExpression must evaluate to a string`,
    ],
    [
      'that says something of oldSelf which it does not use',
      { rule: 'true', optionalOldSelf: true },
      `${at}.optionalOldSelf FieldValueInvalid Invalid value: true: may not be set if oldSelf is not used in rule`,
    ],
  ])('%s', (_, rule, expected) => {
    expect(causesOf(rule)).toEqual([expected]);
  });
});

test('oldSelf is for parts that can be found again: not inside of lists without keys', () => {
  const rule = { rule: 'self.size == oldSelf.size' };
  const keyed = (items: Schema): Schema => ({
    type: 'array',
    items,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['size'],
  });
  expect(causesOf(rule, keyed)).toEqual([]);
  expect(causesOf(rule, (items) => ({ type: 'array', items }))).toEqual([
    `properties[spec].items.x-kubernetes-validations[0].rule FieldValueInvalid Invalid value: "self.size == oldSelf.size": oldSelf cannot be used on the uncorrelatable portion of the schema within ${root}.properties[spec].items`,
  ]);
});

test.each<[Rule]>([
  [
    {
      rule: 'self.size > 0',
      message: 'm',
      messageExpression: "'%d'.format([self.size])",
      reason: 'FieldValueInvalid',
      fieldPath: '.size',
    },
  ],
  [{ rule: "self.labels.all(k, k != '')", fieldPath: ".labels['a/b']" }],
  [{ rule: 'oldSelf.hasValue() || self.size > 0', optionalOldSelf: true }],
  [{ rule: 'self.size > 0\n&& self.size < 9', message: 'between' }],
])('%j is accepted', (rule) => {
  expect(causesOf(rule)).toEqual([]);
});

test('schemas of our own kinds and those without types for rules do not stumble', () => {
  expect(checkRules({}, root)).toEqual([]);
  expect(checkRules({ 'x-kubernetes-validations': [{ rule: 'true' }] }, root)).toHaveLength(1);
});

import { expect, test } from 'vitest';
import { schemaCauses } from './check.ts';
import type { Schema } from './schema.ts';

const field: Schema = { type: 'array', items: { type: 'string', maxLength: 3 }, 'x-kubernetes-list-type': 'set' };
const wide: Schema = {
  type: 'object',
  properties: Object.fromEntries(Array.from({ length: 400 }, (_, index) => [`field${index}`, field])),
};

test('a schema that is too large to be compiled holds all the same', () => {
  expect(schemaCauses({ field1: ['a', 'b'], field399: ['abc'] }, wide, undefined)).toEqual([]);
  const causes = schemaCauses({ field1: ['a', 'a'], field2: 'b', field399: ['abcd'] }, wide, undefined);
  expect(causes.map(({ field, reason }) => [field, reason])).toEqual([
    ['field2', 'FieldValueTypeInvalid'],
    ['field399[0]', 'FieldValueTooLong'],
    ['field1[1]', 'FieldValueDuplicate'],
  ]);
});

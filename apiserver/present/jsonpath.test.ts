import { expect, test } from 'vitest';
import { compileJsonPath, fieldNames } from './jsonpath.ts';

const object = {
  metadata: { annotations: { 'a.b/c': 'dotted' } },
  status: {
    conditions: [
      { type: 'Other', status: 'False' },
      { type: 'Ready', status: 'True' },
    ],
    pools: [{ cluster: 'east' }, { cluster: 'west' }, {}],
  },
};

test.each([
  ['.status.conditions[?(@.type=="Ready")].status', ['True']],
  [".status.conditions[?(@.type!='Ready')].type", ['Other']],
  ['.status.pools[*].cluster', ['east', 'west']],
  ['.status.pools[1].cluster', ['west']],
  ['.status.pools[-1]', [{}]],
  ["['metadata'].annotations['a.b/c']", ['dotted']],
  ['.metadata.annotations.a\\.b/c', ['dotted']],
  ['{.status.missing.deeper}', []],
  ['.constructor', []],
])('%s finds %j', (path, expected) => {
  expect(compileJsonPath(path)(object)).toEqual(expected);
});

test('what is not understood is refused, for a silently empty column would be worse', () => {
  expect(() => compileJsonPath('.a[?(@.b>1)]')).toThrow(RangeError);
  expect(() => fieldNames('.a[*]')).toThrow(RangeError);
  expect(fieldNames('.spec.capacity.target')).toEqual(['spec', 'capacity', 'target']);
});

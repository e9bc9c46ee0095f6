import { describe, expect, test } from 'vitest';
import { threeWayPatch } from './apply.ts';

describe('threeWayPatch', () => {
  test('is empty when everything asked for is there, whatever else is', () => {
    expect(
      threeWayPatch(
        { spec: { a: 1 } },
        { spec: { a: 1, list: [{ x: 1 }] } },
        { spec: { a: 1, b: 2, list: [{ x: 1 }] }, status: {} },
      ),
    ).toEqual({});
  });

  test('sets what differs and keeps what others set', () => {
    expect(threeWayPatch({}, { spec: { a: 2, inner: { c: 3 } } }, { spec: { a: 1, b: 2, inner: { d: 4 } } })).toEqual({
      spec: { a: 2, inner: { c: 3 } },
    });
  });

  test('removes what was asked for last time and is not now', () => {
    expect(
      threeWayPatch({ spec: { a: 1, gone: 2 } }, { spec: { a: 1 } }, { spec: { a: 1, gone: 2, theirs: 3 } }),
    ).toEqual({ spec: { gone: null } });
  });

  test('does not remove what is already gone', () => {
    expect(threeWayPatch({ spec: { gone: 2 } }, { spec: {} }, { spec: {} })).toEqual({});
  });

  test('takes a list as a whole', () => {
    expect(threeWayPatch({}, { spec: { list: [1, 2] } }, { spec: { list: [1, 2, 3] } })).toEqual({
      spec: { list: [1, 2] },
    });
  });
});

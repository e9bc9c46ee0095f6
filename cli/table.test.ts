import { expect, test } from 'vitest';
import { formatTable } from './table.ts';

test('formatTable lines columns up and leaves no space at the ends', () => {
  expect(
    formatTable(
      ['NAME', 'STATUS', 'AGE'],
      [
        ['render-local-48c-0', 'Running', '5s'],
        ['x', '', ''],
      ],
    ),
  ).toEqual(['NAME                 STATUS    AGE', 'render-local-48c-0   Running   5s', 'x']);
});

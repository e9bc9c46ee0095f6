import { expect, test } from 'vitest';
import { brakes } from './orphans.ts';

test.each([
  [3, 0, false],
  [4, 0, true],
  [5, 100, false],
  [6, 100, true],
  [500, 10_000, false],
])('%i orphans beside %i machines: hold %s', (orphans, machines, hold) => {
  expect(brakes(orphans, machines)).toBe(hold);
});

import { expect, test } from 'vitest';
import { brakes } from './orphans.ts';
import { Suspects } from './suspects.ts';

test.each([
  [3, 0, false],
  [4, 0, true],
  [5, 100, false],
  [6, 100, true],
  [500, 10_000, false],
])('%i orphans beside %i machines: hold %s', (orphans, machines, hold) => {
  expect(brakes(orphans, machines)).toBe(hold);
});

test('a host is suspect after three failures without a success, for longer each time', () => {
  const suspects = new Suspects();
  for (const time of [0, 1000]) suspects.failed('h', 'g', time);
  expect(suspects.isSuspect('h', 1001)).toBe(false);
  suspects.failed('h', 'g', 2000);
  expect(suspects.isSuspect('h', 61_000)).toBe(true);
  expect(suspects.isSuspect('h', 63_000)).toBe(false);
  suspects.failed('h', 'g', 63_000);
  expect(suspects.isSuspect('h', 163_000)).toBe(true);
  suspects.succeeded('h');
  expect(suspects.isSuspect('h', 163_000)).toBe(false);
});

import { expect, test } from 'vitest';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { brakes, isOver } from './orphans.ts';

test.each([
  [3, 0, false],
  [4, 0, true],
  [5, 100, false],
  [6, 100, true],
  [500, 10_000, false],
])('%i orphans beside %i machines: hold %s', (orphans, machines, hold) => {
  expect(brakes(orphans, machines)).toBe(hold);
});

test('somebody may allow more', () => {
  expect(brakes(6, 10, 6)).toBe(false);
  expect(brakes(7, 10, 6)).toBe(true);
});

test.each([
  ['an attempt with a row', { attempts: [{ number: 3 }] }, 3, true],
  ['one whose row has fallen off the end', { attempts: [{ number: 9 }] }, 2, true],
  ['one before the present', { attempt: { number: 4 } }, 3, true],
  ['the present one', { attempt: { number: 4 }, attempts: [{ number: 3 }] }, 4, false],
  ['one that the record does not know: the store is older than the host', { attempts: [{ number: 3 }] }, 4, false],
  ['one of a machine that never ran', undefined, 1, false],
])('over is %s', (_what, status, attempt, over) => {
  expect(isOver({ status } as VirtualMachine, attempt)).toBe(over);
});

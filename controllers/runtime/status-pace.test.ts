import { expect, test } from 'vitest';
import type { ObjectWithStatus } from '#lib/api/meta.ts';
import { statusPace } from './status-pace.ts';

const everyMs = 1000;
const object = {
  ...{ apiVersion: 'v1', kind: 'Thing', metadata: { name: 'a', uid: 'u', generation: 1 } },
  status: { observedGeneration: 1, count: 0 },
} as unknown as ObjectWithStatus;
const counting = (count: number) => ({ count }) as ObjectWithStatus['status'];

/** Milliseconds to wait; 0 if it may be written now. */
function heldMs(pace: ReturnType<typeof statusPace>, nowMs: number, next = counting(1)): number {
  const outcome = pace.outcome(object, next, nowMs);
  return outcome.done ? 0 : outcome.afterMs!;
}

test('figures are written at once, and then once in a while; what is written already is no write', () => {
  const pace = statusPace(everyMs);
  expect(heldMs(pace, 5000)).toBe(0);
  expect(heldMs(pace, 5001, counting(0))).toBe(0);
  expect(heldMs(pace, 5400)).toBe(600);
  expect(heldMs(pace, 6000)).toBe(0);
  expect(heldMs(pace, 6000)).toBe(everyMs);
});

test('a condition with another status is news', () => {
  const pace = statusPace(everyMs);
  expect(heldMs(pace, 5000)).toBe(0);
  const conditions = [{ type: 'Ready', status: 'True' }];
  expect(heldMs(pace, 5001, { count: 1, conditions } as unknown as ObjectWithStatus['status'])).toBe(0);
});

test('a clock that is set back holds nothing back for longer', () => {
  const pace = statusPace(everyMs);
  expect(heldMs(pace, 500_000)).toBe(0);
  expect(heldMs(pace, 200_000)).toBe(0);
  expect(heldMs(pace, 200_400)).toBe(600);
});

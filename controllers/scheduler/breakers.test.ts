import { expect, test } from 'vitest';
import { Breakers, failuresAllowed } from './breakers.ts';
import { Suspects } from './suspects.ts';

const minute = 60_000;
const at = (monotonicMs: number) => ({ ms: Date.parse('2026-01-01T00:00:00Z') + monotonicMs, monotonicMs });

function broken(): Breakers {
  const breakers = new Breakers();
  for (let failure = 1; failure < failuresAllowed; failure++) {
    expect(breakers.failed('n/p', 'p-0 on host h: no image', 0)).toBe(false);
    expect(breakers.against('n/p', 50, at(0))).toBeUndefined();
  }
  expect(breakers.failed('n/p', 'p-9 on host h: no image', 0)).toBe(true);
  return breakers;
}

test('Breakers open after ten failures in a row, for their group alone, and say when one machine is tried again', () => {
  const breakers = broken();
  expect(breakers.against('n/p', 0, at(minute))).toBe(
    '10 machines of its pool or factory failed one after the other, the last: p-9 on host h: no image. One is tried again at 2026-01-01T00:02:00Z',
  );
  expect(breakers.against('n/q', 0, at(minute))).toBeUndefined();
});

test('Breakers let one probe through; its failure doubles the pause, failures of what was under way do not', () => {
  const breakers = broken();
  for (let late = 0; late < 20; late++) breakers.failed('n/p', 'late', minute);
  expect(breakers.against('n/p', 0, at(2 * minute - 1))).toContain('tried again at');
  expect(breakers.against('n/p', 0, at(2 * minute))).toBeUndefined();
  expect(breakers.against('n/p', 1, at(2 * minute))).toContain('One is being tried now');
  breakers.failed('n/p', 'probe', 3 * minute);
  expect(breakers.against('n/p', 0, at(7 * minute - 1))).toContain('2026-01-01T00:07:00Z');
  expect(breakers.against('n/p', 0, at(7 * minute))).toBeUndefined();
});

test('Breakers close when a machine comes up', () => {
  const breakers = broken();
  breakers.succeeded('n/p');
  expect(breakers.against('n/p', 50, at(0))).toBeUndefined();
  expect(breakers.failed('n/p', 'again', minute)).toBe(false);
});

test('Suspects are cleared of what a group failed at that fails everywhere, not of what others failed at', () => {
  const suspects = new Suspects({ now: () => 0, monotonic: () => 0 });
  for (const group of ['bad', 'bad', 'good']) suspects.failed('h', group, 'StartFailed');
  for (const group of ['good', 'good', 'other']) suspects.failed('i', group, 'StartFailed');
  suspects.clear('bad');
  expect(suspects.suspect('h')).toBeUndefined();
  expect(suspects.suspect('i')).toMatchObject({ failures: 3 });
});

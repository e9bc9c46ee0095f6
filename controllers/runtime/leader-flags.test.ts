import { expect, it } from 'vitest';
import { UsageError } from '#lib/std/main.ts';
import { defaultLeaseTimes } from './leader.ts';
import { leaseTimesFrom } from './leader-flags.ts';

it('leaseTimesFrom() reads durations and keeps the rest as in Kubernetes', () => {
  expect(leaseTimesFrom({})).toEqual(defaultLeaseTimes);
  expect(
    leaseTimesFrom({
      'leader-elect-lease-duration': '4s',
      'leader-elect-renew-deadline': '3s',
      'leader-elect-retry-period': '500ms',
    }),
  ).toEqual({ durationMs: 4_000, renewDeadlineMs: 3_000, retryMs: 500 });
});

it.each([
  [{ 'leader-elect-lease-duration': 'soon' }, /--leader-elect-lease-duration: Cannot read "soon"/],
  [{ 'leader-elect-lease-duration': '10500ms' }, /whole seconds/],
  [{ 'leader-elect-lease-duration': '10s' }, /longer than --leader-elect-renew-deadline/],
  [{ 'leader-elect-retry-period': '9s' }, /longer than 1.2 times/],
  [{ 'leader-elect-retry-period': '0s' }, /above 0/],
])('leaseTimesFrom(%o) is refused', (flags, message) => {
  expect(() => leaseTimesFrom(flags)).toThrow(UsageError);
  expect(() => leaseTimesFrom(flags)).toThrow(message);
});

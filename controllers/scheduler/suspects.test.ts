import { expect, test } from 'vitest';
import { faultOf, Suspects } from './suspects.ts';

function books() {
  let nowMs = 0;
  const suspects = new Suspects({ monotonic: () => nowMs, now: () => 1_000_000 + nowMs });
  return {
    suspects,
    fail(atMs: number, reason = 'StartFailed', group = 'pool/web') {
      nowMs = atMs;
      suspects.failed('h', group, reason);
    },
    at(atMs: number) {
      nowMs = atMs;
      return suspects.suspect('h');
    },
  };
}

test('a host is suspect after three failures without a success, for longer each time', () => {
  const { at, fail, suspects } = books();
  for (const time of [0, 1000]) fail(time);
  expect(at(1001)).toBeUndefined();
  fail(2000);
  expect(at(61_000)).toEqual({ failures: 3, reason: 'StartFailed', until: 1_062_000 });
  expect(at(63_000)).toBeUndefined();
  fail(63_000, 'ProvisioningFailed');
  expect(at(163_000)).toMatchObject({ failures: 4, reason: 'ProvisioningFailed' });
  suspects.succeeded('h');
  expect(at(163_000)).toBeUndefined();
});

test('old failures count no more', () => {
  const { at, fail, suspects } = books();
  for (const time of [0, 1000, 700_000]) fail(time);
  expect(at(700_001)).toBeUndefined();
  expect(suspects.score('h')).toBe(1);
  at(1_400_000);
  expect(suspects.score('h')).toBe(0);
});

test.each([
  [{ outcome: 'Failed', class: 'Infrastructure', reason: 'StartFailed' }, undefined, 'StartFailed'],
  [{ outcome: 'Failed', class: 'Infrastructure', reason: 'SecretsNotReceived' }, undefined, undefined],
  [{ outcome: 'Failed', class: 'Guest', reason: 'GuestCrashed' }, undefined, undefined],
  [{ outcome: 'Killed', class: 'Preempted', reason: 'HostDrain' }, undefined, undefined],
  [{ outcome: 'Dropped', class: 'Infrastructure' }, 'REASON_AGENT_REMOVED', 'REASON_AGENT_REMOVED'],
  // The offer was gone: the host has done nothing.
  [{ outcome: 'Dropped', class: 'Infrastructure' }, 'REASON_INVALID_OFFERS', undefined],
  [{ outcome: 'Dropped', class: 'Infrastructure' }, 'REASON_TASK_KILLED_DURING_LAUNCH', undefined],
  [{ outcome: 'Dropped', class: 'Infrastructure' }, undefined, undefined],
] as const)('of %o, told %s, the host is to blame for %s', (ended, told, fault) => {
  expect(faultOf(ended, told)).toBe(fault);
});

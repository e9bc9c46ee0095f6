import { describe, expect, test } from 'vitest';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { apiVersionOf } from '#lib/api/meta.ts';
import { fc } from '#test/properties.ts';
import { causeOf, type Decision, judge, retryDelayMs } from './run-policy.ts';

type Status = NonNullable<VirtualMachine['status']>;
type Policy = VirtualMachine['spec']['runPolicy'];
type Row = NonNullable<Status['attempts']>[number];

const now = Date.parse('2026-01-01T12:00:00Z');
const machine = (runPolicy: Policy, status: Status = {}): VirtualMachine => ({
  apiVersion: apiVersionOf(VirtualMachine),
  kind: 'VirtualMachine',
  metadata: {
    name: 'a',
    namespace: 'default',
    uid: 'u',
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
  spec: { runPolicy, image: { name: 'i' }, terminationGracePeriod: '60s', priority: 0, deleteProtection: false },
  status,
});
const closed = (row: Row): Status => ({ attempts: [{ number: 1, ended: '2026-01-01T12:00:00Z', ...row }] });
const want = (vm: VirtualMachine): Decision['want'] => judge(vm, now, 0.5).decision.want;

const endings = {
  dropped: { outcome: 'Dropped', class: 'Infrastructure', reason: 'LaunchDropped' },
  shutdown: { outcome: 'Finished', class: 'Guest', reason: 'GuestShutdown' },
  crash: { outcome: 'Failed', class: 'Guest', reason: 'GuestCrashed' },
  lost: { outcome: 'Lost', class: 'Infrastructure', reason: 'HostLost' },
  preempted: { outcome: 'Killed', class: 'Preempted', reason: 'Preempted' },
  stopped: { outcome: 'Killed', class: 'User', reason: 'StoppedByUser' },
  impossible: { outcome: 'Failed', class: 'Configuration', reason: 'BadImage' },
} satisfies Record<string, Row>;

describe('judge() follows the published matrix', () => {
  const policies: readonly Policy[] = ['Always', 'RerunOnFailure', 'Once', 'Manual', 'Halted'];
  test.each<[keyof typeof endings, string]>([
    ['dropped', 'Run Run Run Run Stopped'],
    ['shutdown', 'Run Succeeded Succeeded Stopped Stopped'],
    ['crash', 'Run Run Failed Stopped Stopped'],
    ['lost', 'Run Run Failed Stopped Stopped'],
    ['preempted', 'Run Run Run Stopped Stopped'],
    ['stopped', 'Run Stopped Succeeded Stopped Stopped'],
    ['impossible', 'Failed Failed Failed Failed Stopped'],
  ])('%s', (ending, expected) => {
    expect(policies.map((policy) => want(machine(policy, closed(endings[ending])))).join(' ')).toBe(expected);
  });

  test('Once fails when preempted after its guest was up', () => {
    const status = { ...closed(endings.preempted), phaseTransitions: { Running: '2026-01-01T11:00:00Z' } };
    const drained = { ...status, attempts: [{ ...status.attempts![0], reason: 'HostDrain' }] };
    expect(judge(machine('Once', drained), now, 0.5).decision).toEqual({ want: 'Failed', reason: 'Preempted' });
  });

  test.each<[Policy, Status, string]>([
    ['Always', {}, 'Run'],
    ['Halted', {}, 'Stopped'],
    ['Manual', {}, 'Stopped'],
    ['Manual', { requestedPower: 'On' }, 'Run'],
    ['RerunOnFailure', { requestedPower: 'Off' }, 'Stopped'],
    ['Always', { phase: 'Failed' }, 'Failed'],
    ['Once', { phase: 'Succeeded' }, 'Succeeded'],
  ])('%s with %o: %s', (policy, status, expected) => expect(want(machine(policy, status))).toBe(expected));
});

test.each<[Policy, Status, 'On' | 'Off', string]>([
  ['Manual', {}, 'On', 'Run'],
  ['Manual', { requestedPower: 'Off' }, 'On', 'Run'],
  ['Manual', { requestedPower: 'On' }, 'Off', 'Stopped'],
  ['RerunOnFailure', { requestedPower: 'Off' }, 'On', 'Run'],
  ['Always', {}, 'Off', 'Run'],
  ['Halted', {}, 'On', 'Stopped'],
  ['Once', { phase: 'Succeeded' }, 'On', 'Succeeded'],
  ['Once', {}, 'Off', 'Succeeded'],
])('%s with %o and an accepted operation that wants %s: %s', (policy, status, asked, expected) => {
  const { decision, requestedPower } = judge(machine(policy, status), now, 0.5, asked);
  expect(decision.want).toBe(expected);
  if (expected === 'Run') expect(requestedPower).toBe(asked === 'On' ? 'On' : undefined);
});

test('a machine that is to run is not launched with the Off of an earlier stop', () => {
  expect(judge(machine('Always', { requestedPower: 'Off' }), now, 0.5).requestedPower).toBeUndefined();
});

describe('judge() counts an ending once', () => {
  test('a judged attempt is not judged again', () => {
    const first = judge(machine('Always', closed(endings.crash)), now, 0.5);
    expect(first.restarts).toEqual({ relaunch: 1, consecutiveFailures: 1, retryAfter: '2026-01-01T12:00:10Z' });
    const stored = machine('Always', { ...closed(endings.crash), restarts: first.restarts! });
    expect(judge(stored, now + 60_000, 0.9)).toEqual({ ...first, requestedPower: undefined });
  });

  test('a Start after the ending of a Manual machine runs it, the one before does not', () => {
    const ended = judge(machine('Manual', { ...closed(endings.crash), requestedPower: 'On' }), now, 0.5);
    expect(ended).toMatchObject({ decision: { want: 'Stopped', reason: 'GuestCrashed' }, requestedPower: 'Off' });
    const started = machine('Manual', { ...closed(endings.crash), restarts: ended.restarts!, requestedPower: 'On' });
    expect(want(started)).toBe('Run');
  });

  test('the first loss of a host is made up for at once, the second waits', () => {
    const first = judge(machine('Always', closed(endings.lost)), now, 0.5);
    expect(first.decision).toEqual({ want: 'Run', notBeforeMs: 0 });
    const attempts = [{ number: 2, ended: '2026-01-01T12:00:00Z', ...endings.lost }];
    const second = judge(machine('Always', { attempts, restarts: first.restarts! }), now, 0.5);
    expect(second.decision).toEqual({ want: 'Run', notBeforeMs: now + 10_000 });
  });

  test('ten minutes of running make up for the failures before', () => {
    const status = {
      ...closed(endings.crash),
      restarts: { relaunch: 0, consecutiveFailures: 7 },
      phaseTransitions: { Running: '2026-01-01T11:50:00Z' },
    };
    expect(judge(machine('Always', status), now, 0.5).restarts).toMatchObject({ consecutiveFailures: 1 });
  });

  test.each(['Always', 'RerunOnFailure', 'Once'] as const)(
    'a move to another host is no ending, under %s',
    (policy) => {
      const moved: Row = { outcome: 'Migrated', class: 'Infrastructure', reason: 'Migrated' };
      const judged = judge(machine(policy, closed(moved)), now, 0.5);
      expect(judged).toEqual({
        decision: { want: 'Run', notBeforeMs: 0 },
        restarts: undefined,
        requestedPower: undefined,
      });
      const attempts = [1, 2, 3].map((number) => ({ number, ended: '2026-01-01T12:00:00Z', ...moved }));
      const lost = { number: 4, ended: '2026-01-01T12:00:00Z', ...endings.lost };
      expect(judge(machine('Always', { attempts: [...attempts, lost] }), now, 0.5).restarts).toEqual({
        relaunch: 4,
        consecutiveFailures: 1,
      });
    },
  );

  test('preemption never waits and is nobody’s failure', () => {
    const status = { ...closed(endings.preempted), restarts: { relaunch: 0, consecutiveFailures: 2 } };
    expect(judge(machine('Always', status), now, 0.5).restarts).toEqual({ relaunch: 1, consecutiveFailures: 2 });
  });
});

test('retryDelayMs() stays within a quarter of 10 s · n² and of 300 s', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (failures, jitter) => {
        const base = Math.min(300_000, 10_000 * failures ** 2);
        expect(retryDelayMs(failures, jitter)).toBeGreaterThanOrEqual(base * 0.75);
        expect(retryDelayMs(failures, jitter)).toBeLessThanOrEqual(base * 1.25);
      },
    ),
  );
});

test('causeOf() reads an ending without a class as a loss', () => expect(causeOf({ outcome: 'Failed' })).toBe('Lost'));

import { describe, expect, test } from 'vitest';
import type { Host } from '#lib/api/generated/host.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { annotations } from '#lib/api/names.ts';
import type { Agent } from './agents.ts';
import { type DrainInput, evictionOf, type HostDrain, hostDrain } from './drain.ts';

const nowMs = Date.parse('2026-01-01T12:00:00Z');
const minuteMs = 60_000;
const host = (spec: object, status: object = {}) => ({ spec, status }) as Host;
const agent = { active: true, isDeactivated: true, isDraining: true } as Agent;
const window = (inMs: number, forMs = Number.POSITIVE_INFINITY) => ({
  startMs: nowMs + inMs,
  endMs: nowMs + inMs + forMs,
});

describe('hostDrain()', () => {
  const none = { host: undefined, agent: undefined, window: undefined, noticeMs: 30 * minuteMs, nowMs };
  const deadline = '2026-01-01T13:00:00Z';
  test.each<[string, Partial<DrainInput>, Partial<HostDrain> | undefined]>([
    ['nothing is said of', {}, undefined],
    ['only cordoned', { host: host({ unschedulable: true }) }, undefined],
    [
      'drained by its spec',
      { host: host({ drain: { deadline, reason: 'new disks' } }) },
      {
        cause: 'Spec',
        reason: 'HostDrain',
        isForced: false,
        deadlineMs: Date.parse(deadline),
        why: 'The host is drained: new disks',
      },
    ],
    ['with maintenance in an hour', { window: window(60 * minuteMs) }, undefined],
    [
      'with maintenance in ten minutes, drained by its spec as well',
      { window: window(10 * minuteMs), host: host({ drain: {} }) },
      { cause: 'Maintenance', reason: 'PartnerReclaim', isForced: true, deadlineMs: nowMs + 10 * minuteMs },
    ],
    ['in maintenance', { window: window(-minuteMs) }, { cause: 'Maintenance' }],
    ['whose maintenance is over', { window: window(-2 * minuteMs, minuteMs) }, undefined],
    ['that Mesos drains', { agent }, { cause: 'MesosAgent', isForced: true, deadlineMs: undefined }],
    ['only deactivated in Mesos', { agent: { ...agent, isDraining: false } }, undefined],
    [
      'that Mesos drains on our word',
      { agent, host: host({ drain: {} }, { drain: { agentDrained: true } }) },
      { cause: 'Spec' },
    ],
    [
      'that Mesos has drained on our former word',
      { agent, host: host({}, { drain: { agentDrained: true } }) },
      undefined,
    ],
  ])('of a host %s', (_name, input, expected) => {
    const drain = hostDrain({ ...none, ...input });
    if (expected === undefined) expect(drain).toBeUndefined();
    else expect(drain).toMatchObject(expected);
  });
});

describe('evictionOf()', () => {
  const vm = (notes: Record<string, string> = {}, pool = false) =>
    ({
      metadata: {
        annotations: notes,
        ...(pool ? { ownerReferences: [{ kind: 'VMPool', name: 'web', controller: true }] } : {}),
      },
      spec: { terminationGracePeriod: '60s' },
    }) as unknown as VirtualMachine;
  const attempt = { number: 3, host: 'h1' };
  const drain = (more: Partial<HostDrain> = {}): HostDrain => ({
    ...{ cause: 'Spec', reason: 'HostDrain', deadlineMs: undefined, isForced: false, why: 'The host is drained' },
    ...more,
  });
  const inMs = (ms: number) => ({ deadlineMs: nowMs + ms });
  const protection = { [annotations.scaleInProtection]: 'true' };

  test('a machine that nothing holds goes at once, with its own grace', () => {
    expect(evictionOf(vm(), attempt, drain(inMs(5 * minuteMs)), nowMs)).toMatchObject({
      ...{ state: 'Evicting', reason: 'HostDrain', graceMs: undefined, message: 'The host is drained' },
    });
  });

  test('the deadline cuts the grace', () => {
    expect(evictionOf(vm(), attempt, drain(inMs(20_000)), nowMs).graceMs).toBe(20_000);
    expect(evictionOf(vm(), attempt, drain(inMs(-minuteMs)), nowMs).graceMs).toBe(0);
  });

  test('one of a pool waits for its leave, for this very attempt, and until its grace just fits', () => {
    const asked = drain(inMs(5 * minuteMs));
    expect(evictionOf(vm({}, true), attempt, asked, nowMs)).toMatchObject({
      state: 'Waiting',
      againMs: 4 * minuteMs,
      message:
        'The host is drained; it waits for pool web to let it go (spec.minAvailable), until 2026-01-01T12:04:00Z at most',
    });
    const granted = (number: string) => vm({ [annotations.drainGranted]: number }, true);
    expect(evictionOf(granted('2'), attempt, asked, nowMs).state).toBe('Waiting');
    expect(evictionOf(granted('3'), attempt, asked, nowMs).state).toBe('Evicting');
    expect(evictionOf(vm({}, true), attempt, asked, nowMs + 4 * minuteMs).state).toBe('Evicting');
  });

  test('protection holds it without a deadline, unless the host is taken away in Mesos', () => {
    expect(evictionOf(vm(protection), attempt, drain(), nowMs)).toMatchObject({ state: 'Waiting', againMs: undefined });
    expect(evictionOf(vm(protection), attempt, drain({ isForced: true }), nowMs).state).toBe('Evicting');
  });

  test('what was begun is not taken back', () => {
    const begun = { ...attempt, drain: { reason: 'HostDrain', state: 'Evicting' } as const };
    expect(evictionOf(vm(protection), begun, drain(), nowMs).state).toBe('Evicting');
  });
});

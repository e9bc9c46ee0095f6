import { expect, test } from 'vitest';
import type { FenceReport, Heartbeat, MachineReport } from '#lib/api/messages.ts';
import { nextExecutor } from './executor-book.ts';
import { fencedFromMs, fenceOf } from './fence.ts';

const uid = 'm';
const attempt = { number: 2, fence: { after: '120s', armed: true } };

function report(fence: FenceReport | undefined, number = 2): MachineReport {
  const machine = { uid, attempt: number, taskId: 't', phase: 'Running', power: 'On', restarts: 0 } as const;
  return { ...machine, ...(fence && { fence }) };
}

function heardAt(heardMs: number, machines: readonly MachineReport[]) {
  const heartbeat: Heartbeat = {
    ...{ type: 'heartbeat', version: 1, hostname: 'h1', bootId: 'b', sequence: 1, workerId: 'w', executorVersion: '1' },
    ...{ since: '', facts: { hypervisor: 'sim', kvm: false, cpuModel: '' }, machines, operations: [] },
  };
  return nextExecutor(undefined, { hostname: 'h1', agentId: 'S1', executorId: 'ex' }, heartbeat, heardMs);
}

const armed = report({ afterMs: 120_000, armed: true });
const margin = 20_120;

test('its time is counted from when its host was heard last', () => {
  expect(fencedFromMs(uid, attempt, heardAt(500_000, [armed]), 1000)).toBe(500_000 + 120_000 + margin);
});

test('by who has not heard it, from when that could first have heard it', () => {
  expect(fencedFromMs(uid, attempt, undefined, 700_000)).toBe(700_000 + 120_000 + margin);
  expect(fencedFromMs(uid, attempt, heardAt(500_000, [armed]), 700_000)).toBe(700_000 + 120_000 + margin);
});

test('an executor that was lost is counted as one that is silent: the guardian goes on without it', () => {
  const lost = { ...heardAt(500_000, [armed]), lostMs: 510_000 };
  expect(fencedFromMs(uid, attempt, lost, 0)).toBe(500_000 + 120_000 + margin);
});

test.each([
  ['nothing is stored', { number: 2 }, armed],
  ['it was stored as not armed', { number: 2, fence: { after: '120s', armed: false } }, armed],
  ['its host has taken it back since', attempt, report({ afterMs: 120_000, armed: false })],
  ['its host tells nothing of it', attempt, report(undefined)],
  ['its host tells of another attempt', attempt, report({ afterMs: 120_000, armed: true }, 1)],
])('proves nothing: %s', (_, stored, said) => {
  expect(fencedFromMs(uid, stored, heardAt(500_000, [said]), 0)).toBeUndefined();
});

test('proves nothing: its host is heard without it', () => {
  expect(fencedFromMs(uid, attempt, heardAt(500_000, []), 0)).toBeUndefined();
});

test('what the host was launched with counts, if that is longer', () => {
  const longer = report({ afterMs: 240_000, armed: true });
  expect(fencedFromMs(uid, attempt, heardAt(0, [longer]), 0)).toBe(240_000 * 1.001 + 20_000);
});

test('what is stored of it', () => {
  expect(fenceOf(report(undefined))).toEqual({});
  expect(fenceOf(report({ afterMs: 90_000, armed: false }))).toEqual({ fence: { after: '90s', armed: false } });
});

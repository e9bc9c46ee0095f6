import { expect, test } from 'vitest';
import type { Heartbeat, MachineReport } from '#lib/api/messages.ts';
import { differs, isToBeAcknowledged } from './heartbeats.ts';

const report: MachineReport = {
  ...{ uid: 'u', attempt: 1, taskId: 't', phase: 'Running', power: 'On', restarts: 0 },
  agent: { connected: true, version: '7.2', addresses: [{ mac: 'm', ips: ['10.0.0.5'] }] },
  readiness: { ready: true, message: '' },
};

test('the same again has nobody look, however it is written', () => {
  expect(differs(report, structuredClone(report))).toBe(false);
  expect(differs(undefined, undefined)).toBe(false);
});

test.each([
  [undefined],
  [{ ...report, phase: 'Paused' }],
  [{ ...report, agent: { connected: false } }],
  [{ ...report, agent: { ...report.agent!, addresses: [{ mac: 'm', ips: ['10.0.0.6'] }] } }],
  [{ ...report, fence: { afterMs: 120_000, armed: true } }],
  [{ ...report, readiness: { ready: false, message: '' } }],
] as const)('%j has', (now) => {
  expect(differs(report, now as MachineReport | undefined)).toBe(true);
});

test('a heartbeat with a fenced machine is acknowledged, but by nobody who may not lead any more', () => {
  const heartbeat = (machine: MachineReport) => ({ operations: [], machines: [machine] }) as unknown as Heartbeat;
  const fenced = heartbeat({ ...report, fence: { afterMs: 120_000, armed: false } });
  expect(isToBeAcknowledged({ isLeading: () => true }, fenced)).toBe(true);
  expect(isToBeAcknowledged({ isLeading: () => false }, fenced)).toBe(false);
  expect(isToBeAcknowledged({ isLeading: () => true }, heartbeat(report))).toBe(false);
});

import { expect, test } from 'vitest';
import { forgetFrom } from './forgotten.ts';
import type { VirtualMachine } from './generated/index.ts';

const awaySince = '2026-01-01T00:00:00Z';
const hour = 3_600_000;

function machine(changes: { deleted?: boolean; away?: boolean; disk?: object; forgetAfter?: string } = {}) {
  const { deleted = true, away = true, disk, forgetAfter } = changes;
  const reachable = {
    type: 'Reachable',
    status: away ? 'False' : 'True',
    lastTransitionTime: awaySince,
    reason: 'x',
    message: '',
  };
  return {
    metadata: { name: 'm', uid: 'u', creationTimestamp: awaySince, ...(deleted && { deletionTimestamp: awaySince }) },
    spec: { ...(forgetAfter && { disconnect: { forgetAfter } }) },
    status: { phase: 'Terminating', conditions: [reachable], ...(disk && { volumes: [{ type: 'Disk', ...disk }] }) },
  } as unknown as VirtualMachine;
}

test('a day after its host was last heard, or as told', () => {
  expect(forgetFrom(machine())).toBe(Date.parse(awaySince) + 24 * hour);
  // It only reads one that many have.
  expect(forgetFrom(machine({ disk: { readOnly: true } }))).toBe(Date.parse(awaySince) + 24 * hour);
  expect(forgetFrom(machine({ forgetAfter: '2h' }))).toBe(Date.parse(awaySince) + 2 * hour);
});

test.each([
  ['is wanted', { deleted: false }],
  ['answers', { away: false }],
  ['has a disk that nobody else may write to', { disk: { grant: 1 } }],
])('never one that %s', (_, changes) => {
  expect(forgetFrom(machine(changes))).toBeUndefined();
});

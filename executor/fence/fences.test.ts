import { expect, test } from 'vitest';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { Fences } from './fences.ts';
import type { Guard, Table } from './guard.ts';

/** A host whose guardian can be taken away. What is written outlives each Fences. */
function openHost() {
  const clock = new VirtualClock();
  const host = { table: undefined as Table | undefined, guardian: true, cut: [] as string[] };
  const guard: Guard = {
    now: () => clock.monotonic(),
    read: () => host.table,
    write: (table) => {
      host.table = table;
    },
    look: async () => (host.guardian ? host.table?.number : undefined),
    cut: async (uid) => void host.cut.push(uid),
  };
  const over: string[] = [];
  let changes = 0;
  const open = () =>
    new Fences({ guard, clock, log: silentLog, changed: () => changes++, over: (uid) => void over.push(uid) });
  return { clock, host, open, over, changes: () => changes };
}

const minute = 60_000;

test('a machine runs on for as long as heartbeats are acknowledged, counted from when they were sent', async () => {
  const { clock, open, host, over } = openHost();
  await using fences = open();
  fences.begin('m', 1, 3 * minute);
  fences.sending(1, fences.now());
  await clock.advance(2 * minute);
  fences.acknowledged(1);
  await clock.advance(minute - 1);
  expect(fences.isOver('m', 1)).toBe(false);
  await clock.advance(1);
  expect(fences.isOver('m', 1)).toBe(true);
  await clock.advance(1000);
  expect(host.cut).toContain('m');
  expect(over).toContain('m');
});

test('an acknowledgement moves the time on, also for a guardian without an executor', async () => {
  const { clock, open, host } = openHost();
  await using fences = open();
  fences.begin('m', 1, 3 * minute);
  await clock.advance(2 * minute);
  fences.sending(1, fences.now());
  fences.acknowledged(1);
  expect(host.table!.watches).toMatchObject([{ uid: 'm', attempt: 1, deadlineMs: clock.monotonic() + 3 * minute }]);
});

test('what has passed has passed, whatever is acknowledged then', async () => {
  const { clock, open } = openHost();
  await using fences = open();
  fences.begin('m', 1, 3 * minute);
  await clock.advance(3 * minute - 1);
  fences.sending(1, fences.now());
  await clock.advance(1);
  fences.acknowledged(1);
  expect(fences.isOver('m', 1)).toBe(true);
});

test('armed only while somebody watches who knows of the machine', async () => {
  const { clock, open, host, changes } = openHost();
  await using fences = open();
  host.guardian = false;
  fences.begin('m', 1, 3 * minute);
  await clock.advance(1000);
  expect(fences.reportOf('m', 1)).toEqual({ afterMs: 3 * minute, armed: false });
  host.guardian = true;
  await clock.advance(1000);
  expect(fences.reportOf('m', 1)).toEqual({ afterMs: 3 * minute, armed: true });
  expect(changes()).toBe(1);
  host.guardian = false;
  await clock.advance(1000);
  expect(fences.reportOf('m', 1)?.armed).toBe(false);
});

test('the next worker of the same life keeps the time; one of another life has it run out', async () => {
  const { clock, open } = openHost();
  {
    await using first = open();
    first.begin('m', 1, 3 * minute);
    first.begin('other', 1, 3 * minute);
  }
  await clock.advance(minute);
  await using second = open();
  second.resume('m', 1, 3 * minute);
  second.sending(1, second.now());
  second.acknowledged(1);
  await clock.advance(2 * minute);
  expect(second.isOver('m', 1)).toBe(false);
  expect(second.isOver('other', 1)).toBe(true);
});

test('a machine of the journal whose time is not known any more is over', async () => {
  const { open, host } = openHost();
  {
    await using first = open();
    first.begin('m', 1, 3 * minute);
  }
  host.table = undefined;
  await using second = open();
  second.resume('m', 1, 3 * minute);
  expect(second.isOver('m', 1)).toBe(true);
});

test('who takes it over has a time of its own, and the attempt before ends nothing', async () => {
  const { clock, open, host } = openHost();
  await using fences = open();
  fences.begin('m', 1, 3 * minute);
  await clock.advance(3 * minute);
  fences.begin('m', 2, 3 * minute);
  fences.end('m', 1);
  expect(fences.isOver('m', 2)).toBe(false);
  expect(host.table!.watches).toMatchObject([{ uid: 'm', attempt: 2 }]);
  fences.end('m', 2);
  expect(host.table!.watches).toEqual([]);
});

test('nothing is started with so little time left that it could still be starting when that has passed', async () => {
  const { clock, open } = openHost();
  await using fences = open();
  fences.begin('m', 1, 3 * minute);
  expect(() => fences.requireTime('m')).not.toThrow();
  await clock.advance(3 * minute - 29_999);
  expect(() => fences.requireTime('m')).toThrow(/selfFenceAfter/);
  expect(() => fences.requireTime('another')).not.toThrow();
});

test('a worker may end when somebody else watches, or all that had a time was cut off', async () => {
  const { clock, open, host } = openHost();
  await using fences = open();
  const may = { end: false };
  const asked = () => void fences.relieved(new AbortController().signal).then(() => Object.assign(may, { end: true }));
  fences.begin('m', 1, 3 * minute);
  await clock.advance(1000);
  asked();
  await clock.advance(0);
  expect(may).toEqual({ end: true });
  host.guardian = false;
  await clock.advance(1000);
  may.end = false;
  asked();
  await clock.advance(3 * minute);
  expect([may.end, host.cut.includes('m')]).toEqual([false, true]);
  await clock.advance(minute);
  expect(may).toEqual({ end: true });
});

import { expect, test } from 'vitest';
import { fc } from '#test/properties.ts';
import { needBetween } from './host.ts';
import { levelsAfter } from './levels.ts';

const smoothing = { forgetMs: 600_000, nowMs: 30_000 };
const at = (cpus: number) => ({ cpus, mem: 1000, disk: 10 });

test('levelsAfter believes a rise at once and forgets a fall by half in its time', () => {
  const first = levelsAfter(undefined, at(1000), 0, smoothing);
  const risen = levelsAfter(first, at(5000), 10_000, smoothing)!;
  expect(risen.need.cpus).toBe(5000);
  expect(risen.now.cpus).toBeLessThan(2000);
  const fallen = levelsAfter(risen, at(1000), 610_000, smoothing)!;
  expect(fallen.need.cpus).toBe(3000);
  expect(fallen).toMatchObject({ sinceMs: 0, atMs: 610_000 });
});

test('levelsAfter waits until everything was measured once, and keeps what is missing later', () => {
  expect(levelsAfter(undefined, { mem: 1, disk: 1 }, 0, smoothing)).toBeUndefined();
  const first = levelsAfter(undefined, at(1000), 0, smoothing);
  expect(levelsAfter(first, { mem: 2000, disk: 10 }, 10_000, smoothing)!.need).toEqual({
    cpus: 1000,
    mem: 2000,
    disk: 10,
  });
});

test('levelsAfter is never below what is needed now, whatever came before', () => {
  const samples = fc.array(fc.tuple(fc.integer({ min: 0, max: 1e5 }), fc.integer({ min: 0, max: 1e6 })), {
    minLength: 1,
  });
  fc.assert(
    fc.property(samples, (each) => {
      let levels = levelsAfter(undefined, at(0), 0, smoothing);
      for (const [cpus, afterMs] of each) {
        levels = levelsAfter(levels, at(cpus), levels!.atMs + afterMs, smoothing);
        expect(levels!.need.cpus).toBeGreaterThanOrEqual(cpus);
      }
    }),
  );
});

test('needBetween takes off what machines used, and says nothing of processors where one has ended', () => {
  const host = {
    capacity: { cpus: 8000, mem: 8192, disk: 1000 },
    used: { mem: 5000, disk: 600 },
    own: { mem: 3000, disk: 500 },
  };
  const before = { ...host, atMs: 0, busyMs: 1000, ownBusyMs: new Map([['a', 500]]) };
  const now = {
    ...host,
    atMs: 10_000,
    busyMs: 61_000,
    ownBusyMs: new Map([
      ['a', 30_500],
      ['b', 10_000],
    ]),
  };
  expect(needBetween(before, now)).toEqual({ cpus: 2000, mem: 2000, disk: 100 });
  expect(needBetween(undefined, now)).toEqual({ mem: 2000, disk: 100 });
  expect(needBetween(now, { ...now, atMs: 20_000, ownBusyMs: new Map([['b', 10_000]]) })).toEqual({
    mem: 2000,
    disk: 100,
  });
});

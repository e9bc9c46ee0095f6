import { expect, test } from 'vitest';
import { fc } from '#test/properties.ts';
import { askFor, executorShare, guestSizeOf } from './overhead.ts';

test.each([
  [1, 64, 1000, 130],
  [4, 1024, 4000, 1109],
  [48, 98_304, 48_000, 100_335],
])('%i cores and %i MiB are asked of Mesos as %i thousandths and %i MiB', (cores, memoryMiB, cpu, mib) => {
  expect(askFor({ cores, memoryMiB })).toEqual({ cpu, mem: mib * 1000 });
});

test('guestSizeOf gives the largest guest that fits', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 22 }), (mib) => {
      const { memoryMiB } = guestSizeOf({ cpu: 0, mem: mib * 1000 });
      if (memoryMiB > 0) expect(askFor({ cores: 0, memoryMiB }).mem).toBeLessThanOrEqual(mib * 1000);
      expect(askFor({ cores: 0, memoryMiB: memoryMiB + 1 }).mem).toBeGreaterThan(mib * 1000);
    }),
  );
});

test('the executor takes what the Cluster says', () => {
  expect(executorShare({ cores: '0.5', memory: '512Mi' })).toEqual({ cpu: 500, mem: 512_000 });
});

import { expect, test } from 'vitest';
import { runSeed } from './run.ts';

/** The long run is hack/chaos.ts (docs/decisions.md); these are a part of every test run. */
const seeds = [1, 2, 3];

test.each(seeds)(
  'seed %i: two hours of faults break no promise, and all is well afterwards',
  async (seed) => {
    const { failures } = await runSeed(seed, 2);
    expect(failures).toEqual([]);
  },
  120_000,
);

test('the same seed gives the same trace', async () => {
  const [first, second] = [await runSeed(7, 1), await runSeed(7, 1)];
  expect(first.traceHash).toBe(second.traceHash);
  expect((await runSeed(8, 1)).traceHash).not.toBe(first.traceHash);
}, 120_000);

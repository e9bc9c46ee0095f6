import { describe, expect, test } from 'vitest';
import type { VMPool } from '#lib/api/generated/index.ts';
import { fc } from '#test/properties.ts';
import type { Facts } from './facts.ts';
import { drainGrants, leastAvailable } from './grant-drains.ts';

const spec = (replicas: number, minAvailable?: number | string) =>
  ({ replicas, template: { spec: {} }, ...(minAvailable === undefined ? {} : { minAvailable }) }) as VMPool['spec'];

const machine = (ordinal: number, more: Partial<Facts> = {}) =>
  ({
    ...{ name: `p-${ordinal}`, ordinal, ready: true, going: false, ended: undefined, drain: 'Waiting', granted: false },
    ...more,
  }) as Facts;

const names = (facts: readonly Facts[]) => facts.map(({ name }) => name);

describe('leastAvailable()', () => {
  test.each([
    [undefined, 10, 0],
    [3, 10, 3],
    ['50%', 5, 3],
    ['0%', 5, 0],
    ['100%', 7, 7],
  ])('%s of %i is %i', (minAvailable, replicas, least) => {
    expect(leastAvailable(spec(replicas, minAvailable))).toBe(least);
  });
});

describe('drainGrants()', () => {
  test('without minAvailable all go at once', () => {
    expect(names(drainGrants(spec(2), [machine(1), machine(0)]))).toEqual(['p-0', 'p-1']);
  });

  test('as many as are to spare go, those that nobody would miss besides', () => {
    const machines = [machine(0), machine(1), machine(2, { drain: undefined }), machine(3, { ready: false })];
    expect(names(drainGrants(spec(4, 2), machines))).toEqual(['p-3', 'p-0']);
  });

  test('what was let go and is not back counts as missing', () => {
    const gone = [machine(0, { granted: true }), machine(1, { drain: 'Evicting' })];
    expect(drainGrants(spec(4, 2), [...gone, machine(2), machine(3)])).toEqual([]);
  });

  test('never leaves fewer ready than are to stay, however often it is asked', () => {
    const facts = fc.record({
      ready: fc.boolean(),
      going: fc.boolean(),
      granted: fc.boolean(),
      drain: fc.constantFrom(undefined, 'Waiting' as const, 'Evicting' as const),
    });
    fc.assert(
      fc.property(fc.array(facts, { maxLength: 12 }), fc.nat(12), (list, least) => {
        let machines = list.map((more, ordinal) => machine(ordinal, more));
        const staying = () =>
          machines.filter(({ ready, going, granted, drain }) => ready && !going && !granted && drain !== 'Evicting');
        const before = staying().length;
        for (let round = 0; round < 3; round++) {
          const go = new Set(names(drainGrants(spec(12, least), machines)));
          machines = machines.map((one) => (go.has(one.name) ? { ...one, granted: true } : one));
        }
        expect(staying().length).toBeGreaterThanOrEqual(Math.min(before, least));
      }),
    );
  });
});

import { describe, expect, test } from 'vitest';
import { fc } from '#test/properties.ts';
import { plan } from './plan.ts';
import type { PlanInput, PoolState } from './plan-state.ts';
import { type Shape, sameSize, type Unit, weightOf } from './sizes.ts';
import { cluster, fixed, flexible, input, pool, text } from './testing/plan-inputs.ts';

describe('plan() rounds as published', () => {
  const s16 = fixed(16, { priority: 10 });
  const s4 = fixed(4, { priority: 5 });
  test.each<[string, Partial<PlanInput>, string]>([
    ['200 of 16 and 4', { shapes: [s16, s4] }, 'a:12x16 a:2x4'],
    ['200 of 16 and 4, Never', { shapes: [s16, s4], overshoot: 'Never' }, 'a:12x16 a:2x4'],
    ['200 of 16 only', { shapes: [s16] }, 'a:13x16'],
    ['200 of 16 only, Never', { shapes: [s16], overshoot: 'Never' }, 'a:12x16'],
    ['7 of 16 only', { shapes: [s16], target: 7 }, 'a:1x16'],
    ['7 of 16 only, Never', { shapes: [s16], target: 7, overshoot: 'Never' }, ''],
    [
      '10 of 7 and 5: priority comes first',
      { shapes: [fixed(7, { priority: 1 }), fixed(5)], target: 10 },
      'a:1x7 a:1x5',
    ],
    ['nothing', { target: 0 }, ''],
    ['instances', { unit: 'Instances', target: 3, shapes: [s16] }, 'a:3x16'],
    ['memory', { unit: 'MemoryGiB', target: 64, shapes: [s16] }, 'a:2x16'],
    ['a shape with a maximum', { shapes: [{ ...s16, max: 64 }, s4], target: 80 }, 'a:4x16 a:4x4'],
    ['a shape with a minimum', { shapes: [s16, fixed(4, { min: 8 })], target: 200 }, 'a:2x4 a:12x16'],
  ])('%s', (_name, given, expected) =>
    expect(text(input(given)).split(' ').toSorted()).toEqual(expected.split(' ').toSorted()),
  );

  test('a target below every shape is told under Never', () => {
    expect(plan(input({ shapes: [s16], target: 7, overshoot: 'Never' })).shortOf).toBe('TargetSmallerThanAnyShape');
  });
});

describe('plan() chooses flexible sizes from what hosts have free', () => {
  test.each<[string, Partial<PlanInput>, string]>([
    ['hosts with 48 free', {}, 'a:4x48 a:1x8'],
    ['hosts with 20 free', { clusters: [cluster('a', [10, 20])] }, 'a:10x20'],
    ['larger hosts first', { clusters: [cluster('a', [1, 48], [3, 20], [9, 8])], target: 110 }, 'a:1x48 a:3x20 a:1x4'],
    [
      'the last but one leaves enough for the last',
      { shapes: [flexible({ minCores: 8 })], target: 52 },
      'a:1x44 a:1x8',
    ],
    [
      'memory is what is short',
      { clusters: [{ name: 'a', usable: true, room: [{ hosts: 9, cores: 48, memoryMiB: 32768 }] }], target: 32 },
      'a:2x16',
    ],
    ['no room at all', { clusters: [cluster('a')] }, 'a:4x48 a:1x8'],
    ['room for a part: the rest waits', { clusters: [cluster('a', [1, 20])], target: 100 }, 'a:1x20 a:1x48 a:1x32'],
    ['one cluster with room for all', { clusters: [cluster('a', [2, 48]), cluster('b', [9, 48])] }, 'b:4x48 b:1x8'],
    ['split if none has', { clusters: [cluster('a', [2, 48]), cluster('b', [3, 48])], target: 240 }, 'b:3x48 a:2x48'],
    [
      'a cluster that takes none',
      { clusters: [{ ...cluster('a', [9, 48]), usable: false }, cluster('b', [9, 48])] },
      'b:4x48 b:1x8',
    ],
  ])('%s', (_name, given, expected) =>
    expect(text(input(given)).split(' ').toSorted()).toEqual(expected.split(' ').toSorted()),
  );

  test('without a cluster nothing is planned, and that is the reason', () => {
    expect(plan(input({ clusters: [] }))).toEqual({ pools: [], units: 0, withoutRoom: 0, shortOf: 'NoCluster' });
  });
});

test('plan() keeps to the machines that one host may take', () => {
  const room = [{ hosts: 10, cores: 20, memoryMiB: 200_000, takes: 1 }];
  const given = input({ target: 60, shapes: [fixed(8)], clusters: [{ name: 'a', usable: true, room }] });
  expect(plan(given).withoutRoom).toBe(0);
  expect(plan({ ...given, target: 120 }).withoutRoom).toBe(40);
});

describe('plan() does not split what is to start together', () => {
  const given = (more: Partial<PlanInput> = {}) =>
    input({ isAtomic: true, target: 96, clusters: [cluster('a', [1, 48]), cluster('b', [1, 48])], ...more });

  test('over clusters: it waits as a whole', () => {
    expect(text(given())).toBe('a:2x48');
    expect(plan(given()).withoutRoom).toBe(96);
    expect(text(given({ isAtomic: false }))).toBe('a:1x48 b:1x48');
  });

  test('and goes as a whole to a cluster that has room for all of it', () => {
    const refused = [pool(48, 2, { placed: 0, ready: 0, refused: 2 })];
    expect(text(given({ pools: refused }))).toBe('a:2x48');
    expect(text(given({ pools: refused, clusters: [cluster('a', [1, 48]), cluster('b', [2, 48])] }))).toBe('b:2x48');
  });
});

describe('plan() leaves machines where they are', () => {
  test('reports of room that are behind change nothing', () => {
    const planned = [pool(48, 4, { placed: 2 }), pool(8, 1, { placed: 0 })];
    for (const room of [cluster('a'), cluster('a', [5, 48]), cluster('a', [20, 20])])
      expect(text(input({ pools: planned, clusters: [room] }))).toBe('a:4x48 a:1x8');
  });

  test('refused machines are replaced by ones that fit, and by nothing if none would fit', () => {
    const refused = [pool(48, 2, { placed: 1, refused: 1 })];
    expect(text(input({ target: 96, pools: refused, clusters: [cluster('a', [2, 20])] }))).toBe('a:1x48 a:2x20 a:1x8');
    expect(text(input({ target: 96, pools: refused, clusters: [cluster('a')] }))).toBe('a:2x48');
  });

  test('refused machines move to a cluster with room', () => {
    const refused = [pool(48, 2, { placed: 0, refused: 2 })];
    expect(text(input({ target: 96, pools: refused, clusters: [cluster('a'), cluster('b', [2, 48])] }))).toBe('b:2x48');
  });

  test('lowering the target takes machines without a place first', () => {
    const pools = [pool(48, 3, { placed: 3 }), pool(20, 2, { placed: 0 })];
    expect(text(input({ target: 150, pools, clusters: [cluster('a')] }))).toBe('a:3x48 a:1x20');
  });

  test('a size that the spec has no more goes a tenth at a time, when the rest is ready', () => {
    const old = pool(16, 10);
    const shapes = [fixed(8)];
    expect(text(input({ target: 160, shapes, pools: [old] }))).toBe('a:9x16 a:2x8');
    expect(text(input({ target: 160, shapes, pools: [pool(16, 9), pool(8, 2, { ready: 1 })] }))).toBe('a:9x16 a:2x8');
  });

  test('growth waits while as much is still leaving', () => {
    const given = input({ pools: [pool(48, 2)], leaving: 104 });
    expect(plan(given)).toMatchObject({ units: 152 - 8, shortOf: 'MachinesLeaving' });
    expect(text({ ...given, leaving: 0 })).toBe('a:4x48 a:1x8');
  });

  test('capacity.max stops the machine that would close', () => {
    const given = input({ shapes: [fixed(16)], max: 200 });
    expect(plan(given)).toMatchObject({ units: 192, shortOf: 'MaxReached' });
  });
});

const size = fc.integer({ min: 1, max: 48 });
const shapeOf: fc.Arbitrary<Shape> = fc.oneof(
  fc.record({ cores: size, priority: fc.nat(3) }).map(({ cores, priority }) => fixed(cores, { priority })),
  fc
    .record({
      minCores: fc.integer({ min: 1, max: 8 }),
      stepCores: fc.integer({ min: 1, max: 8 }),
      priority: fc.nat(3),
    })
    .map((limits) => flexible({ ...limits, maxCores: 48 })),
);
const shapes = fc.uniqueArray(shapeOf, { minLength: 1, maxLength: 3, selector: (shape) => JSON.stringify(shape) });
const clusters = fc
  .array(fc.array(fc.tuple(fc.nat(6), size), { maxLength: 3 }), { minLength: 1, maxLength: 3 })
  .map((rooms) => rooms.map((rows, index) => cluster('abc'[index]!, ...rows)));
const unit = fc.constantFrom<Unit>('Cores', 'MemoryGiB', 'Instances');
const world = fc.record({
  shapes,
  clusters,
  unit,
  target: fc.nat(400),
  overshoot: fc.constantFrom<PlanInput['overshoot']>('AllowLast', 'Never'),
});

/** The pools as they read once the plan is written, with the first `share` of each placed. */
function written(given: PlanInput, share: number): PoolState[] {
  return plan(given).pools.map(({ cluster, size, replicas }) => {
    const placed = Math.floor(replicas * share);
    return { cluster, size, replicas, placed, ready: placed, refused: replicas - placed, away: 0 };
  });
}
const share = fc.constantFrom(0, 0.5, 1);

/** The plan written, what has a place kept, everything else refused, and what is not wanted gone. */
function next(given: PlanInput): PlanInput {
  const placedOf = (cluster: string, size: PoolState['size']) =>
    given.pools.find((one) => one.cluster === cluster && sameSize(one.size, size))?.placed ?? 0;
  const pools = plan(given).pools.map(({ cluster, size, replicas }) => {
    const placed = Math.min(placedOf(cluster, size), replicas);
    return { cluster, size, replicas, placed, ready: placed, refused: replicas - placed, away: 0 };
  });
  return { ...given, pools };
}
const units = (given: PlanInput, pools: readonly { size: PoolState['size']; replicas: number }[]) =>
  pools.reduce((sum, { size, replicas }) => sum + weightOf(given.unit, size) * replicas, 0);

describe('plan() keeps its promises', () => {
  test('D ≤ P < D + w(closing) for AllowLast, P ≤ D for Never', () => {
    fc.assert(
      fc.property(world, (some) => {
        const given = input(some);
        const { pools, units: planned } = plan(given);
        expect(planned).toBe(units(given, pools));
        expect(pools.every(({ replicas }) => replicas >= 0)).toBe(true);
        if (given.overshoot === 'Never') expect(planned).toBeLessThanOrEqual(given.target);
        else {
          expect(planned).toBeGreaterThanOrEqual(given.target);
          const largest = Math.max(0, ...pools.map(({ size }) => weightOf(given.unit, size)));
          if (given.target > 0) expect(planned).toBeLessThan(given.target + largest);
        }
      }),
    );
  });

  test('planning again changes nothing, even when all that was planned is refused', () => {
    fc.assert(
      fc.property(world, (some) => {
        const given = input(some);
        expect(text({ ...given, pools: written(given, 0) })).toBe(text(given));
      }),
    );
  });

  test('it comes to rest within three looks when rooms are reported that are long taken', () => {
    fc.assert(
      fc.property(world, share, fc.nat(400), (some, placed, target) => {
        let given: PlanInput = { ...input(some), pools: written(input(some), placed), target };
        for (let look = 0; look < 3; look++) given = next(given);
        expect(text(next(given))).toBe(text(given));
        expect(text(given)).toBe(text({ ...given, pools: next(given).pools }));
      }),
    );
  });

  test('lowering the target never raises a pool under AllowLast', () => {
    fc.assert(
      fc.property(world, share, fc.nat(400), (some, placed, lower) => {
        const given = input({ ...some, overshoot: 'AllowLast' });
        // Placed or on their way; none refused, since refused ones are planned anew whatever the target.
        const before = written(given, placed).map((one) => ({ ...one, refused: 0 }));
        const target = Math.min(lower, given.target);
        const after = plan({ ...given, target, pools: before }).pools;
        for (const { cluster, size, replicas } of after) {
          const was = before.find((one) => one.cluster === cluster && one.size.cores === size.cores);
          expect(replicas).toBeLessThanOrEqual(was?.replicas ?? 0);
        }
      }),
    );
  });

  test('committed never exceeds max, nor D and a quarter by what is made while machines leave', () => {
    fc.assert(
      fc.property(world, fc.nat(200), fc.nat(100), (some, leaving, above) => {
        const given = input({ ...some, leaving, max: some.target + above });
        const added = plan(given).units;
        if (added > 0) expect(added + leaving).toBeLessThanOrEqual(given.max);
        if (added > 0 && leaving > 0) expect(added + leaving).toBeLessThanOrEqual(given.target * 1.25);
      }),
    );
  });

  test('a million cores are planned in no time', () => {
    const given = input({ target: 1_000_000, clusters: [cluster('a', [20_000, 48])] });
    expect(plan(given).units).toBe(1_000_000);
  });
});

describe('plan() when a cluster is away', () => {
  const lost = { ...cluster('a', [9, 48]), usable: false };
  const pools = [pool(48, 2, { away: 2 }), { ...pool(48, 2), cluster: 'b' }];

  test('counts what is there no more, leaves it alone, and makes it elsewhere', () => {
    const given = input({ pools, clusters: [lost, cluster('b', [9, 48])] });
    expect(text(given)).toBe('a:2x48 b:4x48 b:1x8');
    expect(plan(given).units).toBe(200);
  });

  test('stays within max, since it may run on', () => {
    const given = input({ pools, max: 250, clusters: [lost, cluster('b', [9, 48])] });
    expect(plan(given)).toMatchObject({ units: 96 + 48 + 8, shortOf: 'MaxReached' });
    expect(text({ ...given, max: 200 })).toBe('a:2x48 b:2x48 b:1x8');
  });

  test('lowering the target leaves it alone, too', () => {
    expect(text(input({ target: 48, pools, clusters: [lost, cluster('b')] }))).toBe('a:2x48 b:1x48');
    expect(text(input({ target: 0, pools, clusters: [lost, cluster('b')] }))).toBe('a:2x48');
  });

  test('is back: what is too many goes, those first that are not ready', () => {
    const both = [cluster('a', [9, 48]), cluster('b', [9, 48])];
    const back = [pool(48, 2, { ready: 0 }), { ...pool(48, 4), cluster: 'b' }, { ...pool(8, 1), cluster: 'b' }];
    expect(text(input({ pools: back, clusters: both }))).toBe('b:4x48 b:1x8');
    const ready = text(input({ pools: [pool(48, 2), ...back.slice(1)], clusters: both }));
    expect(ready.split(' ').reduce((sum, part) => sum + Number(part.split(':')[1]!.split('x')[0]), 0)).toBe(5);
  });

  test('goes and comes without end: the plan settles each time', () => {
    const up = [cluster('a', [4, 48]), cluster('b', [9, 48])];
    let now: readonly PoolState[] = [];
    for (const isAway of [false, true, false, true, false]) {
      for (let round = 0; round < 3; round++) {
        const given = input({ pools: now, clusters: isAway ? [{ ...up[0]!, usable: false }, up[1]!] : up });
        now = plan(given).pools.map(({ cluster: name, size, replicas }) => ({
          ...pool(size.cores, replicas),
          cluster: name,
          away: isAway && name === 'a' ? replicas : 0,
        }));
      }
      const counted = now.reduce((sum, one) => sum + (one.replicas - one.away) * one.size.cores, 0);
      expect(counted).toBe(200);
    }
  });
});

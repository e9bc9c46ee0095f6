/** The planner against what is written here apart from it: the published rounding rule as arithmetic, and the best packing by trying all. */

import { describe, expect, test } from 'vitest';
import { seededRandom } from '#lib/std/random.ts';
import { fc } from '#test/properties.ts';
import { plan } from './plan.ts';
import type { ClusterState, PlanInput, PoolState } from './plan-state.ts';
import { type FixedShape, type Size, type Unit, weightOf } from './sizes.ts';
import { cluster, fixed, flexible, input } from './testing/plan-inputs.ts';

/** Machines of each shape, in the order of the shapes, when room is no question. */
function byTheRule({ unit, target, overshoot, shapes }: PlanInput): readonly number[] {
  const sizes = (shapes as readonly FixedShape[]).map(({ size }) => weightOf(unit, size));
  const counts = sizes.map(() => 0);
  let missing = target;
  const order = sizes.map((_, index) => index).toSorted((a, b) => shapes[b]!.priority - shapes[a]!.priority);
  for (const index of order) {
    counts[index] = Math.floor(missing / sizes[index]!);
    missing -= counts[index]! * sizes[index]!;
  }
  if (missing > 0 && overshoot === 'AllowLast') {
    const closing = order.toSorted((a, b) => sizes[a]! - sizes[b]!)[0]!;
    counts[closing] = counts[closing]! + 1;
  }
  return counts;
}

const unit = fc.constantFrom<Unit>('Cores', 'MemoryGiB', 'Instances');
const overshoot = fc.constantFrom<PlanInput['overshoot']>('AllowLast', 'Never');
const fixedShapes = fc
  .uniqueArray(fc.record({ cores: fc.integer({ min: 1, max: 48 }), priority: fc.nat(3) }), {
    ...{ minLength: 1, maxLength: 4, selector: ({ cores }) => cores },
  })
  .map((list) => list.map(({ cores, priority }) => fixed(cores, { priority })));
const flexibleShape = fc
  .record({ minCores: fc.integer({ min: 1, max: 8 }), stepCores: fc.integer({ min: 1, max: 8 }) })
  .map((limits) => flexible(limits));

describe('plan() follows the published rounding rule', () => {
  test('to the machine, for shapes of fixed size where there is room', () => {
    fc.assert(
      fc.property(fixedShapes, unit, fc.nat(2000), overshoot, (shapes, of, target, rounding) => {
        const given = input({ shapes, unit: of, target, overshoot: rounding, clusters: [cluster('a', [2000, 48])] });
        const { pools } = plan(given);
        const counts = shapes.map(({ size }) => pools.find((one) => one.size.cores === size.cores)?.replicas ?? 0);
        expect(counts).toEqual(byTheRule(given));
      }),
    );
  });

  test('in its bounds for flexible shapes, with room or without: one machine of the smallest size closes', () => {
    fc.assert(
      fc.property(flexibleShape, fc.nat(400), overshoot, fc.nat(9), (shape, target, rounding, hosts) => {
        const given = input({ shapes: [shape], target, overshoot: rounding, clusters: [cluster('a', [hosts, 20])] });
        const smallest = Math.ceil(shape.minCores / shape.stepCores) * shape.stepCores;
        const { units } = plan(given);
        if (rounding === 'Never') expect(units).toBeGreaterThan(target - smallest);
        if (rounding === 'Never') expect(units).toBeLessThanOrEqual(target);
        if (rounding === 'AllowLast') expect(units).toBeGreaterThanOrEqual(target);
        if (rounding === 'AllowLast') expect(units).toBeLessThan(target + smallest);
      }),
    );
  });
});

test('plan() never makes anything that would bring what is committed above max, whatever there is already', () => {
  const size = fc.integer({ min: 1, max: 48 });
  const pools = fc
    .uniqueArray(
      fc.record({ cores: size, replicas: fc.nat(9), placed: fc.nat(9), refused: fc.nat(9), away: fc.nat(9) }),
      {
        ...{ maxLength: 4, selector: ({ cores }) => cores },
      },
    )
    .map((list) =>
      list.map(({ cores, replicas, placed, refused, away }): PoolState => {
        const live = Math.min(placed, replicas);
        const own = { placed: live, ready: live, refused: Math.min(refused, replicas - live) };
        const lost = Math.min(away, live);
        return { cluster: 'a', size: { cores, memoryMiB: cores * 2048 }, replicas, ...own, away: lost };
      }),
    );
  fc.assert(
    fc.property(fixedShapes, pools, fc.nat(400), fc.nat(400), fc.nat(100), (shapes, before, target, above, leaving) => {
      const given = input({ shapes, pools: before, target, max: target + above, leaving });
      const grown = plan(given).pools.map(({ size, replicas }) => {
        const was = before.find((one) => one.size.cores === size.cores)?.replicas ?? 0;
        return { added: Math.max(0, replicas - was) * size.cores, most: Math.max(replicas, was) * size.cores };
      });
      // What is taken out is not gone yet, so that both what was and what is made count.
      const committed = grown.reduce((sum, { most }) => sum + most, leaving);
      if (grown.some(({ added }) => added > 0)) expect(committed).toBeLessThanOrEqual(given.max);
    }),
  );
});

interface Hole {
  readonly cores: number;
  readonly memoryMiB: number;
}

/** Of all ways to put machines of these sizes into the holes, the most cores that do not exceed the target. */
function best(holes: readonly Hole[], sizes: readonly Size[], target: number): number {
  let sums = new Set([0]);
  for (const hole of holes) {
    const fills = waysToFill(hole, sizes);
    sums = new Set([...sums].flatMap((sum) => [...fills].map((fill) => sum + fill)).filter((sum) => sum <= target));
  }
  return Math.max(...sums);
}

function waysToFill({ cores, memoryMiB }: Hole, sizes: readonly Size[]): ReadonlySet<number> {
  const seen = new Set<string>();
  const sums = new Set<number>();
  const visit = (freeCores: number, freeMiB: number) => {
    if (seen.has(`${freeCores}/${freeMiB}`)) return;
    seen.add(`${freeCores}/${freeMiB}`);
    sums.add(cores - freeCores);
    for (const size of sizes)
      if (size.cores <= freeCores && size.memoryMiB <= freeMiB) visit(freeCores - size.cores, freeMiB - size.memoryMiB);
  };
  visit(cores, memoryMiB);
  return sums;
}

const rowsOf = (holes: readonly Hole[]): ClusterState => ({
  ...{ name: 'a', usable: true },
  room: holes.map((hole) => ({ ...hole, hosts: 1 })),
});

/** Cores that find room, planned and at best, over random instances small enough for trying all. */
function packed(seed: number, instances: number, shapesOf: (between: Between) => PlanInput['shapes']) {
  const random = seededRandom(seed);
  const between: Between = (low, high) => low + Math.floor(random.next() * (high - low + 1));
  let planned = 0;
  let optimum = 0;
  for (let instance = 0; instance < instances; instance++) {
    const shapes = shapesOf(between);
    const holes = Array.from({ length: between(1, 6) }, () => ({
      ...{ cores: between(4, 64), memoryMiB: between(8, 128) * 2048 },
    }));
    const target = between(
      1,
      holes.reduce((sum, { cores }) => sum + cores, 0),
    );
    const given = input({ target, overshoot: 'Never', shapes, clusters: [rowsOf(holes)] });
    const { units, withoutRoom } = plan(given);
    const sizes = Array.from({ length: 48 }, (_, index) => sizeOf(shapes, index + 1)).filter(
      (one) => one !== undefined,
    );
    const most = best(holes, sizes, target);
    expect(units - withoutRoom).toBeLessThanOrEqual(most);
    planned += units - withoutRoom;
    optimum += most;
  }
  return planned / optimum;
}
type Between = (low: number, high: number) => number;

function sizeOf([shape]: PlanInput['shapes'], cores: number): Size | undefined {
  const size = { cores, memoryMiB: cores * 2048 };
  if ('size' in shape!) return shape.size.cores === cores ? size : undefined;
  const { minCores, maxCores, stepCores } = shape as ReturnType<typeof flexible>;
  return cores >= minCores && cores <= maxCores && cores % stepCores === 0 ? size : undefined;
}

describe('plan() packs as well as trying all ways would, within 5 %', () => {
  test('machines of one size: not one less', () => {
    expect(packed(1, 300, (between) => [fixed(between(1, 24))])).toBe(1);
  });

  test('flexible machines', () => {
    const shapes = (between: Between) => [
      flexible({ minCores: between(1, 8), stepCores: between(1, 4), maxCores: between(8, 48) }),
    ];
    expect(packed(2, 300, shapes)).toBeGreaterThan(0.95);
  });
});

/** What a ComputeFactory says of itself. Pure. */
import type { Ending, Run } from '#controllers/runtime/controller.ts';
import { isTrue, withConditions } from '#lib/api/conditions.ts';
import type { ComputeFactory } from '#lib/api/generated/index.ts';
import { labels } from '#lib/api/names.ts';
import { formatMiB } from '#lib/api/quantity.ts';
import { timestamp } from '#lib/std/clock.ts';
import { conditionsOf, displayStatus } from './conditions.ts';
import { figuresOf, inUnits } from './figures.ts';
import { isWanted } from './plan-input.ts';
import { labelValue, shapeName } from './pool-name.ts';
import type { Scope } from './scope.ts';
import { shortageOf } from './unfulfilled.ts';

type Status = NonNullable<ComputeFactory['status']>;

export function summarize(scope: Scope, ending: Ending, run: Run): ComputeFactory['status'] {
  if (scope.holdStatus) return undefined;
  const { factory, effectiveTarget } = scope;
  const { unit, target } = factory.spec.capacity;
  const figures = figuresOf(scope);
  const shortage = shortageOf(scope, run.nowMs);
  const conditions = conditionsOf(scope, figures, shortage, ending);
  const since = factory.status?.unfulfilled?.since ?? timestamp(run.nowMs);
  return {
    capacity: { unit, text: inUnits(target, unit), target, effectiveTarget, ...figures },
    fulfilledPercent: effectiveTarget === 0 ? 100 : Math.min(100, Math.floor((100 * figures.ready) / effectiveTarget)),
    ...(shortage && {
      unfulfilled: { units: shortage.units, reason: shortage.reason, message: shortage.message, since },
    }),
    pools: poolRows(scope),
    selector: `${labels.factory}=${labelValue(factory.metadata.name)}`,
    vms: scope.pools.reduce((sum, { machines, lost }) => sum + machines.length + lost.length, 0),
    displayStatus: displayStatus(conditions, shortage),
    conditions: withConditions(
      factory.status?.conditions ?? [],
      conditions,
      factory.metadata.generation ?? 0,
      run.nowMs,
    ),
  };
}

/** At most 64, as the schema says; the rest is found by the label selector. */
function poolRows({ pools }: Scope): NonNullable<Status['pools']> {
  return pools
    .toSorted((a, b) => (a.pool.metadata.name < b.pool.metadata.name ? -1 : 1))
    .slice(0, 64)
    .map(({ pool, cluster, size, machines }) => ({
      name: pool.metadata.name,
      cluster,
      shape: shapeName(size),
      cores: size.cores,
      memory: formatMiB(size.memoryMiB),
      replicas: pool.spec.replicas,
      ready: machines.filter((vm) => isWanted(vm) && isTrue(vm, 'Ready')).length,
    }));
}

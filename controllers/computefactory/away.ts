/** Clusters that take no machines, and those of which nothing is known: since when, and from when on capacity moves. Pure. */
import { conditionOf } from '#lib/api/conditions.ts';
import { parseDuration } from '#lib/api/duration.ts';
import type { Cluster, ComputeFactory } from '#lib/api/generated/index.ts';

const defaultShiftAfter = '120s';

export function shiftAfterMs({ spec }: ComputeFactory): number {
  return parseDuration(spec.shiftAfter ?? defaultShiftAfter);
}

/** Since when a condition of the Cluster has not been True; Infinity while it is, and before anybody has said anything. */
function missingSince(cluster: Cluster, type: 'Ready' | 'Connected'): number {
  const condition = conditionOf(cluster, type);
  return condition && condition.status !== 'True' ? Date.parse(condition.lastTransitionTime) : Number.POSITIVE_INFINITY;
}

const longSince =
  (type: 'Ready' | 'Connected') => (factory: ComputeFactory, clusters: readonly Cluster[], nowMs: number) =>
    new Set(
      clusters
        .filter((cluster) => missingSince(cluster, type) + shiftAfterMs(factory) <= nowMs)
        .map(({ metadata }) => metadata.name),
    );

/** Names of Clusters that have taken no machines for shiftAfter: what waits for them may wait elsewhere. */
export const closedClusters = longSince('Ready');

/** Names of Clusters that have been away for shiftAfter: what runs there is not known. One that is only cordoned is not away. */
export const awayClusters = longSince('Connected');

/** When that changes by time alone. */
export function shiftTimes(factory: ComputeFactory, clusters: readonly Cluster[]): readonly number[] {
  return clusters.flatMap((cluster) =>
    (['Ready', 'Connected'] as const).map((type) => missingSince(cluster, type) + shiftAfterMs(factory)),
  );
}

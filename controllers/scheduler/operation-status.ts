/** How the status of a VMOperation is written while the cluster server carries it out. */
import { withCondition } from '#lib/api/conditions.ts';
import { VMOperation } from '#lib/api/generated/vmoperation.ts';
import type { World } from './world.ts';

export function isOpenOperation({ status }: VMOperation): boolean {
  return status?.phase === 'Pending' || status?.phase === 'InProgress';
}

/** With condition Ready as the phase says. */
export async function writeOperation(
  { client, clock, operations }: World,
  operation: VMOperation,
  change: NonNullable<VMOperation['status']>,
): Promise<void> {
  const generation = operation.metadata.generation ?? 1;
  const phase = change.phase!;
  const ready = phase === 'Completed' ? ('True' as const) : ('False' as const);
  const conditions = withCondition(
    operation.status?.conditions ?? [],
    { type: 'Ready', status: ready, reason: phase, message: change.message ?? '' },
    generation,
    clock.now(),
  );
  const status = { ...operation.status, ...change, observedGeneration: generation, conditions };
  operations.wrote(await client.updateStatus(VMOperation, { ...operation, status }));
}

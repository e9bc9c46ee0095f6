/** What a VMSnapshot says of itself. Pure. */
import type { Ending, Run } from '#controllers/runtime/controller.ts';
import { type ConditionDraft, withConditions } from '#lib/api/conditions.ts';
import type { VMSnapshot } from '#lib/api/generated/index.ts';
import { finalizers } from '#lib/api/names.ts';
import { next } from './next.ts';
import type { Scope, Status } from './scope.ts';

export function summarize({ snapshot, machine }: Scope, ending: Ending, run: Run): VMSnapshot['status'] {
  const { metadata } = snapshot;
  // A thrown Conflict or timeout says nothing about the snapshot; and nothing is begun before it is held.
  if ('error' in ending || !metadata.finalizers?.includes(finalizers.snapshotCleanup)) return undefined;
  const status = metadata.deletionTimestamp ? leaving(snapshot, ending) : next(snapshot, machine, run.nowMs);
  const conditions = [...lifeConditions(status), deletionCondition(ending)];
  const { conditions: old = [] } = snapshot.status ?? {};
  return { ...status, conditions: withConditions(old, conditions, metadata.generation ?? 0, run.nowMs) };
}

function leaving({ status = {} }: VMSnapshot, ending: Ending): Status {
  const isRemoved = 'done' in ending && !ending.done && ending.reason === 'Removing' && status.removal !== 'Removed';
  return { ...status, phase: 'Terminating', ...(isRemoved && { removal: 'Wanted' as const }) };
}

function lifeConditions({ phase = 'Pending', message = '' }: Status): readonly ConditionDraft[] {
  const isOver = phase === 'Ready' || phase === 'Failed';
  return [
    { type: 'Ready', status: phase === 'Ready' ? 'True' : 'False', reason: phase, message },
    { type: 'Reconciling', status: isOver ? 'False' : 'True', reason: phase, message: isOver ? '' : message },
    phase === 'Failed'
      ? { type: 'Stalled', status: 'True', reason: 'Failed', message: `${message}. Create another VMSnapshot` }
      : { type: 'Stalled', status: 'False', reason: 'Progressing', message: '' },
  ];
}

function deletionCondition(ending: Ending): ConditionDraft {
  const type = 'DeletionBlocked';
  if ('done' in ending && !ending.done && ['InUse', 'Removing'].includes(ending.reason))
    return { type, status: 'True', reason: ending.reason, message: ending.message };
  return { type, status: 'False', reason: 'NotBlocked', message: '' };
}

import { timestamp } from '../std/clock.ts';
import type { Condition, ObjectWithStatus } from './meta.ts';

export type ConditionDraft = Omit<Condition, 'lastTransitionTime' | 'observedGeneration'>;

/**
 * The list with this condition put in. lastTransitionTime changes only when the status does, as in Kubernetes' meta.SetStatusCondition.
 */
export function withCondition(
  list: readonly Condition[],
  draft: ConditionDraft,
  generation: number,
  nowMs: number,
): readonly Condition[] {
  const old = list.find((condition) => condition.type === draft.type);
  const lastTransitionTime = old?.status === draft.status ? old.lastTransitionTime : timestamp(nowMs);
  const next: Condition = { ...draft, observedGeneration: generation, lastTransitionTime };
  return old ? list.map((condition) => (condition === old ? next : condition)) : [...list, next];
}

/** The list with all of these put in, as withCondition does it. */
export function withConditions(
  list: readonly Condition[],
  drafts: readonly ConditionDraft[],
  generation: number,
  nowMs: number,
): readonly Condition[] {
  return drafts.reduce((conditions, draft) => withCondition(conditions, draft, generation, nowMs), list);
}

export function conditionOf(object: ObjectWithStatus, type: string): Condition | undefined {
  return object.status?.conditions?.find((condition) => condition.type === type);
}

/** True only if the condition is there and its status is True. */
export function isTrue(object: ObjectWithStatus, type: string): boolean {
  return conditionOf(object, type)?.status === 'True';
}

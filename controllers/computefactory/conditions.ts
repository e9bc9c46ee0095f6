/** The conditions of a ComputeFactory. Pure. */
import type { Ending } from '#controllers/runtime/controller.ts';
import type { ConditionDraft } from '#lib/api/conditions.ts';
import { messageOf } from '#lib/std/errors.ts';
import { type Figures, inUnits } from './figures.ts';
import type { Scope } from './scope.ts';
import type { Shortage } from './unfulfilled.ts';

export function conditionsOf(
  scope: Scope,
  figures: Figures,
  shortage: Shortage | undefined,
  ending: Ending,
): readonly ConditionDraft[] {
  const { suspend, paused } = scope.factory.spec;
  const stalled = stalledCondition(scope);
  const ready = readyCondition(scope, figures, shortage);
  const failure = 'error' in ending ? messageOf(ending.error) : '';
  const isWorking = ready.status !== 'True' && stalled.status !== 'True' && !paused;
  return [
    ready,
    availableCondition(scope, figures),
    fulfilledCondition(scope, figures, shortage),
    {
      type: 'Reconciling',
      status: isWorking ? 'True' : 'False',
      reason: ready.reason,
      message: failure || (isWorking ? ready.message : ''),
    },
    stalled,
    suspend
      ? {
          type: 'Suspended',
          status: 'True',
          reason: 'BySpec',
          message: 'spec.suspend is true: the effective target is 0',
        }
      : { type: 'Suspended', status: 'False', reason: 'Active', message: '' },
    paused
      ? { type: 'Paused', status: 'True', reason: 'BySpec', message: 'spec.paused is true: nothing is planned' }
      : { type: 'Paused', status: 'False', reason: 'Active', message: '' },
  ];
}

/** What has to be there: the target, or with overshoot Never what the target was rounded down to. */
function goalOf({ factory, plan, effectiveTarget }: Scope): number {
  const isRounded = factory.spec.overshoot === 'Never' && plan?.shortOf === undefined;
  return isRounded ? Math.min(effectiveTarget, plan?.units ?? effectiveTarget) : effectiveTarget;
}

function readyCondition(scope: Scope, figures: Figures, shortage: Shortage | undefined): ConditionDraft {
  const { unit } = scope.factory.spec.capacity;
  const type = 'Ready';
  if (scope.invalid) return { type, status: 'False', ...scope.invalid };
  if (shortage) return { type, status: 'False', reason: 'Unfulfilled', message: shortage.message };
  if (figures.ready < goalOf(scope) || scope.plan?.shortOf === 'TargetSmallerThanAnyShape') {
    const message = `${figures.ready} of ${inUnits(goalOf(scope), unit)} are ready, ${figures.provisioned} have a place on a host`;
    return { type, status: 'False', reason: 'ScalingUp', message };
  }
  if (figures.draining > 0)
    return {
      type,
      status: 'False',
      reason: 'ScalingDown',
      message: `${inUnits(figures.draining, unit)} have to go first`,
    };
  return { type, status: 'True', reason: 'CapacityReady', message: `${inUnits(figures.ready, unit)} are ready` };
}

function availableCondition({ factory, effectiveTarget }: Scope, { ready }: Figures): ConditionDraft {
  const { min, unit } = factory.spec.capacity;
  const least = Math.min(effectiveTarget, min > 0 ? min : Math.ceil(effectiveTarget * 0.9));
  return ready >= least
    ? { type: 'Available', status: 'True', reason: 'MinimumAvailable', message: '' }
    : {
        type: 'Available',
        status: 'False',
        reason: 'BelowMinimum',
        message: `${ready} ready, ${inUnits(least, unit)} needed`,
      };
}

function fulfilledCondition(scope: Scope, figures: Figures, shortage: Shortage | undefined): ConditionDraft {
  const type = 'Fulfilled';
  if (scope.invalid) return { type, status: 'False', ...scope.invalid };
  if (shortage) return { type, status: 'False', reason: shortage.reason, message: shortage.message };
  const goal = goalOf(scope);
  if (figures.provisioned < goal)
    return {
      type,
      status: 'False',
      reason: 'ScalingUp',
      message: `${figures.provisioned} of ${inUnits(goal, scope.factory.spec.capacity.unit)} have a place on a host`,
    };
  return { type, status: 'True', reason: goal < scope.effectiveTarget ? 'RoundedDown' : 'Provisioned', message: '' };
}

function stalledCondition({ invalid, plan, factory }: Scope): ConditionDraft {
  const type = 'Stalled';
  if (invalid) return { type, status: 'True', ...invalid };
  if (plan?.shortOf === 'TargetSmallerThanAnyShape') {
    const message =
      `Every shape is larger than the target of ${factory.spec.capacity.target} and overshoot is Never. ` +
      'Add a smaller shape, raise the target, or set overshoot: AllowLast';
    return { type, status: 'True', reason: plan.shortOf, message };
  }
  return { type, status: 'False', reason: 'Progressing', message: '' };
}

export function displayStatus(conditions: readonly ConditionDraft[], shortage: Shortage | undefined): string {
  const holds = (type: string) => conditions.find((one) => one.type === type && one.status === 'True');
  if (holds('Paused')) return 'Paused';
  const stalled = holds('Stalled');
  if (stalled) return stalled.reason;
  if (shortage) return 'Unfulfilled';
  const ready = conditions.find(({ type }) => type === 'Ready')!;
  if (ready.status !== 'True') return ready.reason;
  return holds('Suspended') ? 'Suspended' : 'Ready';
}

/** What a VMPool says of itself. Pure. */
import type { Ending, Run } from '#controllers/runtime/controller.ts';
import { type ConditionDraft, conditionOf, withConditions } from '#lib/api/conditions.ts';
import type { VMPool } from '#lib/api/generated/index.ts';
import { labels } from '#lib/api/names.ts';
import { timestamp } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { poolLabel } from './draft-machine.ts';
import type { Facts } from './facts.ts';
import { failedHistoryLimit, membersOf } from './plan.ts';
import type { Scope } from './scope.ts';

type Status = NonNullable<VMPool['status']>;

interface Counts {
  readonly members: number;
  readonly ready: number;
  readonly going: number;
  readonly failed: number;
  readonly outdated: number;
}

export function summarize(scope: Scope, ending: Ending, run: Run): VMPool['status'] {
  if (scope.holdStatus) return undefined;
  const { pool, machines } = scope;
  const counts = countsOf(scope, run.nowMs);
  const conditions = conditionsOf(scope, counts, ending);
  const members = machines.filter((facts) => !facts.going);
  return {
    replicas: machines.filter(({ ended }) => ended !== 'Failed').length,
    desired: pool.spec.replicas,
    provisioned: members.filter(({ placed }) => placed).length,
    readyReplicas: counts.ready,
    updatedReplicas: counts.members - counts.outdated,
    unreachableReplicas: machines.filter(({ unreachable }) => unreachable).length,
    failedReplicas: counts.failed,
    drainingReplicas: counts.going + members.filter(({ drain }) => drain === 'Evicting').length,
    updateRevision: scope.revision,
    selector: `${labels.pool}=${poolLabel(pool.metadata.name)}`,
    displayStatus: displayStatus(conditions),
    examples: worst(members),
    conditions: withConditions(pool.status?.conditions ?? [], conditions, pool.metadata.generation ?? 0, run.nowMs),
  };
}

function countsOf({ pool, machines }: Scope, nowMs: number): Counts {
  const members = membersOf(pool.spec, machines, nowMs);
  return {
    members: members.length,
    ready: members.filter(({ ready }) => ready).length,
    going: machines.filter(({ going }) => going).length,
    failed: machines.filter(({ going, ended }) => !going && ended === 'Failed').length,
    outdated: members.filter(({ outdated }) => outdated).length,
  };
}

function conditionsOf(scope: Scope, counts: Counts, ending: Ending): readonly ConditionDraft[] {
  const ready = readyCondition(scope, counts);
  const failure = 'error' in ending ? messageOf(ending.error) : '';
  const stalled = stalledCondition(scope);
  const isSettled = ready.status === 'True' || stalled.status === 'True' || scope.pool.spec.paused;
  return [
    ready,
    availableCondition(scope.pool, counts),
    isSettled
      ? { type: 'Reconciling', status: 'False', reason: ready.reason, message: failure }
      : { type: 'Reconciling', status: 'True', reason: ready.reason, message: failure || ready.message },
    stalled,
    upToDateCondition(counts),
    scaleInCondition(scope),
    scope.pool.spec.paused
      ? { type: 'Paused', status: 'True', reason: 'BySpec', message: 'spec.paused is true: nothing is made or deleted' }
      : { type: 'Paused', status: 'False', reason: 'Active', message: '' },
  ];
}

function readyCondition({ pool, plan }: Scope, { members, ready, going }: Counts): ConditionDraft {
  const { replicas } = pool.spec;
  const type = 'Ready';
  if (members > replicas || (members === replicas && going > 0)) {
    const surplus = members - replicas + going;
    return { type, status: 'False', reason: 'ScalingDown', message: `${surplus} machines have to go first` };
  }
  if (members === replicas && ready === replicas) return { type, status: 'True', reason: 'Stable', message: '' };
  const held = plan.held > 0 ? `, ${plan.held} are made once machines before them are gone` : '';
  return { type, status: 'False', reason: 'ScalingUp', message: `${ready} of ${replicas} machines are ready${held}` };
}

/** A tenth may be missing, as in a Deployment's default; at least one machine has to be there if any is wanted. */
function availableCondition({ spec }: VMPool, { ready }: Counts): ConditionDraft {
  const least = spec.replicas === 0 ? 0 : Math.max(1, spec.replicas - Math.max(1, Math.floor(spec.replicas / 10)));
  return ready >= least
    ? { type: 'Available', status: 'True', reason: 'MinimumAvailable', message: '' }
    : { type: 'Available', status: 'False', reason: 'BelowMinimum', message: `${ready} ready, ${least} needed` };
}

function stalledCondition({ plan, machines }: Scope): ConditionDraft {
  const held = machines.map(({ vm }) => conditionOf(vm, 'Scheduled')).find((one) => one?.reason === 'LaunchBackoff');
  if (held) return { type: 'Stalled', status: 'True', reason: 'LaunchBackoff', message: held.message };
  if (plan.retryAtMs === undefined) return { type: 'Stalled', status: 'False', reason: 'Progressing', message: '' };
  const example = machines.find(({ ended }) => ended === 'Failed')!;
  const why = example.vm.status?.lastTermination?.message ?? conditionOf(example.vm, 'Ready')?.message ?? 'no details';
  const message =
    `${failedHistoryLimit} machines failed without a success, for example ${example.name}: ${why}. ` +
    `One more is tried at ${timestamp(plan.retryAtMs)}; change the template, or delete the failed machines to try at once`;
  return { type: 'Stalled', status: 'True', reason: 'LaunchBackoff', message };
}

function upToDateCondition({ outdated }: Counts): ConditionDraft {
  if (outdated === 0) return { type: 'UpToDate', status: 'True', reason: 'AllUpdated', message: '' };
  const message = `${outdated} machines are of an older template: each is replaced by a current one when it is deleted`;
  return { type: 'UpToDate', status: 'False', reason: 'WaitingForRestart', message };
}

function scaleInCondition({ plan }: Scope): ConditionDraft {
  if (plan.blocked === 0) return { type: 'ScaleInBlocked', status: 'False', reason: 'NotBlocked', message: '' };
  const message = `${plan.blocked} machines too many, but all that are left carry scale-in-protection: remove the annotation from some`;
  return { type: 'ScaleInBlocked', status: 'True', reason: 'AllProtected', message };
}

function displayStatus(conditions: readonly ConditionDraft[]): string {
  const holds = (type: string) => conditions.find((one) => one.type === type && one.status === 'True');
  if (holds('Paused')) return 'Paused';
  if (holds('ScaleInBlocked')) return 'ScaleInBlocked';
  const stalled = holds('Stalled');
  if (stalled) return stalled.reason;
  return holds('Ready') ? 'Ready' : conditions.find(({ type }) => type === 'Ready')!.reason;
}

const examplesMax = 10;

/** Machines that are not ready: those with an error before those on their way. */
function worst(machines: readonly Facts[]): NonNullable<Status['examples']> {
  const rank = ({ ended, unreachable, placed }: Facts) => (ended === 'Failed' ? 0 : unreachable ? 1 : placed ? 3 : 2);
  const worse = (a: Facts, b: Facts) => rank(a) - rank(b) || a.ordinal - b.ordinal;
  const found: Facts[] = [];
  // Not all of them sorted: a pool that begins has thousands.
  for (const facts of machines) {
    if (facts.ready || (found.length === examplesMax && worse(facts, found.at(-1)!) > 0)) continue;
    found.push(facts);
    found.sort(worse).splice(examplesMax);
  }
  return found.map(({ name, vm }) => {
    const message = vm.status?.conditions?.find(({ type, status }) => type !== 'Ready' && status === 'False')?.message;
    return {
      name,
      status: vm.status?.displayStatus ?? 'Pending',
      ...(message && { message: message.slice(0, 1024) }),
    };
  });
}

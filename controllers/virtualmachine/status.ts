/** What a VirtualMachine without a live attempt says of itself. Pure. With one, its status is the cluster server's alone. */
import type { Ending, Run } from '#controllers/runtime/controller.ts';
import { type ConditionDraft, withConditions } from '#lib/api/conditions.ts';
import type { VirtualMachine } from '#lib/api/generated/index.ts';
import { timestamp } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { finalizerAdded } from './hold-finalizer.ts';
import type { Decision } from './run-policy.ts';
import type { Prerequisite, Scope } from './scope.ts';

type Status = NonNullable<VirtualMachine['status']>;
type PhaseName = NonNullable<Status['phase']>;

const order: readonly Prerequisite[] = ['ConfigReady', 'ImageReady', 'VolumesReady', 'NetworkReady'];

const errorWord: Readonly<Record<Prerequisite, string>> = {
  ConfigReady: 'ConfigError',
  ImageReady: 'ImageError',
  VolumesReady: 'VolumeError',
  NetworkReady: 'NetworkError',
};

/** undefined: leave the status alone. */
export function summarize(scope: Scope, ending: Ending, run: Run): VirtualMachine['status'] {
  const { vm } = scope;
  const isOthers = vm.status?.attempt !== undefined || vm.metadata.deletionTimestamp !== undefined;
  // A thrown Conflict or timeout says nothing about the machine; it is tried again.
  if (isOthers || 'error' in ending || holdsBack(ending)) return undefined;
  const phase = phaseOf(scope, run.nowMs);
  const conditions = [...prerequisiteConditions(scope, ending), ...lifeConditions(scope, phase, ending, run.nowMs)];
  const old: Status = vm.status ?? {};
  return withoutUndefined({
    ...old,
    phase,
    displayStatus: displayStatus(scope, phase, ending, run.nowMs),
    instanceType: scope.resolved.size ?? old.instanceType,
    image: scope.resolved.image ?? old.image,
    volumes: scope.resolved.volumes ?? old.volumes,
    networks: scope.resolved.networks ?? old.networks,
    ip: scope.resolved.networks ? scope.resolved.networks[0]?.ip : old.ip,
    hostname: scope.resolved.hostname ?? old.hostname,
    power: phase === 'Stopped' || phase === 'Succeeded' || phase === 'Failed' ? 'Off' : undefined,
    restarts: scope.judgement.restarts,
    requestedPower: scope.judgement.requestedPower,
    phaseTransitions: transitions(old, phase, run.nowMs),
    conditions: withConditions(old.conditions ?? [], conditions, vm.metadata.generation ?? 0, run.nowMs),
  });
}

/** The finalizer was just written: the next run, with the new resourceVersion, says the rest in one write. */
const holdsBack = (ending: Exclude<Ending, { error: unknown }>) => !ending.done && ending.reason === finalizerAdded;

function phaseOf({ judgement: { decision }, met }: Scope, nowMs: number): PhaseName {
  if (decision.want !== 'Run') return decision.want;
  return met.size === order.length && decision.notBeforeMs <= nowMs ? 'Scheduling' : 'Pending';
}

function prerequisiteConditions({ judgement, met }: Scope, ending: Ending): readonly ConditionDraft[] {
  const blocked = order.find((type) => !met.has(type));
  return order.map((type): ConditionDraft => {
    if (met.has(type)) return { type, status: 'True', reason: 'Resolved', message: '' };
    if (judgement.decision.want !== 'Run')
      return { type, status: 'Unknown', reason: 'NotNeeded', message: 'Looked at when the machine is to run' };
    if (type === blocked && 'done' in ending && !ending.done)
      return { type, status: 'False', reason: ending.reason, message: ending.message };
    return { type, status: 'Unknown', reason: 'Waiting', message: `Looked at once ${blocked} holds` };
  });
}

function lifeConditions(scope: Scope, phase: PhaseName, ending: Ending, nowMs: number): readonly ConditionDraft[] {
  const { vm, judgement } = scope;
  const { decision } = judgement;
  if (decision.want !== 'Run') return endedConditions(vm, decision);
  const waitsUntil = decision.notBeforeMs > nowMs ? timestamp(decision.notBeforeMs) : undefined;
  const why = 'message' in ending && !waitsUntil ? ending.message : '';
  const backOff = waitsUntil ? `Launched again after ${waitsUntil}: ${lastWords(vm)}` : '';
  return [
    { type: 'Ready', status: 'False', reason: 'Starting', message: backOff || why || 'Waits for a place on a host' },
    { type: 'Reconciling', status: 'True', reason: waitsUntil ? 'BackOff' : phase, message: backOff || why },
    { type: 'Stalled', status: 'False', reason: 'Progressing', message: '' },
    ...scheduledCondition(vm, phase, waitsUntil, backOff),
    ...closedConditions(vm),
  ];
}

/**
 * While the machine waits for a host, Scheduled is the cluster server's, from the first on: one made here would only be written over.
 * It is taken back where it speaks of an attempt that is over.
 */
function scheduledCondition(
  { status }: VirtualMachine,
  phase: PhaseName,
  waitsUntil: string | undefined,
  backOff: string,
): readonly ConditionDraft[] {
  if (waitsUntil) return [{ type: 'Scheduled', status: 'False', reason: 'BackOff', message: backOff }];
  const said = status?.conditions?.find(({ type }) => type === 'Scheduled');
  const isCurrent = said?.status === 'False' && said.reason !== 'BackOff' && phase === 'Scheduling';
  if (!said || isCurrent) return [];
  return [{ type: 'Scheduled', status: 'Unknown', reason: 'Waiting', message: 'No host was looked for yet' }];
}

/** What the cluster server last said of an attempt that is over would be read as said of now. */
function closedConditions({ status }: VirtualMachine): readonly ConditionDraft[] {
  return ['Launched', 'Reachable', 'GuestAgentConnected', 'GuestReady', 'Emulated', 'IOWeighted']
    .filter((type) =>
      status?.conditions?.some((condition) => condition.type === type && condition.reason !== 'NoAttempt'),
    )
    .map((type) => ({ type, status: 'Unknown', reason: 'NoAttempt', message: 'The last attempt is over' }));
}

function endedConditions(
  vm: VirtualMachine,
  { want, reason }: Exclude<Decision, { want: 'Run' }>,
): readonly ConditionDraft[] {
  const failed = want === 'Failed';
  const message = reason === 'StoppedAsDeclared' ? '' : lastWords(vm);
  const asAsked = want === 'Stopped' ? 'StoppedAsDeclared' : 'Finished';
  return [
    { type: 'Ready', status: failed ? 'False' : 'True', reason: failed ? 'Failed' : asAsked, message },
    { type: 'Reconciling', status: 'False', reason: want, message: '' },
    failed
      ? { type: 'Stalled', status: 'True', reason, message: `${message}. Delete the machine, or make a new one` }
      : { type: 'Stalled', status: 'False', reason: want, message: '' },
    {
      type: 'Scheduled',
      status: 'False',
      reason: 'NotNeeded',
      message: `The machine is ${want.toLowerCase()}: ${reason}`,
    },
    ...closedConditions(vm),
  ];
}

function lastWords({ status }: VirtualMachine): string {
  const last = status?.lastTermination;
  return last ? [last.reason, last.message].filter(Boolean).join(': ') : '';
}

/** The first that applies of the published list. */
function displayStatus(scope: Scope, phase: PhaseName, ending: Ending, nowMs: number): string {
  const { vm, judgement } = scope;
  const { decision } = judgement;
  if (decision.want !== 'Run') return decision.want;
  if ('error' in ending) return messageOf(ending.error);
  const blocked = order.find((type) => !scope.met.has(type));
  if (!ending.done && ending.reason === 'FencingRequired') return ending.reason;
  if (!ending.done && blocked && ending.reason !== 'Waiting') return errorWord[blocked];
  if (phase === 'Scheduling' && vm.status?.phase === 'Scheduling' && isRefused(vm)) return 'NoCapacity';
  if (decision.notBeforeMs > nowMs) return (judgement.restarts?.consecutiveFailures ?? 0) > 3 ? 'CrashLoop' : 'BackOff';
  return 'Pending';
}

const isRefused = ({ status }: VirtualMachine) =>
  (status?.conditions ?? []).some(({ type, status: holds }) => type === 'Scheduled' && holds === 'False');

function transitions(old: Status, phase: PhaseName, nowMs: number): Status['phaseTransitions'] {
  return old.phase === phase && old.phaseTransitions
    ? old.phaseTransitions
    : { ...old.phaseTransitions, [phase]: timestamp(nowMs) };
}

function withoutUndefined(status: { readonly [K in keyof Status]?: Status[K] | undefined }): Status {
  return Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined)) as Status;
}

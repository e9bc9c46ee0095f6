/** How a machine's status reads before, during and after an attempt. Pure: (status, what happened, now) gives the next status. */
import { type ConditionDraft, conditionOf, withCondition } from '#lib/api/conditions.ts';
import type { forgottenProof } from '#lib/api/forgotten.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { AddressConflict } from '#lib/api/launch.ts';
import { machineTaskId } from '#lib/api/names.ts';
import { timestamp } from '#lib/std/clock.ts';
import { withoutAgent } from './guest.ts';
import type { Proof } from './proof.ts';

export type MachineStatus = NonNullable<VirtualMachine['status']>;
export type MachinePhase = NonNullable<MachineStatus['phase']>;

type PausedReason = NonNullable<MachineStatus['pausedReason']>;

/** Sentences for people, by the reason word that programs read. */
export const pausedMessages: Readonly<Record<PausedReason, string>> = {
  IOError:
    'A disk of the machine could not be read or written, often because its host has no room left. The guest stands where it was, and is ' +
    'resumed every 30 seconds until it can go on',
};

export interface Place {
  readonly cluster: string;
  readonly hostname: string;
  readonly agentId: string;
  /** Boot of the host, if an executor has told it. */
  readonly bootId: string | undefined;
}

export const keptAttempts = 5;

/** Counts up for ever: the number is part of the Mesos task's name, which must never come again. */
export function nextNumber(status: MachineStatus | undefined): number {
  const { attempt, attempts = [], migration, lastMigration } = status ?? {};
  const rows = [attempt, ...attempts, migration, lastMigration];
  return Math.max(...rows.map((row) => row?.number ?? 0)) + 1;
}

/** Launched with others at one time: the same for all of them. */
export type GangLaunch = NonNullable<NonNullable<MachineStatus['attempt']>['gang']>;

/** The intent, stored before anything is asked of Mesos. */
export function intended(vm: VirtualMachine, place: Place, nowMs: number, gang?: GangLaunch): MachineStatus {
  const attempt = { ...newAttempt(vm, place, nowMs, false), ...(gang && { gang }) };
  const scheduled: ConditionDraft = {
    type: 'Scheduled',
    status: 'True',
    reason: 'Placed',
    message: `On host ${place.hostname} of cluster ${place.cluster}`,
  };
  const { nominated: _, ...status } = vm.status ?? {};
  return enter({ ...status, attempt }, vm, 'Launching', nowMs, [scheduled, ...launchConditions('Launching')]);
}

/**
 * The intent to take over a domain whose task is gone. The attempt before ends in the same write: there is one live attempt at any time,
 * and it stays on the host where the domain may be.
 */
export function adopting(vm: VirtualMachine, place: Place, nowMs: number): MachineStatus {
  const row = rowOf(
    vm,
    { outcome: 'Adopted', class: 'Infrastructure', reason: 'TaskLost' },
    'AdoptedByNextAttempt',
    nowMs,
  );
  const attempt = newAttempt(vm, place, nowMs, true);
  return { ...vm.status, attempt, attempts: [...(vm.status?.attempts ?? []), row].slice(-keptAttempts) };
}

/**
 * The same attempt is to be sent once more. It is stored like any other intent: if the attempt is closed at the same moment, by what its host has told
 * just now, one of the two writes fails, and what was closed is not sent.
 */
export function sentOnceMore({ status }: VirtualMachine): MachineStatus {
  const attempt = status!.attempt!;
  return { ...status, attempt: { ...attempt, sends: (attempt.sends ?? 1) + 1 } };
}

function newAttempt(
  vm: VirtualMachine,
  place: Place,
  nowMs: number,
  adopted: boolean,
): NonNullable<MachineStatus['attempt']> {
  const number = nextNumber(vm.status);
  return {
    number,
    cluster: place.cluster,
    host: place.hostname,
    agentID: place.agentId,
    taskID: machineTaskId(vm.metadata.uid, number),
    since: timestamp(nowMs),
    adopted,
    launched: true,
    ...(place.bootId === undefined ? {} : { bootID: place.bootId }),
  };
}

export interface Ending {
  /** One word: how the attempt ended. */
  readonly outcome: 'Dropped' | 'Finished' | 'Failed' | 'Killed' | 'Lost' | 'Adopted' | 'Migrated';
  readonly class: 'User' | 'Guest' | 'Infrastructure' | 'Preempted' | 'Configuration';
  readonly reason: string;
  readonly message?: string;
  readonly conflict?: AddressConflict;
}

type AttemptRow = NonNullable<MachineStatus['attempts']>[number];

export function rowOf(vm: VirtualMachine, ending: Ending, proof: string, nowMs: number): AttemptRow {
  const { attempt } = vm.status ?? {};
  return {
    ...(attempt?.number === undefined ? {} : { number: attempt.number }),
    outcome: ending.outcome,
    class: ending.class,
    reason: ending.reason,
    ...(attempt?.host === undefined ? {} : { host: attempt.host }),
    proof,
    ended: timestamp(nowMs),
    ...(ending.conflict && { conflict: ending.conflict }),
  };
}

/**
 * The attempt is proven gone, or let go with what may be left of it. A launch that never ran goes straight back to Scheduling; after any other end the phase is left to the
 * virtualmachine controller, which applies the run policy.
 */
export function closed(
  vm: VirtualMachine,
  ending: Ending,
  proof: Proof | typeof forgottenProof,
  nowMs: number,
): MachineStatus {
  const { attempt: _, pausedReason: __, migration: ___, ...rest } = withoutAgent(vm.status ?? {});
  const row = rowOf(vm, ending, proof, nowMs);
  const message = ending.message ?? '';
  const status: MachineStatus = {
    ...rest,
    power: 'Off',
    attempts: [...(rest.attempts ?? []), row].slice(-keptAttempts),
    lastTermination: { class: ending.class, reason: ending.reason, message, time: timestamp(nowMs) },
  };
  const deleting = vm.metadata.deletionTimestamp !== undefined;
  const phase = deleting ? 'Terminating' : ending.outcome === 'Dropped' ? 'Scheduling' : (rest.phase ?? 'Scheduling');
  return enter(status, vm, phase, nowMs, [
    {
      type: 'Launched',
      status: 'False',
      reason: ending.outcome === 'Dropped' ? 'Dropped' : 'ReconcilePending',
      message,
    },
    { type: 'Ready', status: 'False', reason: 'Starting', message: `The last attempt ended: ${ending.reason}` },
    reconciling(true, phase),
    ...(ending.conflict
      ? [{ type: 'NetworkReady', status: 'False', reason: 'AddressConflict', message } as const]
      : []),
    ...(conditionOf(vm, 'Draining') ? [notDraining] : []),
    ...(conditionOf(vm, 'Migrating')?.status === 'True' ? [notMigrating] : []),
  ]);
}

const notMigrating: ConditionDraft = {
  ...{ type: 'Migrating', status: 'False', reason: 'AttemptEnded' },
  message: 'The machine ended before it was moved',
};

export const notDraining: ConditionDraft = { type: 'Draining', status: 'False', reason: 'NotDraining', message: '' };

/** The same machine, in another phase, with these conditions. phaseTransitions tells when it came there. */
export function enter(
  status: MachineStatus,
  vm: VirtualMachine,
  phase: MachinePhase,
  nowMs: number,
  drafts: readonly ConditionDraft[],
): MachineStatus {
  const generation = vm.metadata.generation ?? 1;
  const conditions = drafts.reduce(
    (list, draft) => withCondition(list, draft, generation, nowMs),
    status.conditions ?? [],
  );
  const moved = status.phase !== phase;
  const { pausedReason, ...rest } = status;
  const why = phase === 'Paused' && pausedReason !== undefined ? { pausedReason } : {};
  return {
    ...rest,
    ...why,
    observedGeneration: generation,
    phase,
    displayStatus: displayStatusOf(phase, vm.metadata.deletionTimestamp !== undefined, why.pausedReason),
    conditions,
    ...(moved ? { phaseTransitions: { ...status.phaseTransitions, [phase]: timestamp(nowMs) } } : {}),
  };
}

function displayStatusOf(phase: MachinePhase, deleting: boolean, pausedReason: PausedReason | undefined): string {
  if (deleting) return 'Terminating';
  if (pausedReason !== undefined) return `${phase} (${pausedReason})`;
  return phase === 'Starting' ? 'Booting' : phase;
}

/**
 * Launched, Reachable, GuestReady and Ready of a machine whose attempt goes well so far. `asDeclared`: what to say if it is off, and is to
 * be; `why` it is in this phase, if more is known.
 */
export function launchConditions(
  phase: MachinePhase,
  asDeclared?: string,
  why = `The machine is in phase ${phase}`,
): readonly ConditionDraft[] {
  const begun = phase !== 'Launching';
  const runs = phase === 'Running';
  const off = phase === 'Stopped';
  const ready: Pick<ConditionDraft, 'status' | 'reason' | 'message'> = runs
    ? { status: 'True', reason: 'Running', message: 'The machine runs' }
    : off && asDeclared !== undefined
      ? { status: 'True', reason: 'StoppedAsDeclared', message: asDeclared }
      : { status: 'False', reason: 'Starting', message: why };
  return [
    begun
      ? { type: 'Launched', status: 'True', reason: 'Accepted', message: 'The host has taken the task' }
      : { type: 'Launched', status: 'Unknown', reason: 'ReconcilePending', message: 'Asked of Mesos; no answer yet' },
    begun
      ? { type: 'Reachable', status: 'True', reason: 'HeartbeatOK', message: 'The executor answers' }
      : { type: 'Reachable', status: 'Unknown', reason: 'ReconcilePending', message: 'The host has not answered yet' },
    runs
      ? {
          type: 'GuestReady',
          status: 'True',
          reason: 'NoProbe',
          message: 'No probe is declared: running counts as ready',
        }
      : { type: 'GuestReady', status: 'False', reason: 'Booting', message: why },
    { type: 'Ready', ...ready },
    reconciling(ready.status === 'False', phase),
  ];
}

/** kstatus: True while there is something left to do. */
export function reconciling(working: boolean, phase: MachinePhase): ConditionDraft {
  const message = working ? `The machine is in phase ${phase}` : 'The machine is as declared';
  return { type: 'Reconciling', status: working ? 'True' : 'False', reason: working ? phase : 'AsDeclared', message };
}

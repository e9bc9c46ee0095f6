/**
 * What is to be done about a machine with status.migration: pure, from what is stored and what both hosts and Mesos say, whatever happened before.
 * The destination decides whose the guest is (executor/migration): here it is only found out, and stored in one write.
 *
 *   intent stored -> launched there -> Receiving -> the source is told to send -> [the destination takes it | gives it up]
 *
 * status.attempt stays where the guest ran until it is certain that it can be nowhere but at the destination; from then on the other place is what
 * is left of a closed attempt. No third thing is launched before that is known.
 */
import { type ConditionDraft, conditionOf } from '#lib/api/conditions.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { MachineReport, MigrationReport } from '#lib/api/messages.ts';
import { machineTaskId } from '#lib/api/names.ts';
import { timestamp } from '#lib/std/clock.ts';
import { enter, keptAttempts, type MachineStatus, nextNumber, notDraining, type Place, rowOf } from './attempt.ts';
import { isAlive } from './executor-book.ts';
import type { Moment } from './machine.ts';
import { type Attempt, deadSince, type Evidence, type Proof, proofOfEnd, tellingOf } from './proof.ts';

export type Migration = NonNullable<MachineStatus['migration']>;
export type LastMigration = NonNullable<MachineStatus['lastMigration']>;

/** As the schema bounds it. */
const messageMax = 1024;

/** The place there as an attempt, which it will be. */
export function asAttempt({ number, cluster, host, agentID, taskID, since, bootID }: Migration): Attempt {
  const attempt = { number, cluster, host, agentID, taskID, since, adopted: false, launched: true };
  return { ...attempt, ...(bootID !== undefined && { bootID }) };
}

/** Key of the room that it holds there beside the machine's own. */
export function arrivalOf(uid: string): string {
  return `arrival/${uid}`;
}

/** uid of the machine that holds room under this key, here or there. */
export function machineOf(key: string): string {
  return key.startsWith('arrival/') ? key.slice('arrival/'.length) : key;
}

export interface Wish {
  readonly id: string;
  readonly reason: Migration['reason'];
  /** uid of the VMOperation. */
  readonly operation?: string;
  /** In milliseconds since 1970. */
  readonly deadlineMs: number;
}

/** The intent, stored before anything is asked of Mesos. */
export function moving(vm: VirtualMachine, place: Place, wish: Wish, nowMs: number): MachineStatus {
  const number = nextNumber(vm.status);
  const { id, reason, operation, deadlineMs } = wish;
  const migration: Migration = {
    ...{ id, number, cluster: place.cluster, host: place.hostname, agentID: place.agentId },
    ...{ taskID: machineTaskId(vm.metadata.uid, number), since: timestamp(nowMs), deadline: timestamp(deadlineMs) },
    ...(place.bootId !== undefined && { bootID: place.bootId }),
    reason,
    ...(operation !== undefined && { operation }),
  };
  return shown(vm, { ...vm.status, migration }, `Host ${place.hostname} prepares for it`, nowMs);
}

export interface Sides {
  readonly source: Evidence;
  readonly destination: Evidence;
}

/** What is to be told to the hosts now, as long as they do not say that they know. */
export interface Telling {
  /** The source is to send it. */
  readonly send: boolean;
  /** It is to come to nothing. */
  readonly endSource: boolean;
  readonly endDestination: boolean;
  /** Its task is dead, or its executor names it no more: what is there is to be looked at. */
  readonly look: boolean;
  /** Its executor has lost its journal: the task ends for Mesos by being killed alone. */
  readonly kill: boolean;
}

export type Step =
  /** The guest is the destination's, or nobody else's. */
  | { readonly type: 'Swap'; readonly proof: 'TakenOver' | Proof; readonly status: MachineStatus }
  /** Nothing of it can ever live at the destination. `began`: it counts as a try. */
  | { readonly type: 'Over'; readonly proof: 'KeptBySource' | Proof; readonly status: MachineStatus }
  | { readonly type: 'Open'; readonly status: MachineStatus; readonly telling: Telling };

/** `cancel`: why nobody wants it any more. `vm.status.attempt` and `vm.status.migration` must be there. */
export function decideMigration(vm: VirtualMachine, sides: Sides, cancel: string | undefined, moment: Moment): Step {
  const { uid } = vm.metadata;
  const { attempt, migration } = vm.status as { readonly attempt: Attempt; readonly migration: Migration };
  const { source, destination } = sides;
  const there = asAttempt(migration);
  const sourceEnd = proofOfEnd(uid, attempt, source);
  const isHanded = source.task?.termination?.reason === 'Migrated' && sourceEnd !== undefined;
  const isTaken = hasTaken(uid, migration, destination);
  if (isTaken || isHanded) return swap(vm, migration, isTaken ? 'TakenOver' : sourceEnd!, destination, moment);
  const thereEnd = proofOfEnd(uid, there, { ...destination, began: migration.began === true });
  if (thereEnd) return over(vm, migration, thereEnd, destination, moment);
  // What lived at the source is gone: if anything of the guest is left, it is there. But its disk is at the source still, unless it was taken over, and
  // whoever can be asked there says so soon.
  if (sourceEnd && !isAlive(destination.executor, moment.monotonicMs))
    return swap(vm, migration, sourceEnd, destination, moment);
  const said = reportOf(uid, attempt.number ?? 0, source)?.migration;
  const own = said?.id === migration.id ? said : undefined;
  // It goes on at the source for good. Who prepared for it gives up by itself, but cannot say so.
  if (own?.state === 'Failed' && !isAlive(destination.executor, moment.monotonicMs))
    return over(vm, migration, 'KeptBySource', destination, moment, own.message);
  return goesOn(vm, migration, sides, { own, sourceEnd }, cancel, moment);
}

function reportOf(uid: string, number: number, { executor }: Evidence): MachineReport | undefined {
  const report = executor?.lostMs === undefined ? executor?.machines.get(uid) : undefined;
  return report?.attempt === number ? report : undefined;
}

/** Of a guest that is there. One that was refused is Stopping, while what was prepared for it is removed. */
const guestPhases: ReadonlySet<MachineReport['phase']> = new Set(['Running', 'Paused']);

/** The destination has said that the guest is, or was, its own. */
function hasTaken(uid: string, { number }: Migration, destination: Evidence): boolean {
  const { task } = destination;
  if (task?.state === 'TASK_RUNNING' || task?.termination?.class === 'Guest') return true;
  const report = reportOf(uid, number, destination);
  if (report) return report.migration?.state !== 'Receiving' && guestPhases.has(report.phase);
  // One that receives is paused. Whoever took this one over is gone, and its host has looked since.
  const domain = destination.executor?.inventory?.uids.get(uid);
  return domain?.attempt === number && domain.power === 'On';
}

function goesOn(
  vm: VirtualMachine,
  migration: Migration,
  { source, destination }: Sides,
  { own, sourceEnd }: { readonly own: MigrationReport | undefined; readonly sourceEnd: Proof | undefined },
  cancel: string | undefined,
  { nowMs }: Moment,
): Step {
  const { uid } = vm.metadata;
  const received = reportOf(uid, migration.number, destination);
  const isReceiving = received?.migration?.state === 'Receiving' && received.migration.id === migration.id;
  const failed = own?.state === 'Failed' ? own.message || 'The host where it runs could not send it' : undefined;
  const lost = lossOf(vm.status!.attempt as Attempt, source, sourceEnd);
  const why = migration.ending ?? endingOf(vm, migration, cancel, nowMs) ?? lost ?? failed;
  const began = migration.began === true || destination.task?.begunMs !== undefined || received !== undefined;
  const next: Migration = {
    ...migration,
    ...(began && { began }),
    ...(why !== undefined && { ending: why.slice(0, messageMax) }),
  };
  const status = shown(vm, { ...vm.status, migration: next }, stageOf(next, own, isReceiving), nowMs);
  const sourceSpeaks = reportOf(uid, vm.status?.attempt?.number ?? 0, source) !== undefined;
  const there = asAttempt(migration);
  const told = tellingOf(uid, there, destination);
  const telling = {
    look: deadSince(there, destination) !== undefined || told === 'Missing',
    kill: told === 'Forgotten',
    send: why === undefined && isReceiving && sourceSpeaks && own === undefined,
    endSource: why !== undefined && own?.state !== 'Failed' && lost === undefined,
    endDestination: why !== undefined,
  };
  return { type: 'Open', status, telling };
}

/** Why nobody at the source can send it any more; undefined if somebody may. */
function lossOf(attempt: Attempt, source: Evidence, end: Proof | undefined): string | undefined {
  if (end) return `It is gone from host ${attempt.host}, where it ran (${end})`;
  // The guest may run on there, and is looked for once it is certain that the destination does not have it.
  return deadSince(attempt, source) === undefined ? undefined : `The executor of host ${attempt.host} was lost`;
}

/** Why it is to be given up; undefined if it is not. */
function endingOf(
  { metadata, spec, status }: VirtualMachine,
  { deadline, host }: Migration,
  cancel: string | undefined,
  nowMs: number,
): string | undefined {
  if (metadata.deletionTimestamp !== undefined) return 'The machine is being deleted';
  if (spec.runPolicy === 'Halted') return 'The machine is to be off (runPolicy: Halted)';
  if (status?.requestedPower === 'Off' && spec.runPolicy !== 'Always') return 'The machine is to be off';
  if (cancel !== undefined) return cancel;
  return nowMs >= Date.parse(deadline) ? `It was not on host ${host} by ${deadline}` : undefined;
}

/** No figures: they would be a write each. */
function stageOf({ host, ending }: Migration, own: MigrationReport | undefined, isReceiving: boolean): string {
  if (ending !== undefined) return `Given up: ${ending}. Both hosts are asked who has the guest`;
  if (own?.state === 'Undecided')
    return `All of it was sent to host ${host}, which has not said yet whether it took it over`;
  if (own?.state === 'Sending') return `It is sent to host ${host} while it runs`;
  return isReceiving ? `Host ${host} is ready to take it over` : `Host ${host} prepares for it`;
}

function shown(vm: VirtualMachine, status: MachineStatus, message: string, nowMs: number): MachineStatus {
  const reason = status.migration?.ending === undefined ? 'Moving' : 'GivenUp';
  const migrating: ConditionDraft = { type: 'Migrating', status: 'True', reason, message };
  const entered = enter(status, vm, status.phase ?? 'Running', nowMs, [migrating]);
  return { ...entered, displayStatus: displayedWhile(entered) ?? entered.displayStatus! };
}

/** The one word for a machine that is on its way; undefined if something else is more important. */
export function displayedWhile({ migration, phase }: MachineStatus): 'Migrating' | undefined {
  return migration && (phase === 'Running' || phase === 'Paused') ? 'Migrating' : undefined;
}

function swap(
  vm: VirtualMachine,
  migration: Migration,
  proof: 'TakenOver' | Proof,
  destination: Evidence,
  { nowMs }: Moment,
): Step {
  const { attempt: old, migration: _, pausedReason: __, ...rest } = vm.status!;
  const ending = { outcome: 'Migrated', class: 'Infrastructure', reason: 'Migrated' } as const;
  const row = rowOf(vm, ending, proof, nowMs);
  const status: MachineStatus = {
    ...rest,
    attempt: { ...asAttempt(migration), ...(old?.gang && { gang: old.gang }) },
    attempts: [...(rest.attempts ?? []), row].slice(-keptAttempts),
    lastMigration: { ...lastOf(vm, migration, nowMs), outcome: 'Completed' },
  };
  const began = migration.began === true || destination.task?.begunMs !== undefined || proof === 'TakenOver';
  const message = `On host ${migration.host} of cluster ${migration.cluster}`;
  const drafts: readonly ConditionDraft[] = [
    { type: 'Scheduled', status: 'True', reason: 'Placed', message },
    { type: 'Migrating', status: 'False', reason: 'Moved', message: `Moved from host ${old?.host} as it ran` },
    ...(conditionOf(vm, 'Draining') ? [notDraining] : []),
    // Until its executor speaks nobody knows of it, and a refusal proves what it says.
    ...(began ? [] : [notLaunched(migration)]),
  ];
  return { type: 'Swap', proof, status: enter(status, vm, status.phase ?? 'Running', nowMs, drafts) };
}

function notLaunched({ host }: Migration): ConditionDraft {
  const message = `Host ${host} has not answered yet`;
  return { type: 'Launched', status: 'Unknown', reason: 'ReconcilePending', message };
}

function over(
  vm: VirtualMachine,
  migration: Migration,
  proof: 'KeptBySource' | Proof,
  { task }: Evidence,
  { nowMs }: Moment,
  told?: string,
): Step {
  const { migration: _, ...rest } = vm.status!;
  // Nothing left us: its number was not used.
  const isTry = proof !== 'NeverSent';
  const said = migration.ending ?? told ?? (task?.termination?.message || task?.message);
  const why = (said || `Nothing of it is on host ${migration.host} (${proof})`).slice(0, messageMax);
  // Mesos took the place back before the host heard of it: whoever asked may try again.
  const { operation: ___, ...untold } = lastOf(vm, migration, nowMs);
  const last = proof === 'NeverRan' && migration.ending === undefined ? untold : lastOf(vm, migration, nowMs);
  const failures = vm.status?.lastMigration?.from === last.from ? (vm.status.lastMigration.failures ?? 0) + 1 : 1;
  const lastMigration: LastMigration = { ...last, outcome: 'Failed', message: why, failures };
  const status: MachineStatus = isTry ? { ...rest, lastMigration } : rest;
  const message = isTry ? `Not moved to host ${migration.host}: ${why}` : 'Its place was taken by others';
  const draft: ConditionDraft = { type: 'Migrating', status: 'False', reason: isTry ? 'Failed' : 'NotSent', message };
  return { type: 'Over', proof, status: enter(status, vm, rest.phase ?? 'Running', nowMs, [draft]) };
}

function lastOf(vm: VirtualMachine, { id, number, host, operation }: Migration, nowMs: number) {
  const { attempt } = vm.status!;
  return {
    ...{ id, number, from: attempt?.number ?? 0, host, ended: timestamp(nowMs) },
    ...(attempt?.host !== undefined && { fromHost: attempt.host }),
    ...(operation !== undefined && { operation }),
  };
}

/**
 * The migration of which the source says that it waits to be told how it ended, if that is known: it came to nothing, and nothing of it is at the
 * destination.
 */
export function toBeTold({ metadata, status }: VirtualMachine, source: Evidence): LastMigration | undefined {
  const said = reportOf(metadata.uid, status?.attempt?.number ?? 0, source)?.migration;
  const { lastMigration: last, migration } = status ?? {};
  if (said?.state !== 'Sending' && said?.state !== 'Undecided') return undefined;
  if (said.id === migration?.id || said.id !== last?.id) return undefined;
  return last.outcome === 'Failed' ? last : undefined;
}

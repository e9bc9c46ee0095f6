/**
 * What is to be done about one machine with a live attempt: pure, from the object as stored and everything that is known, whatever
 * happened before. Drivers carry it out (machines.ts).
 */
import { type ConditionDraft, conditionOf } from '#lib/api/conditions.ts';
import { forgetFrom } from '#lib/api/forgotten.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { MachineReport } from '#lib/api/messages.ts';
import { annotations } from '#lib/api/names.ts';
import { timestamp } from '#lib/std/clock.ts';
import {
  closed,
  type Ending,
  enter,
  launchConditions,
  type MachinePhase,
  type MachineStatus,
  notDraining,
  pausedMessages,
  reconciling,
} from './attempt.ts';
import type { Eviction } from './drain.ts';
import { isAlive, isSilent } from './executor-book.ts';
import { fenceOf } from './fence.ts';
import { agentCondition, isProbed, probeCondition, withGuest, withoutAgent } from './guest.ts';
import { ioWeighted } from './io-weights.ts';
import { emulated } from './kvm.ts';
import { displayedWhile } from './migration.ts';
import { type Attempt, deadSince, type Evidence, type Proof, proofOfEnd, tellingOf } from './proof.ts';
import { isAgentDraining, type TaskFact } from './task-book.ts';

/**
 * again: launch the same attempt on the same agent once more; it never began. adopt: a new attempt on the same host takes over what may
 * run there. inventory: ask the executor what runs there.
 */
export type Repair = 'again' | 'adopt' | 'inventory';

export interface Decision {
  /** Differs from what is stored, or is the same object. */
  readonly status: MachineStatus;
  /** A change that people may wait a moment for: another one often follows at once and both are one write. */
  readonly soft: boolean;
  /** The attempt is closed. */
  readonly ended: boolean;
  /** It is over, and cannot be closed yet: what Mesos says of it is to be heard again. */
  readonly waits?: true;
  readonly kill: boolean;
  /** With a KILL: from the power button to the power cut, if that is less than the machine's own. */
  readonly graceMs: number | undefined;
  readonly repair: Repair | undefined;
  /** Nobody wants it, and nobody knows whether it runs: it is to be let go. */
  readonly forget?: true;
  /** Look again after this, whatever happens; a host that falls silent is told of by itself (silences.ts). */
  readonly againMs: number | undefined;
}

export interface Moment {
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  readonly monotonicMs: number;
  /** Monotonic: when this process could first have heard of heartbeats. */
  readonly listeningSinceMs: number;
}

/** A machine of which its executor does not tell is looked at again after this. */
const missingLookMs = 4000;
/** What cannot be let go now is tried again after this. */
const forgetRetryMs = 30_000;

/** `vm.status.attempt` must be there. `wanted` elsewhere: the machine is to leave its host. */
export function decide(
  vm: VirtualMachine,
  attempt: Attempt,
  evidence: Evidence,
  moment: Moment,
  wanted?: Eviction,
): Decision {
  const proof = proofOfEnd(vm.metadata.uid, attempt, evidence);
  // Who has the guest is not certain: nothing is ended or launched for it before it is (migration.ts), unless nobody wants it anywhere.
  const isMoving = vm.status?.migration !== undefined;
  if (proof && isMoving) {
    const nothing = { kill: false, graceMs: undefined, repair: undefined };
    return { status: vm.status!, soft: false, ended: false, waits: true, ...nothing, againMs: missingLookMs };
  }
  if (proof) {
    const status = closed(vm, endingOf(vm, attempt, evidence.task, proof), proof, moment.nowMs);
    const nothing = { kill: false, graceMs: undefined, repair: undefined, againMs: undefined };
    return { status, soft: false, ended: true, ...nothing };
  }
  const deadMs = deadSince(attempt, evidence);
  const deleting = vm.metadata.deletionTimestamp !== undefined;
  const eviction = deleting ? undefined : wanted;
  const { status, soft } = followed(vm, attempt, evidence, moment, deadMs !== undefined, eviction);
  const common = { status, soft, ended: false, graceMs: eviction?.graceMs };
  const forgetMs = forgetFrom({ ...vm, status });
  if (forgetMs !== undefined && forgetMs <= moment.nowMs)
    return { ...common, forget: true, kill: false, repair: undefined, againMs: forgetRetryMs };
  const fencedInMs =
    fenceWaitMs(status, evidence, moment) ?? (forgetMs === undefined ? undefined : forgetMs - moment.nowMs);
  if (deadMs === undefined) {
    const isUnwanted =
      deleting || eviction?.state === 'Evicting' || isStoppedForGood(vm, reportOf(vm, attempt, evidence));
    const alive = whileAlive(vm.metadata.uid, attempt, evidence, isUnwanted, eviction?.againMs);
    return { ...common, ...alive, kill: alive.kill && (deleting || !isMoving), againMs: alive.againMs ?? fencedInMs };
  }
  const repair = repairFor(vm.metadata.uid, attempt, evidence, moment, deadMs);
  const allowed = isMoving && repair !== undefined ? 'inventory' : repair;
  return { ...common, kill: false, repair: allowed, againMs: 2000 };
}

/** No event tells that its host must have switched it off. */
function fenceWaitMs({ phase }: MachineStatus, { fencedMs }: Evidence, { monotonicMs }: Moment): number | undefined {
  const isAway = phase === 'Unreachable' || phase === 'Terminating';
  return isAway && fencedMs !== undefined ? Math.max(100, fencedMs - monotonicMs) : undefined;
}

function whileAlive(
  uid: string,
  attempt: Attempt,
  evidence: Evidence,
  isUnwanted: boolean,
  againMs: number | undefined,
): Pick<Decision, 'kill' | 'repair' | 'againMs'> {
  // An adopting task is killed only once its executor has it: taken out of a queue it would prove nothing.
  const mayKill = !attempt.adopted || evidence.task?.begunMs !== undefined;
  // A forgotten task ends for Mesos by being killed; the domain, if there is one, is adopted like every other whose task is dead.
  const telling = tellingOf(uid, attempt, evidence);
  const kill = (isUnwanted && mayKill) || telling === 'Forgotten';
  if (kill || telling === 'Told') return { kill, repair: undefined, againMs };
  return { kill, repair: telling === 'Missing' ? 'inventory' : undefined, againMs: missingLookMs };
}

/** Once ends when it is stopped; under every other policy a machine that is off keeps its task, and may be started again. */
function isStoppedForGood({ spec, status }: VirtualMachine, report: MachineReport | undefined): boolean {
  return spec.runPolicy === 'Once' && status?.requestedPower === 'Off' && report?.phase === 'Stopped';
}

function endingOf(vm: VirtualMachine, attempt: Attempt, task: TaskFact | undefined, proof: Proof): Ending {
  const message = task?.termination?.message ?? task?.message ?? '';
  if (proof === 'NeverSent' || proof === 'NeverRan')
    return { outcome: 'Dropped', class: 'Infrastructure', reason: 'LaunchDropped', message };
  const outcome = task?.state === 'TASK_FINISHED' ? 'Finished' : task?.state === 'TASK_KILLED' ? 'Killed' : 'Failed';
  const isDeleted = vm.metadata.deletionTimestamp !== undefined;
  const isStopped = vm.spec.runPolicy === 'Once' && vm.status?.requestedPower === 'Off';
  if (isStopped && !isDeleted && task?.state === 'TASK_KILLED')
    return { outcome, class: 'User', reason: 'StoppedByUser', message: 'Stopped by an operation' };
  const preemption = isDeleted ? undefined : preemptionOf(attempt, task);
  if (preemption) {
    const why = attempt.drain ? (conditionOf(vm, 'Draining')?.message ?? message) : message;
    return {
      outcome: task?.state === 'TASK_KILLED' ? 'Killed' : 'Lost',
      class: 'Preempted',
      reason: preemption,
      message: why,
    };
  }
  // What was to be adopted had gone with its task, or with the power of the host.
  const wasLost = ['NothingToAdopt', 'HostLost', 'SelfFenced'].includes(task?.termination?.reason ?? '');
  if (task?.termination && !wasLost) {
    const { class: by, reason, conflict } = task.termination;
    return { outcome, class: by, reason, message, ...(conflict && { conflict }) };
  }
  if (isDeleted) return { outcome: 'Killed', class: 'User', reason: 'Deleted', message };
  const isFenced = proof === 'SelfFenced' || task?.termination?.reason === 'SelfFenced';
  if (isFenced)
    return {
      outcome: 'Lost',
      class: 'Infrastructure',
      reason: 'SelfFenced',
      message: message || fencedMessage(attempt),
    };
  return { outcome: 'Lost', class: 'Infrastructure', reason: 'HostLost', message };
}

function fencedMessage({ host, fence }: Attempt): string {
  return `Host ${host} has not been heard for longer than ${fence?.after}: it has switched the machine off by itself (selfFenceAfter)`;
}

/** The reason word if it was stopped for its room: on our word, or killed on nobody's that we know. */
function preemptionOf({ drain }: Attempt, task: TaskFact | undefined): string | undefined {
  if (task?.state === 'TASK_FINISHED' || task?.termination?.class === 'Guest') return undefined;
  if (drain?.state === 'Evicting') return drain.reason;
  if (task?.state !== 'TASK_KILLED') return undefined;
  return isAgentDraining(task.reason) ? 'PartnerReclaim' : 'Killed';
}

function repairFor(
  uid: string,
  attempt: Attempt,
  evidence: Evidence,
  { monotonicMs }: Moment,
  deadMs: number,
): Repair | undefined {
  if (evidence.hostAgentId === undefined) return undefined;
  const { executor, task } = evidence;
  if (isAlive(executor, monotonicMs)) {
    const found = executor.inventory !== undefined && executor.inventory.heardMs > deadMs;
    return found && (executor.inventory!.uids.has(uid) || executor.machines.has(uid)) ? 'adopt' : 'inventory';
  }
  const sameAgent = evidence.hostAgentId === attempt.agentID;
  const unknown = task?.state === 'TASK_GONE' || task?.state === 'TASK_UNKNOWN';
  return !attempt.adopted && !evidence.began && sameAgent && unknown && task.begunMs === undefined ? 'again' : 'adopt';
}

function followed(
  vm: VirtualMachine,
  attempt: Attempt,
  evidence: Evidence,
  moment: Moment,
  dead: boolean,
  eviction: Eviction | undefined,
): { readonly status: MachineStatus; readonly soft: boolean } {
  const report = asUsersSee(vm, reportOf(vm, attempt, evidence));
  const before = withoutOldStop(vm);
  const away = withFence(whyAway(attempt, evidence, moment, dead), attempt, evidence);
  const phase = vm.metadata.deletionTimestamp
    ? 'Terminating'
    : away
      ? 'Unreachable'
      : phaseOf(before, evidence.task, report);
  const bootID = attempt.bootID ?? (report === undefined ? undefined : evidence.executor?.heartbeat.bootId);
  const heard = report === undefined ? before : withReport(before, report);
  const known: MachineStatus = {
    ...heard,
    attempt: { ...attemptNow(attempt, eviction, report), ...(bootID === undefined ? {} : { bootID }) },
    ...(phase === 'Running' && heard.networks ? { networks: heard.networks.map(used) } : {}),
  };
  const drafts = away ? awayConditions(away) : phase === 'Terminating' ? [] : conditionsNow(vm, known, phase, report);
  // Said with the report, not before: only then it is certain which host runs the machine, and that is one write.
  const facts = report === undefined ? undefined : evidence.executor?.heartbeat.facts;
  const entered = enter(known, vm, phase, moment.nowMs, [
    ...drafts,
    ...(facts === undefined ? [] : emulated(facts, attempt.host ?? 'unknown')),
    ...(facts === undefined ? [] : ioWeighted(vm.spec, facts, attempt.host ?? 'unknown')),
    ...agentCondition(vm, report?.agent, away?.message),
    ...drainingCondition(vm, eviction),
    ...configCondition(vm, evidence),
  ]);
  const isLeaving = eviction?.state === 'Evicting' && away === undefined;
  const isBlocked = evidence.seedProblem !== undefined && away === undefined;
  const displayStatus = isLeaving
    ? 'Draining'
    : isBlocked
      ? 'ConfigError'
      : (displayedWhile(entered) ?? unreadyWord(phase, drafts));
  const status = displayStatus === undefined ? entered : { ...entered, displayStatus };
  if (attempt.drain?.state !== eviction?.state) return { status, soft: false };
  // The executor's own report of a machine that runs follows TASK_RUNNING within a tenth of a second: both are one write.
  const reportFollows = phase === 'Running' && report === undefined && evidence.executor?.lostMs === undefined;
  return { status, soft: softPhases.has(phase) || reportFollows };
}

/** All of it was sent, and it stands for the moment until the destination has said that it goes on there: that is no pause of its own. */
function asUsersSee({ status }: VirtualMachine, report: MachineReport | undefined): MachineReport | undefined {
  const { migration, phase, power } = status ?? {};
  const isStanding = report?.migration?.state === 'Undecided' && report.migration.id === migration?.id;
  if (!isStanding || (phase !== 'Running' && phase !== 'Paused')) return report;
  const { pausedReason: _, ...rest } = report;
  return { ...rest, phase, power: power ?? 'On' };
}

function used(network: NonNullable<MachineStatus['networks']>[number]): typeof network {
  return network.used || network.ipam === 'External' ? network : { ...network, used: true };
}

/** Always has overruled an earlier Stop. Kept, that would count again once the policy changes. */
function withoutOldStop({ spec, status }: VirtualMachine): MachineStatus {
  const { requestedPower, ...rest } = status!;
  return spec.runPolicy === 'Always' && requestedPower === 'Off' ? rest : status!;
}

function attemptNow({ drain: _, fence, ...rest }: Attempt, eviction?: Eviction, report?: MachineReport): Attempt {
  const attempt = { ...rest, ...(report ? fenceOf(report) : fence && { fence }) };
  if (!eviction) return attempt;
  const { reason, state, deadlineMs } = eviction;
  return { ...attempt, drain: { reason, state, ...(deadlineMs !== undefined && { deadline: timestamp(deadlineMs) }) } };
}

/** Only on machines that were ever to leave a host: on all others it would be written for nothing. */
function drainingCondition(vm: VirtualMachine, eviction: Eviction | undefined): readonly ConditionDraft[] {
  const type = 'Draining';
  if (eviction?.state === 'Evicting' || eviction?.state === 'Migrating')
    return [{ type, status: 'True', reason: eviction.reason, message: eviction.message }];
  if (eviction) return [{ type, status: 'False', reason: 'Waiting', message: eviction.message }];
  return conditionOf(vm, type) ? [notDraining] : [];
}

/** A Secret that went, or was changed, after the machine was found ready to be placed. */
function configCondition(vm: VirtualMachine, { seedProblem }: Evidence): readonly ConditionDraft[] {
  const type = 'ConfigReady';
  if (seedProblem) return [{ type, status: 'False', reason: seedProblem.reason, message: seedProblem.message }];
  const isOver = conditionOf(vm, type)?.status === 'False';
  return isOver ? [{ type, status: 'True', reason: 'Resolved', message: '' }] : [];
}

/** Passed through in seconds, on the way to something else. */
const softPhases: ReadonlySet<MachinePhase> = new Set([
  'Launching',
  'Provisioning',
  'Starting',
  'Stopping',
  'Terminating',
]);

function reportOf(vm: VirtualMachine, attempt: Attempt, { executor }: Evidence): MachineReport | undefined {
  const report = executor?.lostMs === undefined ? executor?.machines.get(vm.metadata.uid) : undefined;
  return report?.attempt === attempt.number ? report : undefined;
}

function withReport({ pausedReason: _, ...before }: MachineStatus, report: MachineReport): MachineStatus {
  const { lastEnd, pausedReason, power, restarts: inPlace } = report;
  return {
    ...(power === 'Off' ? withoutAgent(before) : withGuest(before, report.agent)),
    power,
    ...(inPlace !== (before.restarts?.inPlace ?? 0) && { restarts: { ...before.restarts, inPlace } }),
    ...(pausedReason && { pausedReason }),
    ...(lastEnd && {
      lastTermination: { class: lastEnd.reason === 'HostLost' ? 'Infrastructure' : 'Guest', ...lastEnd },
    }),
  };
}

function conditionsNow(
  vm: VirtualMachine,
  status: MachineStatus,
  phase: MachinePhase,
  report: MachineReport | undefined,
): readonly ConditionDraft[] {
  const { spec } = vm;
  const why = phase === 'Paused' && status.pausedReason ? pausedMessages[status.pausedReason] : undefined;
  const drafts = launchConditions(phase, offAsDeclared(spec.runPolicy, status), why);
  if (phase !== 'Running' || !isProbed(spec)) return drafts;
  return drafts.map((draft) => (draft.type === 'GuestReady' ? probeCondition(vm, report?.readiness) : draft));
}

/** The one word for a machine that runs, and whose guest is not what its probe wants. */
function unreadyWord(phase: MachinePhase, drafts: readonly ConditionDraft[]): 'Booting' | 'NotReady' | undefined {
  const ready = phase === 'Running' ? drafts.find(({ type }) => type === 'GuestReady') : undefined;
  if (ready?.status !== 'False') return undefined;
  return ready.reason === 'Booting' ? 'Booting' : 'NotReady';
}

/** What to say of a machine that is off; undefined if it is not to be. */
function offAsDeclared(policy: VirtualMachine['spec']['runPolicy'], status: MachineStatus): string | undefined {
  if (policy === 'Halted' || status.requestedPower === 'Off') return 'The machine is off, as declared';
  if (policy !== 'Manual') return undefined;
  const { reason, message } = status.lastTermination ?? {};
  return `${reason ? `${reason}: ${message}` : 'The machine is off'}. Start it with an operation`;
}

/** After a restart of ours nothing is known of the task until Mesos answers: then what is stored still holds. */
function phaseOf(before: MachineStatus, task: TaskFact | undefined, report: MachineReport | undefined): MachinePhase {
  const stored = before.phase ?? 'Launching';
  switch (task?.state) {
    case 'TASK_STARTING':
      return report?.phase === 'Starting' || report?.phase === 'Running' ? 'Starting' : 'Provisioning';
    case 'TASK_RUNNING':
    case 'TASK_KILLING':
      return runningPhase(stored, report);
    default:
      return stored === 'Unreachable' && report !== undefined ? runningPhase(stored, report) : stored;
  }
}

function runningPhase(stored: MachinePhase, report: MachineReport | undefined): MachinePhase {
  if (report === undefined) {
    const settled: readonly MachinePhase[] = ['Running', 'Paused', 'Stopping', 'Stopped'];
    return settled.includes(stored) ? stored : 'Running';
  }
  // TASK_RUNNING is sent after the domain was seen running; an earlier report may still be under way.
  if (report.phase === 'Failed' || report.phase === 'Provisioning') return stored === 'Launching' ? 'Running' : stored;
  return report.phase;
}

/** The operator speaks of the agent: of what libvirt runs somebody has to vouch. */
function goneMessage({ host = 'unknown', bootID }: Attempt): string {
  const boot = bootID ?? 'BOOT-ID';
  return (
    `An operator of Mesos declared the agent of host ${host} gone; the machine may run on. If nothing of boot ${boot} runs there any ` +
    `more, annotate its Host: ${annotations.confirmedDead}=${boot}`
  );
}

interface Away {
  readonly reason: 'AgentUnreachable' | 'ExecutorSilent';
  readonly message: string;
}

function whyAway(
  attempt: Attempt,
  { began, task, executor, hostAgentId }: Evidence,
  { monotonicMs, listeningSinceMs }: Moment,
  dead: boolean,
): Away | undefined {
  const host = attempt.host ?? 'unknown';
  if (task?.state === 'TASK_UNREACHABLE')
    return {
      reason: 'AgentUnreachable',
      message: `Mesos does not reach the agent of host ${host}; the machine may run on`,
    };
  if (task?.state === 'TASK_GONE_BY_OPERATOR') return { reason: 'AgentUnreachable', message: goneMessage(attempt) };
  if (!began && task?.begunMs === undefined) return undefined;
  if (dead && hostAgentId === undefined)
    return { reason: 'AgentUnreachable', message: `Host ${host} has no agent; the machine may run on` };
  if (dead)
    return {
      reason: 'ExecutorSilent',
      message: `The executor of host ${host} was lost; what runs there will be adopted`,
    };
  if (!isSilent(executor, monotonicMs, listeningSinceMs)) return undefined;
  return { reason: 'ExecutorSilent', message: `The executor of host ${host} has been silent for over a minute` };
}

/** Its host does by itself what makes it free to run elsewhere. */
function withFence(away: Away | undefined, { fence }: Attempt, { fencedMs }: Evidence): Away | undefined {
  if (!away || fencedMs === undefined) return away;
  const message = `${away.message}. Its host switches it off by itself ${fence?.after} after it last heard of us (selfFenceAfter); then it may run elsewhere`;
  return { ...away, message };
}

function awayConditions({ reason, message }: Away): readonly ConditionDraft[] {
  return [
    { type: 'Reachable', status: 'False', reason, message },
    { type: 'GuestReady', status: 'Unknown', reason: 'Booting', message },
    { type: 'Ready', status: 'False', reason: 'Unreachable', message },
    reconciling(true, 'Unreachable'),
  ];
}

/**
 * Which hosts are to be emptied, and which of their machines go now. Pure. Whoever drains a host by its spec lets budgets and protection
 * hold machines back until the deadline. Who takes the host away in Mesos, by a maintenance window or a drain of the agent, waits for nobody.
 */
import { type ConditionDraft, conditionOf } from '#lib/api/conditions.ts';
import { parseDuration } from '#lib/api/duration.ts';
import type { Host } from '#lib/api/generated/host.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { VMPool } from '#lib/api/generated/vmpool.ts';
import { controllerOf } from '#lib/api/meta.ts';
import { annotations } from '#lib/api/names.ts';
import { timestamp } from '#lib/std/clock.ts';
import type { Agent } from './agents.ts';
import { enter, type MachineStatus } from './attempt.ts';
import type { Attempt } from './proof.ts';

/** A stretch of time, in milliseconds since 1970, in which a host is planned to be away. */
export interface Window {
  readonly startMs: number;
  /** Infinity: for good. */
  readonly endMs: number;
}

/** A machine that would run for less than this before it has to leave is better put elsewhere. */
const usefulMs = 3_600_000;

export function isSoon(window: Window | undefined, noticeMs: number, nowMs: number): boolean {
  return window !== undefined && nowMs >= window.startMs - noticeMs - usefulMs && nowMs < window.endMs;
}

export interface HostDrain {
  readonly cause: 'Spec' | 'Maintenance' | 'MesosAgent';
  /** As condition Draining of a machine says it. */
  readonly reason: 'HostDrain' | 'PartnerReclaim';
  /** When the host has to be empty, in milliseconds since 1970. */
  readonly deadlineMs: number | undefined;
  /** Nothing holds a machine back. */
  readonly isForced: boolean;
  /** A sentence without its end. */
  readonly why: string;
}

export interface DrainInput {
  readonly host: Host | undefined;
  readonly agent: Agent | undefined;
  readonly window: Window | undefined;
  /** How long before a window its host is emptied. */
  readonly noticeMs: number;
  readonly nowMs: number;
}

export function hostDrain({ host, agent, window, noticeMs, nowMs }: DrainInput): HostDrain | undefined {
  const forced = { reason: 'PartnerReclaim', isForced: true } as const;
  if (window && nowMs >= window.startMs - noticeMs && nowMs < window.endMs) {
    const why = `Maintenance is planned from ${timestamp(window.startMs)}`;
    return { cause: 'Maintenance', ...forced, deadlineMs: window.startMs, why };
  }
  if (agent?.isDraining && host?.status?.drain?.agentDrained !== true)
    return { cause: 'MesosAgent', ...forced, deadlineMs: undefined, why: 'An operator of Mesos drains its agent' };
  const asked = host?.spec.drain;
  if (!asked) return undefined;
  const deadlineMs = asked.deadline === undefined ? undefined : Date.parse(asked.deadline);
  const why = `The host is drained${asked.reason ? `: ${asked.reason}` : ''}`;
  return { cause: 'Spec', reason: 'HostDrain', isForced: false, deadlineMs, why };
}

/** For the sake of another machine, or of its gang. */
export type TakenBack = 'Preemption' | 'GangInPart';

/** What a drain means for one machine. */
export interface Eviction {
  readonly reason: 'HostDrain' | 'PartnerReclaim' | TakenBack;
  readonly state: 'Waiting' | 'Migrating' | 'Evicting';
  readonly deadlineMs: number | undefined;
  /** Why, and what it waits for. */
  readonly message: string;
  /** Less than the machine's own grace, where the deadline is nearer; undefined: its own. */
  readonly graceMs: number | undefined;
  /** When it is not held back any longer. */
  readonly againMs: number | undefined;
}

/** Forced early enough for the machine's own grace to end at the deadline. What was begun is not taken back. */
export function evictionOf(vm: VirtualMachine, attempt: Attempt, drain: HostDrain, nowMs: number): Eviction {
  const { reason, deadlineMs, why } = drain;
  const ownMs = parseDuration(vm.spec.terminationGracePeriod);
  const leftMs = deadlineMs === undefined ? Number.POSITIVE_INFINITY : Math.max(0, deadlineMs - nowMs);
  const isFree = drain.isForced || leftMs <= ownMs || attempt.drain?.state === 'Evicting';
  const holder = isFree ? undefined : holderOf(vm, attempt);
  if (holder === undefined)
    return {
      ...{ reason, deadlineMs, state: 'Evicting', message: why, againMs: undefined },
      graceMs: leftMs < ownMs ? leftMs : undefined,
    };
  const until = deadlineMs === undefined ? '' : `, until ${timestamp(deadlineMs - ownMs)} at most`;
  const message = `${why}; it waits for ${holder}${until}`;
  const againMs = deadlineMs === undefined ? undefined : leftMs - ownMs;
  return { reason, deadlineMs, state: 'Waiting', message, graceMs: undefined, againMs };
}

/** It goes as it runs: nothing is stopped, so nobody has to give leave. */
export function holdingBack(
  { reason, deadlineMs, why }: HostDrain,
  what: string,
  againMs: number | undefined,
): Eviction {
  return { reason, deadlineMs, state: 'Migrating', message: `${why}; ${what}`, graceMs: undefined, againMs };
}

/** What holds a machine back. */
function holderOf(vm: VirtualMachine, attempt: Attempt): string | undefined {
  const notes = vm.metadata.annotations ?? {};
  if (notes[annotations.scaleInProtection] === 'true')
    return `its annotation ${annotations.scaleInProtection} to be removed`;
  const owner = controllerOf(vm);
  if (owner?.kind !== VMPool.kind || notes[annotations.drainGranted] === String(attempt.number)) return undefined;
  return `pool ${owner.name} to let it go (spec.minAvailable)`;
}

/** It leaves its host for another reason than the host's: stored, so that it goes on after a restart. */
export function evicting(vm: VirtualMachine, reason: TakenBack, message: string, nowMs: number): MachineStatus {
  const attempt = { ...vm.status!.attempt!, drain: { reason, state: 'Evicting' as const } };
  const draining: ConditionDraft = { type: 'Draining', status: 'True', reason, message };
  const entered = enter({ ...vm.status, attempt }, vm, vm.status?.phase ?? 'Launching', nowMs, [draining]);
  return { ...entered, displayStatus: 'Draining' };
}

/** What was so begun; undefined: nothing. */
export function begunEviction(vm: VirtualMachine, { drain }: Attempt): Eviction | undefined {
  if (drain?.reason !== 'Preemption' && drain?.reason !== 'GangInPart') return undefined;
  const message = conditionOf(vm, 'Draining')?.message ?? '';
  const own = { deadlineMs: undefined, graceMs: undefined, againMs: undefined };
  return { reason: drain.reason, state: 'Evicting', message, ...own };
}

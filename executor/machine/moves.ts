/** The ways from one phase into another, shared by everything that decides. Pure. */
import type { AddressConflict } from '#lib/api/launch.ts';
import type { MachineEnd } from '#lib/api/messages.ts';
import { timestamp } from '#lib/std/clock.ts';
import { messageOfReason } from './reasons.ts';
import { awaitsPlug, type Effect, type HostEffect, type MachineState, type Outcome, type Unhealthy } from './state.ts';

/** A state, what to report, and at most one thing to do to the host. */
export interface Verdict {
  readonly state: MachineState;
  readonly effects: readonly Effect[];
  readonly host?: HostEffect;
}

/** From start to running; design's limit for the phase Starting. */
const startingMs = 120_000;
/** Running this long means that the trouble before is over. */
export const quietMs = 600_000;
/** So many crashes within `quietMs` end the attempt: another host may do better. */
const maxCrashes = 3;

export function stay(state: MachineState, host?: HostEffect): Verdict {
  return { state, effects: [], ...(host === undefined ? {} : { host }) };
}

/** Holds back an effect that was just tried without success. */
export function gate(verdict: Verdict, now: number): Verdict {
  const { last } = verdict.state;
  if (verdict.host === undefined || last?.effect !== verdict.host || now >= last.retryAt) return verdict;
  const { host: _, ...waiting } = verdict;
  return waiting;
}

/**
 * Enters a phase in which the machine is as wanted or on the way to it. TASK_RUNNING says once that the task holds a machine, and that
 * nobody else has the addresses of one that runs.
 */
export function enter(
  state: MachineState,
  name: 'Starting' | 'Running' | 'Paused' | 'Stopped',
  now: number,
  message?: string,
): Verdict {
  const { last: _, message: __, ...rest } = state;
  const base: MachineState = message === undefined ? rest : { ...rest, message };
  if (name === 'Starting') return stay({ ...base, phase: { name, deadline: now + startingMs } });
  const phase = name === 'Running' ? { name, since: now } : { name };
  if (state.announced || (name !== 'Stopped' && awaitsPlug(state))) return stay({ ...base, phase });
  const text = name === 'Stopped' ? 'Held powered off' : 'Running';
  return {
    state: { ...base, phase, announced: true },
    effects: [{ type: 'status', state: 'TASK_RUNNING', message: text }],
  };
}

/** Begins to remove all there is. Whatever comes after only makes it more urgent: the first outcome stands. */
export function remove(state: MachineState, deadline: number, outcome: Outcome): Verdict {
  const { phase } = state;
  if (phase.name === 'Removing') {
    return stay({ ...state, phase: { ...phase, deadline: Math.min(phase.deadline, deadline) } });
  }
  const { last: _, ...rest } = state;
  return {
    state: { ...rest, phase: { name: 'Removing', deadline, cleaned: false, outcome }, operations: [] },
    effects: state.operations.map(({ id, operation }) => ({
      type: 'operation',
      id,
      state: 'Failed',
      message: `Cannot ${operation}: the machine is being removed (${outcome.termination.reason})`,
    })),
  };
}

/** Ends the attempt for a fault of the host: power is cut at once, there is nothing to save. */
export function failTask(
  state: MachineState,
  reason: string,
  message: string,
  now: number,
  conflict?: AddressConflict,
): Verdict {
  const fault = { class: 'Infrastructure', reason, message, terminal: false } as const;
  const termination = { ...fault, ...(conflict && { conflict }) };
  return remove(state, now, { state: 'TASK_FAILED', termination });
}

/** The guest went off by itself: applies onGuestShutdown or onGuestCrash. */
export function guestWentOff(
  state: MachineState,
  reason: 'Shutdown' | 'Crashed' | 'Destroyed' | undefined,
  now: number,
): Verdict {
  return reason === 'Shutdown' ? guestShutDown(state, now) : guestCrashed(state, reason, now);
}

function ended(state: MachineState, reason: MachineEnd['reason'], message: string, now: number): MachineState {
  return { ...state, lastEnd: { reason, message, time: timestamp(now) } };
}

function guestShutDown(state: MachineState, now: number): Verdict {
  const message = messageOfReason.GuestShutdown;
  switch (state.launch.onGuestShutdown) {
    case 'Restart':
      return restartLater(ended(state, 'GuestShutdown', message, now), now, message);
    case 'Stop':
      return enter(ended(state, 'GuestShutdown', message, now), 'Stopped', now, message);
    case 'Finish':
      return remove(state, now, guestOutcome('TASK_FINISHED', 'GuestShutdown', message));
  }
}

function guestCrashed(state: MachineState, offReason: string | undefined, now: number): Verdict {
  const message = offReason === 'Destroyed' ? messageOfReason.PowerCut : messageOfReason.GuestCrashed;
  return guestFailed(state, 'GuestCrashed', message, now);
}

/** The guest is off because it crashed, or because it failed its probes. */
export function guestFailed(
  state: MachineState,
  reason: 'GuestCrashed' | Unhealthy['reason'],
  message: string,
  now: number,
): Verdict {
  const crashes = [...state.crashes.filter((time) => now - time < quietMs), now];
  switch (state.launch.onGuestCrash) {
    case 'Restart':
      if (crashes.length >= maxCrashes)
        return remove(state, now, guestOutcome('TASK_FAILED', 'CrashLoop', messageOfReason.CrashLoop));
      return restartLater(ended({ ...state, crashes }, reason, message, now), now, message);
    case 'Stop':
      return enter(ended({ ...state, crashes }, reason, message, now), 'Stopped', now, message);
    case 'Fail':
      return remove(state, now, guestOutcome('TASK_FAILED', reason, message));
  }
}

/** Asks it to shut down first: a guest may be well although what it is for is not. */
export function giveUp(state: MachineState, because: Unhealthy, now: number): Verdict {
  const { last: _, ...rest } = state;
  const deadline = now + state.launch.terminationGraceMs;
  return stay({ ...rest, phase: { name: 'Stopping', deadline, next: 'Start', because }, message: because.message });
}

/** Found off, and nobody switched it off: its host lost its power. Who runs once must not run again, nor who is started by hand. */
export function hostWentOff(state: MachineState, now: number): Verdict {
  const message = messageOfReason.HostLost;
  switch (state.launch.onGuestCrash) {
    case 'Restart':
      return enter(state, 'Starting', now, message);
    case 'Stop':
      return enter(ended(state, 'HostLost', message, now), 'Stopped', now, message);
    case 'Fail':
      return failTask(state, 'HostLost', message, now);
  }
}

function guestOutcome(state: Outcome['state'], reason: MachineEnd['reason'] | 'CrashLoop', message: string): Outcome {
  return { state, termination: { class: 'Guest', reason, message, terminal: false } };
}

/** 1 s, then twice as long each time, to five minutes: a guest that turns itself off at once must not keep the host busy. */
function restartLater(state: MachineState, now: number, message: string): Verdict {
  const delayMs = Math.min(300_000, 1000 * 2 ** state.restartsInRow);
  const phase = { name: 'Waiting', until: now + delayMs } as const;
  return stay({ ...state, phase, restartsInRow: state.restartsInRow + 1, message });
}

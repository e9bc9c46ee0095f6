/**
 * What happens to a machine: pure, `(state, event, now) -> { state, effects }`. No clock, no chance, no host in here. The driver
 * journals the state before it performs the effects, and answers each effect on the host with `done` or `failed` and a new look.
 */
import type { OperationOrder, PolicyOrder } from '#lib/api/messages.ts';
import { heard } from './health.ts';
import { looked } from './looked.ts';
import { type Answered, kept, migration, resumed } from './migrate.ts';
import { enter, failTask, gate, quietMs, remove, stay, type Verdict } from './moves.ts';
import { messageOfReason } from './reasons.ts';
import {
  awaitsSecrets,
  type Effect,
  type HostEffect,
  type Kill,
  type MachineEvent,
  type MachineState,
  type Step,
} from './state.ts';

/** Orders beyond this many unfinished ones are refused: an operator does not queue more in earnest. */
const maxPending = 8;
/** Of making or starting a domain, before the attempt is given up. */
const maxTries = 3;

export function transition(state: MachineState, event: MachineEvent, now: number): Step {
  if (state.phase.name === 'Gone')
    return event.type === 'order' ? refuse(state, event.order, 'is gone') : { ...keep(state), refusal: 'It is gone' };
  switch (event.type) {
    case 'resumed':
      return flatten(resumed(state, now));
    case 'looked':
      return afterLook(state, event, now);
    case 'kill':
      return flatten(kill(state, event, now));
    case 'order':
      return order(state, event.order, now);
    case 'policy':
      return keep(withPolicy(state, event.order));
    case 'secrets':
      return awaitsSecrets(state) ? flatten(stay(state, 'seed')) : keep(state);
    case 'migrate':
    case 'migration-end':
    case 'describe':
    case 'receive':
    case 'finish':
    case 'refuse':
    case 'sent':
    case 'unsent':
    case 'decided':
      return flatten(migration(state, event, now));
    case 'up':
    case 'unhealthy':
    case 'rebooted':
      return flatten(heard(state, event, now));
    case 'done':
      return done(tried(state, event.effect, now), event.effect, now);
    case 'failed':
      return failed(tried(state, event.effect, now), event, now);
  }
}

function keep(state: MachineState): Step {
  return { state, effects: [] };
}

/** While a guest is being taken over it may be nobody's or ours: the next look tells, and only then it can be ended. */
function kill(state: MachineState, { graceMs, outcome }: Kill, now: number): Verdict {
  const { phase } = state;
  if (phase.name !== 'Taking') return remove(state, now + graceMs, outcome);
  return stay({ ...state, phase: { ...phase, kill: phase.kill ?? { graceMs, outcome } } });
}

function flatten(verdict: Answered): Step {
  const { host, ...step } = verdict;
  return host === undefined ? step : { ...step, effects: [...step.effects, { type: 'host', effect: host }] };
}

function afterLook(before: MachineState, event: MachineEvent & { type: 'looked' }, now: number): Step {
  const expired = before.operations.filter((operation) => operation.deadline <= now);
  const effects: Effect[] = expired.map(({ id, operation }) => ({
    type: 'operation',
    id,
    state: 'Failed',
    message: `${operation} was not done in time: the machine is ${before.phase.name}`,
  }));
  const seen: MachineState = {
    ...before,
    power: event.domain?.receiving ? 'Off' : (event.domain?.power ?? 'Off'),
    operations: before.operations.filter((operation) => operation.deadline > now),
  };
  const { name } = before.phase;
  // Of one that is being taken over it must be known first whether it is here.
  const isOver = event.fenced && name !== 'Removing' && name !== 'Taking';
  const verdict = isOver ? fenced(seen, now) : looked(calmed(seen, now), event.domain, now);
  const step = flatten(gate(verdict, now));
  return { ...step, effects: [...effects, ...step.effects] };
}

/** For good: the cluster server may have it run elsewhere by now. */
function fenced(state: MachineState, now: number): Verdict {
  return failTask(state, 'SelfFenced', messageOfReason.SelfFenced, now);
}

/** A guest that has run for a while gets a fresh delay at its next restart. */
function calmed(state: MachineState, now: number): MachineState {
  const { phase } = state;
  if (phase.name !== 'Running' || now - phase.since < quietMs || state.restartsInRow === 0) return state;
  return { ...state, restartsInRow: 0, crashes: [] };
}

function order(state: MachineState, wish: OperationOrder, now: number): Step {
  if (state.operations.some(({ id }) => id === wish.id)) return keep(state);
  if (wish.attempt !== state.launch.attempt)
    return refuse(state, wish, `runs attempt ${state.launch.attempt}, the order is for attempt ${wish.attempt}`);
  if (state.phase.name === 'Removing') return refuse(state, wish, 'is being removed');
  if (state.operations.length >= maxPending) return refuse(state, wish, `has ${maxPending} unfinished operations`);
  const { id, operation, force, timeoutMs } = wish;
  const pending = { id, operation, force, deadline: now + timeoutMs, begun: false };
  return keep({ ...state, operations: [...state.operations, pending] });
}

/** Kept as if it had been launched with it. */
function withPolicy(state: MachineState, { attempt, onGuestShutdown, onGuestCrash }: PolicyOrder): MachineState {
  const { launch } = state;
  return launch.attempt === attempt ? { ...state, launch: { ...launch, onGuestShutdown, onGuestCrash } } : state;
}

function refuse(state: MachineState, { id, operation }: OperationOrder, why: string): Step {
  const message = `Cannot ${operation}: machine ${state.launch.uid} ${why}`;
  return { state, effects: [{ type: 'operation', id, state: 'Failed', message }] };
}

/** A power button is pressed again after 10 s only, because guests ignore it while they boot; anything else soon, then seldom. */
function tried(state: MachineState, effect: HostEffect, now: number): MachineState {
  const tries = state.last?.effect === effect ? state.last.tries + 1 : 1;
  const delayMs = effect === 'shutdown' ? 10_000 : Math.min(30_000, 500 * 2 ** (tries - 1));
  return { ...state, last: { effect, tries, retryAt: now + delayMs } };
}

function done(state: MachineState, effect: HostEffect, now: number): Step {
  const { phase } = state;
  if (effect === 'seed') return seeded(state);
  if (effect === 'plug' && phase.name === 'Running') return flatten(enter({ ...state, plugged: true }, 'Running', now));
  if (effect === 'provision' && phase.name === 'Provisioning') {
    const { incoming } = state.launch;
    if (incoming) return keep(ready(state, now + incoming.timeoutMs));
    return flatten(enter(state, state.launch.power === 'On' ? 'Starting' : 'Stopped', now));
  }
  if (effect === 'refuse' && phase.name === 'Taking') return keep({ ...state, phase: { ...phase, refused: true } });
  if (effect === 'keep') return keep(kept(state));
  if (effect === 'remove' && phase.name === 'Removing') return keep({ ...state, phase: { ...phase, cleaned: true } });
  if (effect === 'reset') return settleFirst(heard(state, { type: 'rebooted' }, now).state, 'Completed', 'Reset');
  return keep(state);
}

function ready({ message: _, last: __, ...state }: MachineState, deadline: number): MachineState {
  return { ...state, phase: { name: 'Receiving', deadline } };
}

function seeded({ message: _, last: __, ...state }: MachineState): Step {
  return keep({ ...state, phase: { name: 'Provisioning' }, seeded: true });
}

/**
 * A machine that was here before has a disk that the end of its attempt would take: what it cannot start with, such as a store of images
 * that is out of reach, may come back within the time that a start has.
 */
function mayComeBack({ announced, launch, phase }: MachineState, now: number): boolean {
  return phase.name === 'Starting' && (announced || launch.adopt) && now < phase.deadline;
}

/**
 * A step that fails before the guest runs is tried again, because libvirt may just have been restarted, and then ends the attempt; one of a
 * guest that runs, or on the way out, is tried until it works. With an address that somebody else has the same machine is not tried again.
 */
function failed(state: MachineState, event: MachineEvent & { type: 'failed' }, now: number): Step {
  const { effect, message: reason, conflict } = event;
  const withMessage = { ...state, message: `${effect} failed: ${reason}` };
  switch (effect) {
    case 'seed':
    case 'provision':
    case 'start': {
      if ((state.last?.tries ?? 0) < maxTries || mayComeBack(state, now)) return keep(withMessage);
      return flatten(failTask(withMessage, effect === 'start' ? 'StartFailed' : 'ProvisioningFailed', reason, now));
    }
    case 'reset':
    case 'suspend':
    case 'resume':
      return settleFirst(state, 'Failed', `${effect} failed: ${reason}`);
    case 'plug':
      if (conflict) return flatten(failTask(withMessage, 'AddressConflict', reason, now, conflict));
      return keep(withMessage);
    case 'receive':
      if (state.phase.name !== 'Receiving') return keep(withMessage);
      return flatten(failTask(withMessage, 'MigrationRefused', `The machine was not taken over: ${reason}`, now));
    case 'take':
      return keep({ ...state, message: reason });
    // The source is told, and gives up.
    case 'describe':
      return keep(state);
    case 'shutdown':
    case 'destroy':
    case 'refuse':
    case 'keep':
    case 'release':
    case 'remove':
      return keep(withMessage);
  }
}

/** Ends the operation under way, which is always the oldest. */
function settleFirst(state: MachineState, outcome: 'Completed' | 'Failed', message: string): Step {
  const [first, ...rest] = state.operations;
  if (!first) return keep(state);
  return {
    state: { ...state, operations: rest },
    effects: [{ type: 'operation', id: first.id, state: outcome, message }],
  };
}

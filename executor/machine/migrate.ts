/**
 * A machine that runs is handed from host to host. Pure. The destination decides: it stores that it takes the guest before it does, and that
 * it refuses it before anybody hears of that. The source stores that all was sent before it asks for the guest to be taken; until it knows
 * what became of that, the guest stands. So at every moment one host at most may let it run, whoever is killed and whatever is lost.
 */
import type { MigrateOrder, MigrationEndOrder } from '#lib/api/messages.ts';
import type { Domain } from '../hypervisor.ts';
import { enter, failTask, guestWentOff, remove, stay, type Verdict } from './moves.ts';
import {
  awaitsPlug,
  type HostEffect,
  type MachineState,
  type MigrationEvent,
  type Outcome,
  outcomeOf,
  type Phase,
} from './state.ts';

type In<Name extends Phase['name']> = MachineState & { readonly phase: Extract<Phase, { name: Name }> };

export type Answered = Verdict & { readonly refusal?: string };

export function migration(state: MachineState, event: MigrationEvent, now: number): Answered {
  switch (event.type) {
    case 'migrate':
      return migrate(state, event.order, now);
    case 'migration-end':
      return endOrdered(state, event.order, now);
    case 'sent':
    case 'unsent':
    case 'decided':
      return atSource(state, event, now);
    case 'describe':
    case 'receive':
    case 'finish':
    case 'refuse':
      return atDestination(state, event, now);
  }
}

/** Orders are repeated until they show: what cannot be begun now, but may soon, waits for the next. */
function migrate(state: MachineState, order: MigrateOrder, now: number): Verdict {
  const { phase, launch } = state;
  const { id, to, timeoutMs } = order;
  if (order.attempt !== launch.attempt || state.migration?.id === id) return stay(state);
  // The endpoint of a destination is another one with every worker of it.
  if (phase.name === 'Migrating') return stay(phase.id === id ? { ...state, phase: { ...phase, to } } : state);
  if (phase.name === 'Running' || phase.name === 'Paused') {
    if (state.operations.length > 0 || awaitsPlug(state)) return stay(state);
    const { last: _, migration: __, ...rest } = state;
    return stay({ ...rest, phase: { name: 'Migrating', id, to, deadline: now + timeoutMs, before: phase } });
  }
  if (phase.name === 'Removing' || outcomeOf(state) === 'Receiving') return stay(state);
  const message = `Cannot be sent to ${to.hostname}: it is ${phase.name}, and only what runs or is paused moves`;
  return stay({ ...state, migration: { id, state: 'Failed', message } });
}

function endOrdered(state: MachineState, { id, gone, message }: MigrationEndOrder, now: number): Verdict {
  const { phase, launch } = state;
  if (phase.name === 'Migrating' && phase.id === id) {
    return phase.sent === undefined || gone ? end({ ...state, phase }, message) : stay(state);
  }
  return launch.incoming?.migration === id ? refuse(state, message, now) : stay(state);
}

/** The guest stays. The first reason stands. */
function end(state: In<'Migrating'>, message: string): Verdict {
  const { phase } = state;
  if (phase.ending) return stay(state, 'keep');
  const { last: _, ...rest } = state;
  return stay({ ...rest, phase: { ...phase, ending: { message } } }, 'keep');
}

const left: Outcome = {
  state: 'TASK_FINISHED',
  termination: {
    ...{ class: 'Infrastructure', reason: 'Migrated', message: 'The machine goes on at another host' },
    terminal: false,
  },
};

function atSource(
  state: MachineState,
  event: Extract<MigrationEvent, { type: 'sent' | 'unsent' | 'decided' }>,
  now: number,
): Answered {
  const { phase } = state;
  if (phase.name !== 'Migrating' || phase.id !== event.id || phase.ending)
    return { ...stay(state), refusal: 'The migration is over' };
  switch (event.type) {
    case 'sent':
      return stay({ ...state, phase: { ...phase, sent: event.sent } });
    case 'unsent':
      // Once somebody may have been asked to take it, nobody but the destination knows.
      return phase.sent === undefined ? end({ ...state, phase }, event.message) : stay(state);
    case 'decided':
      if (phase.sent === undefined) return stay(state);
      return event.taken
        ? remove(state, now, left)
        : end({ ...state, phase }, `Host ${phase.to.hostname} has refused it`);
  }
}

/** The guest went off before all of it was there: there is nothing to send. */
export function migrating(state: In<'Migrating'>, domain: Domain | undefined, now: number): Verdict {
  const { phase } = state;
  if (phase.ending) return stay(state, 'keep');
  if (phase.sent !== undefined) return stay(state);
  if (!domain || domain.power === 'Off') return end(state, 'The guest went off meanwhile');
  return now < phase.deadline ? stay(state) : end(state, 'It was not sent in the time that it has');
}

/** The guest goes on here, as before. */
export function kept(state: MachineState): MachineState {
  const { phase, last: _, ...rest } = state;
  if (phase.name !== 'Migrating' || !phase.ending) return state;
  const { id, ending, before } = phase;
  return { ...rest, phase: before, migration: { id, state: 'Failed', message: ending.message } };
}

function atDestination(
  state: MachineState,
  event: Extract<MigrationEvent, { type: 'describe' | 'receive' | 'finish' | 'refuse' }>,
  now: number,
): Answered {
  const { phase, launch } = state;
  if (launch.incoming?.migration !== event.id) return { ...stay(state), refusal: 'Another migration is under way' };
  if (event.type === 'refuse') return refuse(state, event.message, now);
  if (phase.name !== 'Receiving') return { ...stay(state), refusal: `The destination is not receiving: ${phase.name}` };
  if (event.type === 'finish') {
    if (!phase.begun) return { ...stay(state), refusal: 'Nothing was sent' };
    return go(state, { name: 'Taking' }, 'take');
  }
  if (phase.begun) return { ...stay(state), refusal: 'It was begun already, and cannot be begun again' };
  return event.type === 'describe' ? stay(state, 'describe') : go(state, { ...phase, begun: true }, 'receive');
}

function go({ last: _, message: __, ...state }: MachineState, phase: Phase, host: HostEffect): Verdict {
  return stay({ ...state, phase }, host);
}

/** For good, unless the guest may be here already. */
function refuse(state: MachineState, why: string, now: number): Verdict {
  const { name } = state.phase;
  return name === 'Provisioning' || name === 'Receiving' ? refused(state, why, now) : stay(state);
}

function refused(state: MachineState, why: string, now: number): Verdict {
  return failTask(state, 'MigrationRefused', `The machine was not taken over: ${why}`, now);
}

/** A worker before this one had it. What was sent to that one is gone with it. */
export function resumed(state: MachineState, now: number): Verdict {
  const { phase } = state;
  const why = 'the executor of the host was started anew meanwhile';
  if (phase.name === 'Receiving' && phase.begun) return refused(state, why, now);
  if (phase.name === 'Migrating' && phase.sent === undefined)
    return end({ ...state, phase }, `It was not sent: ${why}`);
  return stay(state);
}

export function receiving(state: In<'Receiving'>, domain: Domain | undefined, now: number): Verdict {
  const { phase } = state;
  if (now >= phase.deadline) return refused(state, 'it was not sent in the time that it has', now);
  if (phase.begun && !domain?.receiving) return refused(state, 'the connection to its host broke off', now);
  // Of an earlier life.
  return !phase.begun && domain?.receiving ? stay(state, 'refuse') : stay(state);
}

/**
 * It was said to the hypervisor that it takes the guest, or a worker was killed before it could. A domain like any other, also one that has
 * gone off since, is the machine; anything else is made sure of that it never becomes one.
 */
export function taking(state: In<'Taking'>, domain: Domain | undefined, now: number): Verdict {
  const { refused: isRefused, kill } = state.phase;
  if (domain && !domain.receiving) return takenOver({ ...state, taken: true }, domain, now);
  if (domain || !isRefused) return stay(state, 'refuse');
  return kill ? remove(state, now, kill.outcome) : refused(state, state.message ?? 'the guest did not come', now);
}

function takenOver(state: MachineState & In<'Taking'>, domain: Domain, now: number): Verdict {
  const { kill } = state.phase;
  if (kill) return remove(state, now + kill.graceMs, kill.outcome);
  if (domain.power !== 'Off') return enter(state, domain.power === 'On' ? 'Running' : 'Paused', now);
  const { state: running, effects } = enter(state, 'Running', now);
  const verdict = guestWentOff(running, domain.offReason, now);
  return { ...verdict, effects: [...effects, ...verdict.effects] };
}

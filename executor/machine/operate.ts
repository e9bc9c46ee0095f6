/** Power operations on a machine that is at rest: running, paused, stopped or waiting for its restart. Pure. */
import { enter, stay, type Verdict } from './moves.ts';
import type { MachineState, PendingOperation } from './state.ts';

type Decision = (state: MachineState, operation: PendingOperation, now: number) => Verdict;

/**
 * Takes up the oldest operation. Each is decided by what is there, so one that a killed worker had half done is simply gone on with. A
 * reset may so happen twice within moments, which no guest can tell from once; a lost one would be worse.
 */
export function operate(state: MachineState, now: number): Verdict {
  const [operation] = state.operations;
  return operation ? decisions[operation.operation](state, operation, now) : stay(state);
}

const decisions: Readonly<Record<PendingOperation['operation'], Decision>> = {
  Start,
  Stop,
  Restart,
  Reset,
  Pause,
  Resume,
};

function Start(state: MachineState, _operation: PendingOperation, now: number): Verdict {
  if (state.phase.name === 'Running') return finish(state, 'Completed', 'Running');
  if (state.phase.name === 'Paused') return finish(state, 'Failed', 'Cannot Start: the machine is paused; use Resume');
  return enter(state, 'Starting', now);
}

function Stop(state: MachineState, operation: PendingOperation, now: number): Verdict {
  if (state.phase.name === 'Stopped') return finish(state, 'Completed', 'Stopped');
  if (state.phase.name === 'Waiting') return enter(state, 'Stopped', now);
  return cutOrAsk(state, operation, now, 'Stop');
}

function Restart(state: MachineState, operation: PendingOperation, now: number): Verdict {
  const isOff = state.phase.name === 'Stopped' || state.phase.name === 'Waiting';
  if (operation.begun && state.phase.name === 'Running') return finish(state, 'Completed', 'Restarted');
  const begun = { ...state, operations: [{ ...operation, begun: true }, ...state.operations.slice(1)] };
  return isOff ? enter(begun, 'Starting', now) : cutOrAsk(begun, operation, now, 'Start');
}

function cutOrAsk(state: MachineState, operation: PendingOperation, now: number, next: 'Start' | 'Stop'): Verdict {
  const deadline = operation.force ? now : now + state.launch.terminationGraceMs;
  return stay({ ...state, phase: { name: 'Stopping', deadline, next } });
}

function Reset(state: MachineState): Verdict {
  if (state.phase.name === 'Running') return stay(state, 'reset');
  return finish(state, 'Failed', `Cannot Reset: the machine is ${state.phase.name}`);
}

function Pause(state: MachineState): Verdict {
  // Whatever paused it: from now on it stays so until it is resumed.
  if (state.phase.name === 'Paused')
    return finish({ ...state, phase: { name: 'Paused', held: true } }, 'Completed', 'Paused');
  if (state.phase.name === 'Running') return stay(state, 'suspend');
  return finish(state, 'Failed', `Cannot Pause: the machine is ${state.phase.name}`);
}

function Resume(state: MachineState): Verdict {
  if (state.phase.name === 'Running') return finish(state, 'Completed', 'Running');
  if (state.phase.name === 'Paused') {
    const { held: _, ...phase } = state.phase;
    return stay({ ...state, phase }, 'resume');
  }
  return finish(state, 'Failed', `Cannot Resume: the machine is ${state.phase.name}`);
}

function finish(state: MachineState, outcome: 'Completed' | 'Failed', message: string): Verdict {
  const [operation, ...rest] = state.operations;
  return {
    state: { ...state, operations: rest },
    effects: [{ type: 'operation', id: operation!.id, state: outcome, message }],
  };
}

/**
 * What the probes of a machine say of its guest, and what is done about it. Pure. A guest is given up only in the run that was probed, while
 * nothing else is to be done with it, and by a probe of liveness only once it has come up: one that boots, for whatever reason and however
 * long, is left alone unless its probe of startup says otherwise.
 */
import { giveUp, stay, type Verdict } from './moves.ts';
import { awaitsPlug, type MachineEvent, type MachineState } from './state.ts';

type Heard = Extract<MachineEvent, { readonly type: 'up' | 'unhealthy' | 'rebooted' }>;

export function heard(state: MachineState, event: Heard, now: number): Verdict {
  const { phase, launch } = state;
  // One that is being sent goes on; it is not given up meanwhile.
  if (phase.name === 'Migrating' && phase.before.name === 'Running' && event.type !== 'unhealthy') {
    const { phase: before } = heard({ ...state, phase: phase.before }, event, now).state;
    return stay(before.name === 'Running' ? { ...state, phase: { ...phase, before } } : state);
  }
  if (phase.name !== 'Running' || (!launch.liveness && !launch.startup)) return stay(state);
  if (event.type === 'rebooted') return stay(phase.up ? { ...state, phase: { name: 'Running', since: now } } : state);
  if (event.since !== phase.since) return stay(state);
  if (event.type === 'up') return stay(phase.up ? state : { ...state, phase: { ...phase, up: true } });
  const { reason, message } = event;
  const counts = reason === 'LivenessFailed' ? launch.liveness && phase.up : launch.startup && !phase.up;
  if (!counts || state.operations.length > 0 || state.power !== 'On' || awaitsPlug(state)) return stay(state);
  return giveUp(state, { reason, message }, now);
}

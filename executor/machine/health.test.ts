import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { MachineLaunch } from '#lib/api/launch.ts';
import type { Domain } from '../hypervisor.ts';
import { machineLaunch } from '../testing/world.ts';
import { accepted, type MachineEvent, type MachineState, type Phase, reportOf } from './state.ts';
import { transition } from './transitions.ts';

const uid = randomUUID();
const [since, now] = [900_000, 1_000_000];
const probe = { initialDelayMs: 0, periodMs: 1, timeoutMs: 1, successThreshold: 1, failureThreshold: 1 };
const on: Domain = { uid, attempt: 1, power: 'On' };
const off: Domain = { uid, attempt: 1, power: 'Off' };
const message = 'The guest has failed its probe 3 times in a row';
const failed: MachineEvent = { type: 'unhealthy', since, reason: 'LivenessFailed', message };
const late: MachineEvent = { type: 'unhealthy', since, reason: 'StartupTimeout', message };
const order = { type: 'operation', version: 1, id: 'o', uid, attempt: 1, operation: 'Pause', force: false } as const;

function runs(changes: Partial<MachineState> = {}, launch: Partial<MachineLaunch> = {}, up = true): MachineState {
  const phase: Phase = { name: 'Running', since, ...(up ? { up: true as const } : {}) };
  const made = machineLaunch(uid, { liveness: probe, startup: probe, ...launch });
  return { ...accepted(made), announced: true, power: 'On', phase, ...changes };
}

const heard = (state: MachineState, ...events: MachineEvent[]): MachineState =>
  events.reduce((before, event) => transition(before, event, now).state, state);
const look = (domain: Domain): MachineEvent => ({ type: 'looked', domain });

describe('a guest that fails its probe', () => {
  test('is asked to shut down, cut off after its grace, and started again as one that has crashed', () => {
    const given = heard(runs(), failed);
    expect(given.phase).toMatchObject({ name: 'Stopping', deadline: now + 5_000, next: 'Start' });
    const asked = transition(given, look(on), now);
    expect(asked.effects).toEqual([{ type: 'host', effect: 'shutdown' }]);
    expect(transition(asked.state, look(on), now + 6_000).effects).toEqual([{ type: 'host', effect: 'destroy' }]);
    const waits = heard(given, look(off));
    expect(waits).toMatchObject({ phase: { name: 'Waiting', until: now + 1_000 }, restartsInRow: 1, crashes: [now] });
    expect(reportOf(waits)).toMatchObject({ lastEnd: { reason: 'LivenessFailed', message } });
    expect(transition(waits, look(off), now + 1_000).state).toMatchObject({ phase: { name: 'Starting' }, restarts: 1 });
  });

  test.each([
    ['Stop', 'Stopped'],
    ['Fail', 'Removing'],
  ] as const)('under onGuestCrash %s is %s', (onGuestCrash, phase) => {
    const state = heard(runs({}, { onGuestCrash }), failed, look(off));
    expect(state.phase.name).toBe(phase);
    if (state.phase.name === 'Removing')
      expect(state.phase.outcome).toMatchObject({ state: 'TASK_FAILED', termination: { reason: 'LivenessFailed' } });
  });

  test('three times within ten minutes ends the attempt: another host may do better', () => {
    const state = heard(runs({ crashes: [now - 1000, now - 2000] }), failed, look(off));
    expect(state.phase).toMatchObject({ name: 'Removing', outcome: { termination: { reason: 'CrashLoop' } } });
  });

  test('and never starts counts too, until it was up', () => {
    expect(heard(runs({}, {}, false), late).phase.name).toBe('Stopping');
    expect(heard(runs(), late).phase.name).toBe('Running');
  });
});

describe('a guest is left alone', () => {
  const rest = { name: 'Running', since } as const;
  test.each([
    ['that was not up yet', runs({}, {}, false), failed],
    ['whose probe speaks of another run', runs(), { ...failed, since: since - 1 } as MachineEvent],
    ['that has something else to do', heard(runs(), { type: 'order', order: { ...order, timeoutMs: 1000 } }), failed],
    ['that nobody is to probe', { ...runs(), launch: machineLaunch(uid) }, failed],
    ['that is not on', runs({ power: 'Paused' }), failed],
    ['whose address is asked for', runs({}, { adopt: true }), failed],
  ])('%s', (_, state, event) => {
    expect(heard(state, event).phase).toMatchObject(rest);
  });

  test('that is paused, or stopped, already', () => {
    for (const phase of [{ name: 'Paused' }, { name: 'Stopped' }] as const)
      expect(heard(runs({ phase }), failed).phase).toEqual(phase);
  });

  test('that its host has paused meanwhile', () => {
    const given = heard(runs(), failed);
    expect(heard(given, look({ ...on, power: 'Paused', pausedReason: 'IOError' })).phase.name).toBe('Paused');
  });

  test('that boots anew, by itself or by order: it has to come up first', () => {
    for (const event of [{ type: 'rebooted' }, { type: 'done', effect: 'reset' }] as const) {
      const state = heard(runs(), event);
      expect(state.phase).toEqual({ name: 'Running', since: now });
      expect(heard(state, failed, { ...failed, since: now } as MachineEvent).phase.name).toBe('Running');
      const up = heard(state, { type: 'up', since: now });
      expect(heard(up, { ...failed, since: now } as MachineEvent).phase.name).toBe('Stopping');
    }
  });

  test('but not one that boots anew again and again before it ever was up', () => {
    expect(heard(runs({}, {}, false), { type: 'rebooted' }, late).phase.name).toBe('Stopping');
  });
});

import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { MachineLaunch, MachineNetwork } from '#lib/api/launch.ts';
import type { OperationOrder } from '#lib/api/messages.ts';
import { timestamp } from '#lib/std/clock.ts';
import { fc } from '#test/properties.ts';
import type { Domain } from '../hypervisor.ts';
import { machineLaunch } from '../testing/world.ts';
import {
  accepted,
  type Effect,
  type MachineEvent,
  type MachineState,
  type Outcome,
  type Phase,
  reportOf,
  wakeAt,
} from './state.ts';
import { transition } from './transitions.ts';

const uid = randomUUID();
const now = 1_000_000;
const outcome: Outcome = {
  state: 'TASK_KILLED',
  termination: { class: 'User', reason: 'Killed', message: 'Killed as ordered', terminal: false },
};

const on: Domain = { uid, attempt: 1, power: 'On' };
const off: Domain = { uid, attempt: 1, power: 'Off' };
const paused: Domain = { uid, attempt: 1, power: 'Paused', pausedReason: 'User' };
const broken: Domain = { ...paused, pausedReason: 'IOError' };
const phases = {
  Provisioning: { name: 'Provisioning' },
  Starting: { name: 'Starting', deadline: now + 1000 },
  late: { name: 'Starting', deadline: now - 1 },
  Running: { name: 'Running', since: now - 1000 },
  Paused: { name: 'Paused' },
  failing: { name: 'Paused', retryAt: now + 1000 },
  retry: { name: 'Paused', retryAt: now },
  held: { name: 'Paused', held: true },
  Waiting: { name: 'Waiting', until: now + 1000 },
  due: { name: 'Waiting', until: now },
  Stopping: { name: 'Stopping', deadline: now + 1000, next: 'Stop' },
  Restarting: { name: 'Stopping', deadline: now + 1000, next: 'Start' },
  overdue: { name: 'Stopping', deadline: now, next: 'Stop' },
  Stopped: { name: 'Stopped' },
  Removing: { name: 'Removing', deadline: now + 1000, cleaned: false, outcome },
  hurried: { name: 'Removing', deadline: now, cleaned: false, outcome },
  cleaned: { name: 'Removing', deadline: now, cleaned: true, outcome },
} as const satisfies Record<string, Phase>;

function machine(phase: Phase, changes: Partial<MachineState> = {}, launch: Partial<MachineLaunch> = {}): MachineState {
  return { ...accepted(machineLaunch(uid, launch)), announced: true, phase, ...changes };
}

describe('the secrets of a seed', () => {
  const launch = { secretSeed: true } as const;
  const awaiting = machine(phases.Provisioning, {}, launch);
  const secrets: MachineEvent = { type: 'secrets', secrets: { adminPassword: 'canary' } };
  const nothing: MachineEvent = { type: 'looked', domain: undefined };

  test('are waited for, five minutes from the first look, and told as awaited', () => {
    expect(reportOf(awaiting).awaits).toBe('Secrets');
    const { state, effects } = transition(awaiting, nothing, now);
    expect(effects).toEqual([]);
    expect(wakeAt(state, now)).toBe(now + 300_000);
    expect(transition(state, nothing, now + 299_999).state.phase.name).toBe('Provisioning');
    expect(transition(state, nothing, now + 300_000).state.phase).toMatchObject({
      ...{ name: 'Removing', outcome: { termination: { reason: 'SecretsNotReceived', terminal: false } } },
    });
  });

  test('become the seed and no part of the state; then the machine is made', () => {
    const step = transition(awaiting, secrets, now);
    expect(step.effects).toEqual([{ type: 'host', effect: 'seed' }]);
    expect(JSON.stringify(step.state)).not.toContain('canary');
    const { state } = transition(step.state, { type: 'done', effect: 'seed' }, now);
    expect(reportOf(state)).not.toHaveProperty('awaits');
    expect(transition(state, nothing, now).effects).toEqual([{ type: 'host', effect: 'provision' }]);
    expect(transition(state, secrets, now).effects).toEqual([]);
  });

  test('are asked for again when the seed could not be written, three times in all', () => {
    let state = awaiting;
    for (let tries = 1; tries <= 3; tries++) {
      expect(reportOf(state).awaits).toBe('Secrets');
      state = transition(state, secrets, now).state;
      state = transition(state, { type: 'failed', effect: 'seed', message: 'disk full' }, now).state;
    }
    expect(state.phase).toMatchObject({ outcome: { termination: { reason: 'ProvisioningFailed' } } });
  });

  test('are of no use to a machine that is made, is taken over or goes', () => {
    for (const state of [
      machine(phases.Running, {}, launch),
      machine(phases.Provisioning, {}, { ...launch, adopt: true }),
      machine(phases.Provisioning),
      machine(phases.Removing, {}, launch),
    ]) {
      expect(transition(state, secrets, now).effects).toEqual([]);
      expect(reportOf(state)).not.toHaveProperty('awaits');
    }
  });
});

/** It is off for libvirt, and its process is there. */
const left: Domain = { ...off, offReason: 'Crashed', left: { pid: 7 } };

describe('a machine whose QEMU was killed and does not end', () => {
  const looked = (domain: Domain | undefined): MachineEvent => ({ type: 'looked', domain });

  test.each([
    ['due', phases.due, {}],
    ['about to start', phases.Starting, {}],
    ['late', phases.late, {}],
    ['taken over', phases.Provisioning, { adopt: true }],
    ['restarting', phases.Restarting, {}],
    ['stopping', phases.overdue, {}],
    ['being removed', phases.hurried, {}],
    ['removed but for it', phases.cleaned, {}],
  ] as const)('%s: nothing is done to it however long that takes, and it says why', (_, phase, launch) => {
    let state = machine(phase, {}, launch);
    for (let n = 0; n < 20; n++) {
      const step = transition(state, looked(left), now + n * 60_000);
      expect(step.effects).toEqual([]);
      ({ state } = step);
    }
    expect(reportOf(state).message).toMatch(/QEMU \(process 7\) was killed and does not end/);
    expect(state.phase.name).not.toBe('Gone');
    expect(reportOf(state).restarts).toBe(0);
  });

  test('starts as soon as it is gone', () => {
    let state = machine(phases.Starting);
    ({ state } = transition(state, looked(left), now));
    ({ state } = transition(state, looked({ ...off, offReason: 'Crashed' }), now + 600_000));
    expect(summary(state, looked(off), now + 600_000)).toBe('Starting start');
  });

  test('is removed as soon as it is gone', () => {
    const { state } = transition(machine(phases.hurried), looked(left), now);
    expect(summary(state, looked(off))).toBe('Removing remove');
  });
});

/** `phase | effects`, short enough for a table. */
function summary(state: MachineState, event: MachineEvent, at = now): string {
  const step = transition(state, event, at);
  return [step.state.phase.name, ...step.effects.map(words)].join(' ');
}

function words(effect: Effect): string {
  if (effect.type === 'host') return effect.effect;
  return effect.type === 'status' ? effect.state : `operation:${effect.state}`;
}

describe('transition() after a look', () => {
  const rows: [
    from: keyof typeof phases,
    domain: Domain | undefined,
    launch: Partial<MachineLaunch>,
    result: string,
  ][] = [
    ['Provisioning', undefined, {}, 'Provisioning provision'],
    ['Provisioning', off, {}, 'Starting'],
    ['Provisioning', off, { power: 'Off' }, 'Stopped'],
    ['Provisioning', on, {}, 'Running'],
    ['Provisioning', on, { attempt: 2 }, 'Gone TASK_FAILED'],
    ['Provisioning', off, { attempt: 2 }, 'Gone TASK_FAILED'],
    ['Provisioning', on, { attempt: 2, adopt: true }, 'Running'],
    ['Provisioning', paused, { attempt: 2, adopt: true }, 'Paused'],
    ['Provisioning', undefined, { adopt: true }, 'Removing'],
    ['Provisioning', { ...off, offReason: 'Shutdown' }, { adopt: true, onGuestShutdown: 'Finish' }, 'Removing'],
    // Its host lost its power.
    ['Provisioning', off, { adopt: true }, 'Starting'],
    ['Provisioning', off, { adopt: true, onGuestCrash: 'Stop' }, 'Stopped'],
    ['Provisioning', off, { adopt: true, onGuestCrash: 'Fail' }, 'Removing'],
    ['Provisioning', off, { adopt: true, onGuestCrash: 'Fail', power: 'Off' }, 'Stopped'],
    ['Starting', off, {}, 'Starting start'],
    ['Starting', undefined, {}, 'Starting start'],
    ['Starting', on, {}, 'Running'],
    ['late', off, {}, 'Removing'],
    ['Running', on, {}, 'Running'],
    ['Running', paused, {}, 'Paused'],
    ['Running', { ...off, offReason: 'Shutdown' }, {}, 'Waiting'],
    ['Running', { ...off, offReason: 'Shutdown' }, { onGuestShutdown: 'Stop' }, 'Stopped'],
    ['Running', { ...off, offReason: 'Shutdown' }, { onGuestShutdown: 'Finish' }, 'Removing'],
    ['Running', { ...off, offReason: 'Crashed' }, {}, 'Waiting'],
    ['Running', { ...off, offReason: 'Crashed' }, { onGuestCrash: 'Stop' }, 'Stopped'],
    ['Running', { ...off, offReason: 'Crashed' }, { onGuestCrash: 'Fail' }, 'Removing'],
    ['Running', undefined, {}, 'Waiting'],
    ['Paused', on, {}, 'Running'],
    ['Paused', paused, {}, 'Paused'],
    ['Paused', broken, {}, 'Paused'],
    ['failing', broken, {}, 'Paused'],
    ['retry', broken, {}, 'Paused resume'],
    ['retry', paused, {}, 'Paused'],
    ['retry', on, {}, 'Running'],
    ['retry', { ...off, offReason: 'Crashed' }, {}, 'Waiting'],
    ['held', broken, {}, 'Paused'],
    ['Waiting', off, {}, 'Waiting'],
    ['due', off, {}, 'Starting'],
    ['Waiting', on, {}, 'Running'],
    ['Stopping', on, {}, 'Stopping shutdown'],
    ['Stopping', paused, {}, 'Stopping destroy'],
    ['overdue', on, {}, 'Stopping destroy'],
    ['Stopping', off, {}, 'Stopped'],
    ['Restarting', off, {}, 'Starting'],
    ['Stopped', off, {}, 'Stopped'],
    ['Stopped', on, {}, 'Running'],
    ['Removing', on, {}, 'Removing shutdown'],
    ['hurried', on, {}, 'Removing destroy'],
    ['Removing', off, {}, 'Removing remove'],
    ['Removing', undefined, {}, 'Removing remove'],
    ['cleaned', off, {}, 'Removing remove'],
    ['cleaned', undefined, {}, 'Gone TASK_KILLED'],
  ];
  test.each(rows)('%s, domain %o, launch %o: %s', (from, domain, launch, result) => {
    expect(summary(machine(phases[from], {}, launch), { type: 'looked', domain })).toBe(result);
  });
});

describe('a guest that an I/O error paused', () => {
  const seen = (state: MachineState, domain: Domain, at = now) =>
    transition(state, { type: 'looked', domain }, at).state;
  const order = (state: MachineState, operation: OperationOrder['operation']) => {
    const wish = { type: 'operation', version: 1, id: operation, uid, attempt: 1, operation, force: false } as const;
    return transition(state, { type: 'order', order: { ...wish, timeoutMs: 60_000 } }, now).state;
  };

  test.each(['Running', 'Starting', 'Stopped', 'Waiting', 'Provisioning', 'Paused'] as const)(
    'says so and is resumed every 30 s, from %s',
    (from) => {
      let state = seen(machine(phases[from]), broken);
      expect(reportOf(state)).toMatchObject({
        phase: 'Paused',
        power: 'Paused',
        pausedReason: 'IOError',
      });
      for (const at of [now + 30_000, now + 60_000]) {
        expect(summary(state, { type: 'looked', domain: broken }, at - 1)).toBe('Paused');
        expect(wakeAt(state, at - 1)).toBe(at);
        expect(summary(state, { type: 'looked', domain: broken }, at)).toBe('Paused resume');
        state = seen(state, broken, at);
        // Refused or in vain, it is tried again.
        state = transition(state, { type: 'failed', effect: 'resume', message: 'no' }, at).state;
      }
    },
  );

  test('says nothing of it any more when it runs, or is paused by somebody', () => {
    for (const domain of [on, paused]) {
      const state = seen(seen(machine(phases.Running), broken), domain);
      expect(reportOf(state)).not.toHaveProperty('pausedReason');
      expect(wakeAt(state, now)).toBeUndefined();
    }
  });

  test('is not resumed once it was ordered to pause, until it is ordered to resume', () => {
    const ordered = order(seen(machine(phases.Running), broken), 'Pause');
    expect(summary(ordered, { type: 'looked', domain: broken })).toBe('Paused operation:Completed');
    const held = seen(seen(ordered, broken), broken);
    expect(reportOf(held)).not.toHaveProperty('pausedReason');
    expect(summary(held, { type: 'looked', domain: broken }, now + 3_600_000)).toBe('Paused');
    const resumed = order(held, 'Resume');
    expect(summary(resumed, { type: 'looked', domain: broken })).toBe('Paused resume');
    // The order is over and the disk as bad as before: trying goes on.
    const later = seen(seen(resumed, broken), broken, now + 60_000);
    expect(summary(later, { type: 'looked', domain: broken }, now + 90_000)).toBe('Paused resume');
  });
});

test.each([
  ['Shutdown', 'Restart', 'GuestShutdown'],
  ['Shutdown', 'Stop', 'GuestShutdown'],
  ['Crashed', 'Restart', 'GuestCrashed'],
  ['Destroyed', 'Stop', 'GuestCrashed'],
] as const)('a guest that went off (%s), then %s: its report says %s and when', (offReason, then, reason) => {
  const from = machine(phases.Running, {}, { onGuestShutdown: then, onGuestCrash: then });
  const { state } = transition(from, { type: 'looked', domain: { ...off, offReason } }, now);
  expect(reportOf(state).lastEnd).toMatchObject({ reason, time: timestamp(now) });
});

test.each([
  [1, 'Removing'],
  [2, 'Waiting'],
])('a policy for attempt %i: the guest of attempt 1 that turns itself off is then %s', (attempt, result) => {
  const policy = { onGuestShutdown: 'Finish', onGuestCrash: 'Fail' } as const;
  const order = { type: 'policy', version: 1, uid, attempt, ...policy } as const;
  const { state } = transition(machine(phases.Running), { type: 'policy', order }, now);
  if (attempt === 1) expect(reportOf(state).policy).toEqual(policy);
  expect(summary(state, { type: 'looked', domain: { ...off, offReason: 'Shutdown' } })).toBe(result);
});

test('transition() announces TASK_RUNNING once', () => {
  const first = transition(machine(phases.Starting, { announced: false }), { type: 'looked', domain: on }, now);
  expect(first.effects).toEqual([{ type: 'status', state: 'TASK_RUNNING', message: 'Running' }]);
  expect(summary({ ...first.state, phase: phases.Starting }, { type: 'looked', domain: on })).toBe('Running');
});

test('transition() tries the same again only after its delay', () => {
  const { state } = transition(machine(phases.hurried), { type: 'failed', effect: 'destroy', message: 'no' }, now);
  expect(summary(state, { type: 'looked', domain: on }, now + 499)).toBe('Removing');
  expect(summary(state, { type: 'looked', domain: on }, now + 500)).toBe('Removing destroy');
});

const cannotStart: MachineEvent = { type: 'failed', effect: 'start', message: 'no' };

test('transition() gives up starting at the third failure', () => {
  let state = machine(phases.Starting, { announced: false });
  for (const phase of ['Starting', 'Starting', 'Removing']) {
    ({ state } = transition(state, cannotStart, now));
    expect(state.phase.name).toBe(phase);
  }
});

test.each([
  ['ran before', true, false],
  ['was taken over', false, true],
])('transition() tries to start a machine that %s until its time is over: its disk would go', (_, announced, adopt) => {
  let state = machine(phases.Starting, { announced }, { adopt });
  for (let tries = 0; tries < 20; tries++) ({ state } = transition(state, cannotStart, now + 999));
  expect(state.phase.name).toBe('Starting');
  ({ state } = transition(state, cannotStart, now + 1000));
  expect(state.phase.name).toBe('Removing');
});

test('transition() ends the attempt at the third crash within ten minutes', () => {
  const crashed: MachineEvent = { type: 'looked', domain: { ...off, offReason: 'Crashed' } };
  const twice = machine(phases.Running, { crashes: [now - 500_000, now - 1000] });
  expect(summary(twice, crashed)).toBe('Removing');
  const long = machine(phases.Running, { crashes: [now - 700_000, now - 1000] });
  expect(summary(long, crashed)).toBe('Waiting');
});

test('transition() lets a second kill only hurry and keeps the first outcome', () => {
  const failing = { ...outcome, state: 'TASK_FAILED' } as const;
  const state = machine({ ...phases.Removing, outcome: failing });
  const { state: after } = transition(state, { type: 'kill', graceMs: 10, outcome }, now);
  expect(after.phase).toEqual({ ...state.phase, deadline: now + 10 });
});

test('transition() refuses orders to another attempt, and all orders once the machine is going', () => {
  const order: OperationOrder = {
    type: 'operation',
    version: 1,
    id: 'o',
    uid,
    attempt: 2,
    operation: 'Stop',
    force: false,
    timeoutMs: 1,
  };
  expect(summary(machine(phases.Running), { type: 'order', order })).toBe('Running operation:Failed');
  expect(summary(machine(phases.Removing), { type: 'order', order: { ...order, attempt: 1 } })).toBe(
    'Removing operation:Failed',
  );
});

test('transition() fails an operation whose time is over', () => {
  const operations = [{ id: 'o', operation: 'Stop', force: false, deadline: now, begun: false }] as const;
  expect(summary(machine(phases.Stopping, { operations }), { type: 'looked', domain: on })).toBe(
    'Stopping operation:Failed shutdown',
  );
});

test('whatever happened before, a killed machine is gone in the end and says so once', () => {
  const domain = fc.constantFrom<(Domain | undefined)[]>(undefined, on, off, paused, broken, {
    ...off,
    offReason: 'Crashed',
  });
  const event = fc.oneof(
    domain.map((each): MachineEvent => ({ type: 'looked', domain: each })),
    fc.constantFrom<MachineEvent[]>(
      { type: 'done', effect: 'provision' },
      { type: 'done', effect: 'remove' },
      { type: 'failed', effect: 'destroy', message: 'no' },
      { type: 'failed', effect: 'remove', message: 'no' },
    ),
  );
  fc.assert(
    fc.property(fc.constantFrom(...Object.values(phases)), fc.array(event), (phase, events) => {
      let state: MachineState = machine(phase);
      let time = now;
      const terminal: string[] = [];
      const apply = (each: MachineEvent): readonly Effect[] => {
        const step = transition(state, each, time);
        ({ state } = step);
        for (const effect of step.effects)
          if (effect.type === 'status' && effect.state !== 'TASK_RUNNING') terminal.push(effect.state);
        time += 60_000;
        return step.effects;
      };
      for (const each of events) apply(each);
      apply({ type: 'kill', graceMs: 1000, outcome });
      // An obedient host: power goes with destroy, the domain with remove.
      let there: Domain | undefined = on;
      for (let round = 0; round < 10 && state.phase.name !== 'Gone'; round++) {
        const host = apply({ type: 'looked', domain: there }).find((effect) => effect.type === 'host')?.effect;
        if (host === 'destroy' || host === 'shutdown') there = off;
        if (host === 'remove') there = undefined;
        if (host) apply({ type: 'done', effect: host });
      }
      expect(state.phase.name).toBe('Gone');
      expect(terminal).toHaveLength(1);
    }),
  );
});

describe('a machine whose address was not used before', () => {
  const launch = { networks: [{ probe: true } as MachineNetwork] };
  const first = (phase: Phase, changes: Partial<MachineState> = {}, more: Partial<MachineLaunch> = {}) =>
    machine(phase, { announced: false, ...changes }, { ...launch, ...more });
  const seen: MachineEvent = { type: 'looked', domain: on };
  const done = { type: 'done', effect: 'plug' } as const;

  test('runs unannounced, is plugged in, and then announced', () => {
    const { state, effects } = transition(first(phases.Starting), seen, now);
    expect([state.phase.name, effects, reportOf(state).phase]).toEqual(['Running', [], 'Starting']);
    expect(summary(state, seen)).toBe('Running plug');
    expect(summary(state, done)).toBe('Running TASK_RUNNING');
    const plugged = transition(state, done, now).state;
    expect(reportOf(plugged).phase).toBe('Running');
    expect(summary(plugged, seen)).toBe('Running');
  });

  test('is tried until it is plugged in: it runs, and is not ended for what its host cannot do just now', () => {
    let state = first(phases.Running);
    for (let n = 1; n <= 9; n += 1)
      ({ state } = transition(state, { type: 'failed', effect: 'plug', message: 'libvirtd is away' }, now));
    expect([state.phase.name, reportOf(state).message]).toEqual(['Running', 'plug failed: libvirtd is away']);
    expect(summary(state, seen, now + 60_000)).toBe('Running plug');
  });

  test.each([
    ['paused meanwhile: nothing is announced', first(phases.Running), paused, 'Paused'],
    ['going on: it is plugged in', first(phases.Paused), on, 'Running'],
    ['off meanwhile', first(phases.Running), off, 'Waiting'],
    [
      'taken over: how far it came nobody knows',
      first(phases.Running, {}, { ...launch, networks: [], adopt: true }),
      on,
      'Running plug',
    ],
    ['plugged in before', first(phases.Running, { plugged: true }), on, 'Running'],
  ] as const)('%s', (_, state, domain, result) => {
    expect(summary(state, { type: 'looked', domain })).toBe(result);
  });
});

test('an address that somebody else has ends the attempt at the first try, and the update names it', () => {
  const conflict = { subnet: 'net', ip: '10.0.0.2', mac: '02:00:00:00:00:07' };
  const failed = { type: 'failed', effect: 'plug', message: 'in use', conflict } as const;
  const { state } = transition(machine(phases.Running), failed, now);
  expect(state.phase.name).toBe('Removing');
  const gone = transition(
    { ...state, phase: { ...state.phase, cleaned: true } as Phase },
    { type: 'looked', domain: undefined },
    now,
  );
  expect(gone.effects).toMatchObject([
    {
      state: 'TASK_FAILED',
      termination: { reason: 'AddressConflict', message: 'in use', domainAbsent: true, conflict },
    },
  ]);
});

/** What a machine that moves between hosts does, step by step; that it is one machine whatever fails is tested in executor/migration. */
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { MachineLaunch } from '#lib/api/launch.ts';
import type { MigrateOrder, MigrationEndOrder } from '#lib/api/messages.ts';
import type { Domain } from '../hypervisor.ts';
import { machineLaunch } from '../testing/world.ts';
import { accepted, type MachineEvent, type MachineState, outcomeOf, type Phase, reportOf, runOf } from './state.ts';
import { transition } from './transitions.ts';

const [uid, id] = [randomUUID(), randomUUID()];
const now = 1_000_000;
const on: Domain = { uid, attempt: 1, power: 'On' };
const sent: Domain = { uid, attempt: 1, power: 'Paused', sent: true };
const receiving: Domain = { uid, attempt: 2, power: 'Paused', receiving: true };
const to = { hostname: 'two', url: 'https://two', certificateSha256: 'a', token: 't' };
const migrate: MigrateOrder = { type: 'migrate', version: 1, id, uid, attempt: 1, to, timeoutMs: 1000 };
const end = (gone: boolean): MachineEvent => {
  const order: MigrationEndOrder = { type: 'migration-end', version: 1, id, uid, gone, message: 'Nobody wants it' };
  return { type: 'migration-end', order };
};
const looked = (domain: Domain | undefined): MachineEvent => ({ type: 'looked', domain });
const running = { name: 'Running', since: now - 5000, up: true } as const;
const moving = { name: 'Migrating', id, to, deadline: now + 1000, before: running } as const;

function machine(phase: Phase, launch: Partial<MachineLaunch> = {}, changes: Partial<MachineState> = {}): MachineState {
  return { ...accepted(machineLaunch(uid, launch)), announced: true, power: 'On', phase, ...changes };
}
const incoming = { migration: id, from: 1, timeoutMs: 1000 };
const comes = (phase: Phase, changes: Partial<MachineState> = {}) =>
  machine(phase, { version: 7, attempt: 2, incoming }, { announced: false, power: 'Off', ...changes });

function after(state: MachineState, event: MachineEvent, at = now) {
  const step = transition(state, event, at);
  const host = step.effects.flatMap((effect) => (effect.type === 'host' ? [effect.effect] : []));
  return { ...step, name: step.state.phase.name, host: host[0] };
}

test('a machine that runs is sent, keeps its run, and says so', () => {
  const { state } = after(machine(running), { type: 'migrate', order: migrate });
  expect(state.phase).toEqual(moving);
  expect(reportOf(state)).toMatchObject({ phase: 'Running', power: 'On', migration: { id, state: 'Sending' } });
  expect(runOf(state)).toEqual(running);
  // Told again with another endpoint of the same host, it takes that.
  const elsewhere = { ...migrate, to: { ...to, url: 'https://other' } };
  expect(after(state, { type: 'migrate', order: elsewhere }).state.phase).toMatchObject({ to: elsewhere.to });
  const another = { ...migrate, id: randomUUID() };
  expect(after(state, { type: 'migrate', order: another }).state).toEqual(state);
});

test('an order for another attempt, while something else is to be done, or once more, begins nothing', () => {
  const pending = { id: 'o', operation: 'Stop', force: false, deadline: now + 1, begun: false } as const;
  const failed = { id, state: 'Failed', message: 'late' } as const;
  for (const state of [
    machine(running, { attempt: 2 }),
    machine(running, {}, { operations: [pending] }),
    machine(running, {}, { migration: failed }),
    comes({ name: 'Receiving', deadline: now + 1 }),
  ])
    expect(after(state, { type: 'migrate', order: migrate }).state).toEqual(state);
  const { state } = after(machine({ name: 'Waiting', until: now + 1 }), { type: 'migrate', order: migrate });
  expect(reportOf(state).migration).toMatchObject({ id, state: 'Failed', message: expect.stringContaining('Waiting') });
});

test.each([
  ['its time is over', looked(on), now + 1000],
  ['its guest went off', looked({ ...on, power: 'Off', offReason: 'Shutdown' }), now],
  ['it could not be sent', { type: 'unsent', id, message: 'no' } as const, now],
  ['nobody wants it', end(false), now],
  ['another worker has it now', { type: 'resumed' } as const, now],
])('before all is sent, when %s, it stays and goes on as it was', (_, event, at) => {
  const { state, host } = after(machine(moving), event, at);
  expect([state.phase.name, host]).toEqual(['Migrating', 'keep']);
  // What comes of the sending now counts no more.
  expect(after(state, { type: 'sent', id, sent: 's' })).toMatchObject({ state, refusal: 'The migration is over' });
  expect(after(state, looked(on), at + 60_000).host).toBe('keep');
  const failed = after(state, { type: 'failed', effect: 'keep', message: 'libvirt' }, at);
  expect(failed.name).toBe('Migrating');
  const kept = after(state, { type: 'done', effect: 'keep' }, at).state;
  expect(kept.phase).toEqual(running);
  expect(reportOf(kept).migration).toMatchObject({ id, state: 'Failed' });
});

test('once all was sent only its destination, or proof that nothing is there, decides', () => {
  const { state } = after(machine(moving), { type: 'sent', id, sent: 's' });
  expect(reportOf(state)).toMatchObject({ phase: 'Running', migration: { state: 'Undecided' } });
  expect(runOf(state)).toBeUndefined();
  for (const event of [looked(sent), looked(undefined), end(false), { type: 'resumed' } as const]) {
    const { state: next, host } = after(state, event, now + 86_400_000);
    expect([next.phase, host]).toEqual([state.phase, undefined]);
  }
  expect(after(state, { type: 'unsent', id, message: 'm' }).state).toEqual(state);
  expect(after(state, { type: 'decided', id, taken: false })).toMatchObject({ name: 'Migrating', host: 'keep' });
  expect(after(state, end(true))).toMatchObject({ name: 'Migrating', host: 'keep' });
  const left = after(state, { type: 'decided', id, taken: true });
  expect(left.state.phase).toMatchObject({ name: 'Removing', outcome: { state: 'TASK_FINISHED' } });
  expect(after(left.state, looked(sent)).host).toBe('release');
  expect(after(left.state, looked(undefined)).host).toBe('remove');
});

test('a word of another migration changes nothing', () => {
  const other = randomUUID();
  for (const event of [
    { type: 'sent', id: other, sent: 's' },
    { type: 'decided', id: other, taken: true },
    { type: 'finish', id: other, sent: 's' },
    { type: 'refuse', id: other, message: 'm' },
  ] as const)
    for (const state of [machine(moving), comes({ name: 'Receiving', deadline: now + 1, begun: true })])
      expect(after(state, event)).toMatchObject({ state, host: undefined, refusal: expect.any(String) });
});

test('a destination makes all that it needs, and waits without being a machine', () => {
  const state = comes({ name: 'Provisioning' });
  expect(after(state, looked(undefined)).host).toBe('provision');
  const elsewhere = after(state, looked({ ...on, attempt: 2 }));
  expect(elsewhere).toMatchObject({ name: 'Gone', effects: [{ termination: { reason: 'DomainExists' } }] });
  const ready = after(state, { type: 'done', effect: 'provision' });
  expect([ready.state.phase, ready.effects]).toEqual([{ name: 'Receiving', deadline: now + 1000 }, []]);
  expect(reportOf(ready.state)).toMatchObject({
    phase: 'Provisioning',
    power: 'Off',
    migration: { state: 'Receiving' },
  });
  expect(after(ready.state, { type: 'describe', id })).toMatchObject({ name: 'Receiving', host: 'describe' });
  expect(after(ready.state, { type: 'finish', id, sent: 's' })).toMatchObject({ refusal: 'Nothing was sent' });
  // Nothing was begun: another worker may go on with it.
  expect(after(ready.state, { type: 'resumed' }).state).toEqual(ready.state);
  expect(after(ready.state, looked(receiving)).host).toBe('refuse');
  const receive = { type: 'receive', id, begun: 'b', sockets: { memory: 'm', disks: 'd' } } as const;
  const begun = after(ready.state, receive);
  expect(begun).toMatchObject({ host: 'receive', state: { phase: { begun: true } } });
  expect(after(begun.state, receive).refusal).toMatch('It was begun already');
  expect(after(begun.state, looked(receiving))).toMatchObject({ name: 'Receiving', state: { power: 'Off' } });
});

test.each([
  ['its time is over', looked(receiving), now + 1000],
  ['what it waited with is gone', looked(undefined), now],
  ['another worker has it now', { type: 'resumed' } as const, now],
  ['its source gives up', { type: 'refuse', id, message: 'm' } as const, now],
  ['nobody wants it', end(false), now],
  ['it could not be begun', { type: 'failed', effect: 'receive', message: 'no' } as const, now],
])('a destination refuses for good when %s, and only then says so', (_, event, at) => {
  const { state } = after(comes({ name: 'Receiving', deadline: now + 1000, begun: true }), event, at);
  expect(state.phase).toMatchObject({
    name: 'Removing',
    outcome: { state: 'TASK_FAILED', termination: { reason: 'MigrationRefused', class: 'Infrastructure' } },
  });
  expect([outcomeOf(state), reportOf(state).phase]).toEqual(['Refused', 'Provisioning']);
  expect(after(state, { type: 'finish', id, sent: 's' }, at).refusal).toMatch('not receiving');
  expect(after(state, looked(receiving), at).host).toBe('refuse');
  expect(after(state, looked(undefined), at).host).toBe('remove');
});

test('a guest is taken over once that is stored, and looked for before anything is said', () => {
  const begun = comes({ name: 'Receiving', deadline: now + 1000, begun: true });
  const { state, host, effects } = after(begun, { type: 'finish', id, sent: 's' });
  expect([state.phase, host, effects.length, outcomeOf(state)]).toEqual([{ name: 'Taking' }, 'take', 1, 'Receiving']);
  for (const event of [end(false), { type: 'refuse', id, message: 'm' }, { type: 'resumed' }] as const)
    expect(after(state, event).state.phase).toEqual({ name: 'Taking' });
  const taken = after(state, looked({ ...on, attempt: 2 }));
  expect(taken).toMatchObject({ name: 'Running', effects: [{ type: 'status', state: 'TASK_RUNNING' }] });
  expect([outcomeOf(taken.state), reportOf(taken.state).migration]).toEqual(['Taken', undefined]);
  expect(after(state, looked({ uid, attempt: 2, power: 'Paused' })).name).toBe('Paused');
  // It came, and went off before anybody looked: it is here, and what is done is what is done with any.
  const crashed = after(state, looked({ uid, attempt: 2, power: 'Off', offReason: 'Crashed' }));
  expect([crashed.name, outcomeOf(crashed.state)]).toEqual(['Waiting', 'Taken']);
});

test.each([
  ['still waits', receiving],
  ['is not there', undefined],
])('a guest that was to be taken over and %s is refused, after the hypervisor was told', (_, domain) => {
  const first = after(comes({ name: 'Taking' }), looked(domain));
  expect([first.name, first.host]).toEqual(['Taking', 'refuse']);
  const told = after(first.state, { type: 'done', effect: 'refuse' }).state;
  // It had come after all.
  expect(after(told, looked({ ...on, attempt: 2 })).name).toBe('Running');
  const over = after(told, looked(undefined));
  expect([over.name, outcomeOf(over.state)]).toEqual(['Removing', 'Refused']);
});

test('one that is killed, or whose fence has passed, while it is taken over is looked for first', () => {
  const outcome = {
    state: 'TASK_KILLED',
    termination: { class: 'User', reason: 'Killed', message: '', terminal: false },
  } as const;
  const { state } = after(comes({ name: 'Taking' }), { type: 'kill', graceMs: 100, outcome });
  expect([state.phase.name, outcomeOf(state)]).toEqual(['Taking', 'Receiving']);
  const taken = after(state, looked({ ...on, attempt: 2 }));
  expect(taken.state).toMatchObject({ taken: true, phase: { name: 'Removing', deadline: now + 100, outcome } });
  const told = after(state, { type: 'done', effect: 'refuse' }).state;
  expect(after(told, looked(undefined)).state.phase).toMatchObject({ name: 'Removing', outcome });
  const fenced = after(comes({ name: 'Taking' }), { type: 'looked', domain: { ...on, attempt: 2 }, fenced: true });
  expect([fenced.name, outcomeOf(fenced.state)]).toEqual(['Running', 'Taken']);
});

test('an executor that adopts one that was to leave lets it go on, and finds no life in what waits for a guest', () => {
  const adopting = machine({ name: 'Provisioning' }, { adopt: true, attempt: 2 });
  expect(after(adopting, looked(sent)).host).toBe('keep');
  expect(after(adopting, looked(on)).name).toBe('Running');
  expect(after(adopting, looked({ ...receiving, attempt: 1 })).host).toBe('refuse');
});

test('its probes go on while it is sent, and do not give it up', () => {
  const state = machine({ ...moving, before: { name: 'Running', since: 7 } }, { liveness: {} as never });
  expect(after(state, { type: 'up', since: 7 }).state.phase).toMatchObject({ before: { since: 7, up: true } });
  const why = { reason: 'LivenessFailed', message: 'm' } as const;
  expect(
    after(machine(moving, { liveness: {} as never }), { type: 'unhealthy', since: running.since, ...why }),
  ).toMatchObject({ name: 'Migrating', host: undefined });
});

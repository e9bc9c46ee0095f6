import { randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import type { MachineLaunch, MachineNetwork } from '#lib/api/launch.ts';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { type Domain, MachineError } from '../hypervisor.ts';
import { AddressConflictError } from '../network/probe.ts';
import { machineLaunch } from '../testing/world.ts';
import { MachineDriver } from './driver.ts';
import { accepted, type HostEffect, type MachineState } from './state.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 5000, interval: 5 }));

/** A machine on a host that obeys, with a record of what was done and what was stored before it. */
function openMachine(
  changes: {
    perform?: (effect: HostEffect, before: HostEffect | undefined) => void;
    answer?: (effect: HostEffect) => Promise<string | undefined>;
    look?: () => void;
    commit?: () => void;
    clock?: Clock;
    launch?: Partial<MachineLaunch>;
  } = {},
) {
  const uid = randomUUID();
  const told: string[] = [];
  let domain: Domain | undefined;
  const powers: Partial<Record<HostEffect, Domain['power']>> = {
    provision: 'Off',
    start: 'On',
    destroy: 'Off',
    shutdown: 'Off',
  };
  const driver = new MachineDriver(accepted(machineLaunch(uid, changes.launch)), {
    async look() {
      changes.look?.();
      return domain;
    },
    async perform(_: MachineState, effect, { before }) {
      told.push(effect);
      changes.perform?.(effect, before);
      const power = powers[effect];
      domain = effect === 'remove' ? undefined : power === undefined ? domain : { uid, attempt: 1, power };
      return await changes.answer?.(effect);
    },
    commit(state, reports) {
      changes.commit?.();
      told.push(...reports.map((report) => `${state.phase.name}:${report.state}`));
    },
    clock: changes.clock ?? systemClock,
    log: silentLog,
  });
  return { driver, told };
}

const killed = {
  type: 'kill',
  graceMs: 1000,
  outcome: { state: 'TASK_KILLED', termination: { class: 'User', reason: 'Killed', message: '', terminal: false } },
} as const;

test('a machine is made, run, and killed until it is absent', async () => {
  const { driver, told } = openMachine();
  await until(() => expect(driver.state.phase.name).toBe('Running'));
  driver.push(killed);
  await driver.finished;
  expect(told).toEqual(['provision', 'start', 'Running:TASK_RUNNING', 'shutdown', 'remove', 'Gone:TASK_KILLED']);
});

test('a step is told of the one before it, unless that failed or the driver has slept since', async () => {
  const steps: (readonly [HostEffect, HostEffect | undefined])[] = [];
  let failures = 1;
  const { driver } = openMachine({
    perform: (effect, before) => {
      steps.push([effect, before]);
      if (effect === 'start' && failures-- > 0) throw new Error('busy');
    },
  });
  await until(() => expect(driver.state.phase.name).toBe('Running'));
  driver.push({ ...killed, graceMs: 0 });
  await driver.finished;
  expect(steps).toEqual([
    ['provision', undefined],
    ['start', 'provision'],
    ['start', undefined],
    ['destroy', undefined],
    ['remove', 'destroy'],
  ]);
});

test('a removal that fails is tried until it works', async () => {
  let failures = 2;
  const { driver, told } = openMachine({
    perform: (effect) => {
      if (effect === 'remove' && failures-- > 0) throw new Error('busy');
    },
  });
  await until(() => expect(driver.state.phase.name).toBe('Running'));
  driver.push(killed);
  await driver.finished;
  expect(told.filter((each) => each === 'remove')).toHaveLength(3);
  expect(told.at(-1)).toBe('Gone:TASK_KILLED');
});

test('a step that comes due just after it was decided to wait for it is done all the same', async () => {
  // Looked, failed, looked again and waits for 500 ms after the failure, which the clock has reached when it begins to wait.
  const times = [0, 0, 499, 500];
  let provisions = 0;
  const { driver } = openMachine({
    clock: { ...systemClock, now: () => times.shift() ?? 501 },
    perform: (effect) => {
      if (effect === 'provision' && provisions++ === 0) throw new Error('no image');
    },
  });
  await until(() => expect(provisions).toBe(2));
  await driver[Symbol.asyncDispose]();
});

test('nothing is decided while the host does not answer', async () => {
  let looks = 0;
  const { driver, told } = openMachine({
    look: () => {
      looks++;
      throw new Error('no libvirt');
    },
  });
  await until(() => expect(looks).toBe(1));
  await driver[Symbol.asyncDispose]();
  expect(told).toEqual([]);
});

test('a step that cannot be stored is not done, and ends the driver with the error', async () => {
  const { driver, told } = openMachine({
    commit: () => {
      throw new Error('disk full');
    },
  });
  await expect(driver.finished).rejects.toThrow('disk full');
  expect(told).toEqual(['provision']);
});

test('with an address that somebody else has the machine is not tried a second time', async () => {
  const conflict = { subnet: 'net', ip: '10.0.0.2', mac: '02:00:00:00:00:07' };
  const { driver, told } = openMachine({
    launch: { networks: [{ probe: true } as MachineNetwork] },
    perform: (effect) => {
      if (effect === 'plug') throw new AddressConflictError(conflict);
    },
  });
  await driver.finished;
  expect(told).toEqual(['provision', 'start', 'plug', 'destroy', 'remove', 'Gone:TASK_FAILED']);
});

const incoming = { migration: randomUUID(), from: 0, timeoutMs: 3_600_000 };
const describing = { type: 'describe', id: incoming.migration } as const;

test('who asks for a step hears what it brought, why it failed, or why it is not done', async () => {
  const answers = [async () => 'described', () => Promise.reject(new Error('libvirt'))];
  const { driver } = openMachine({
    launch: { incoming },
    answer: async (effect) => (effect === 'describe' ? await answers.shift()!() : undefined),
  });
  await expect(driver.ask(describing)).rejects.toThrow('The destination is not receiving: Provisioning');
  await driver.reaches(({ phase }) => phase.name === 'Receiving', AbortSignal.timeout(5000));
  expect(await driver.ask(describing)).toBe('described');
  await expect(driver.ask(describing)).rejects.toThrow('libvirt');
  await expect(driver.ask({ ...describing, id: 'other' })).rejects.toThrow(MachineError);
  // What asks for nothing is answered once it is stored.
  expect(await driver.ask({ type: 'refuse', id: incoming.migration, message: 'no' })).toBe('');
  expect(driver.state.phase.name).toBe('Removing');
  await driver.finished;
  await expect(driver.ask(describing)).rejects.toThrow('is gone');
});

test('who waits for a machine is told when nobody drives it any more, and waits no longer than it wants', async () => {
  const { driver } = openMachine({ launch: { incoming } });
  await driver.reaches(({ phase }) => phase.name === 'Receiving', AbortSignal.timeout(5000));
  const never = () => false;
  await expect(driver.reaches(never, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  const waiting = driver.reaches(never, AbortSignal.timeout(5000));
  const asking = driver.ask(describing);
  asking.catch(() => undefined);
  await driver[Symbol.asyncDispose]();
  await waiting;
  await expect(driver.ask(describing)).rejects.toThrow(MachineError);
});

test('taking a guest over is waited for however long it takes: nobody could say that it did not happen', async () => {
  const clock = new VirtualClock();
  const { promise: taken, resolve } = Promise.withResolvers<undefined>();
  const told: string[] = [];
  const { driver } = openMachine({
    ...{ clock, launch: { incoming } },
    answer: async (effect) => {
      told.push(effect);
      return effect === 'take' ? await taken : undefined;
    },
  });
  const reach = async (name: string) => {
    for (let tries = 0; driver.state.phase.name !== name && tries < 100; tries++) await clock.advance(100);
    expect(driver.state.phase.name).toBe(name);
  };
  await reach('Receiving');
  void driver.ask({ type: 'receive', id: incoming.migration, begun: 'b', sockets: { memory: 'm', disks: 'd' } });
  void driver.ask({ type: 'finish', id: incoming.migration, sent: 's' });
  await reach('Taking');
  await clock.advance(3_600_000);
  expect([driver.state.phase.name, told.at(-1)]).toEqual(['Taking', 'take']);
  resolve(undefined);
  await clock.advance(1000);
  // The domain that the look found then.
  expect(driver.state.taken).toBe(true);
  await driver[Symbol.asyncDispose]();
});

test('a worker that ends while a guest is being taken over waits for nothing, and says nothing of it', async () => {
  const clock = new VirtualClock();
  const { promise: taken, reject } = Promise.withResolvers<undefined>();
  const { driver, told } = openMachine({
    ...{ clock, launch: { incoming } },
    answer: async (effect) => (effect === 'take' ? await taken : undefined),
  });
  for (let tries = 0; driver.state.phase.name !== 'Receiving' && tries < 100; tries++) await clock.advance(100);
  void driver.ask({ type: 'receive', id: incoming.migration, begun: 'b', sockets: { memory: 'm', disks: 'd' } });
  const finishing = driver.ask({ type: 'finish', id: incoming.migration, sent: 's' });
  finishing.catch(() => undefined);
  await clock.advance(100);
  expect(driver.state.phase.name).toBe('Taking');
  await driver[Symbol.asyncDispose]();
  let released = false;
  const releasing = driver.release().then(() => (released = true));
  await clock.advance(1000);
  expect(released).toBe(false);
  reject(new Error('libvirt'));
  await releasing;
  expect([driver.state.phase, told.at(-1)]).toEqual([{ name: 'Taking' }, 'take']);
});

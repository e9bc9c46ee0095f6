import { expect, test } from 'vitest';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { type ProbedMachine, Probes } from './probes.ts';
import type { Finding } from './try-probe.ts';

const probe = { initialDelayMs: 0, periodMs: 10_000, timeoutMs: 1000, successThreshold: 1, failureThreshold: 3 };
const well: Finding = { outcome: 'Succeeded', message: '' };
const ill: Finding = { outcome: 'Failed', message: 'no database' };
const unknown: Finding = { outcome: 'Unknown', message: 'The host cannot ask the guest now' };
const launch = { uid: 'u', hostname: 'web', networks: [] };

/** One machine whose probes find what is set. */
function openWorld(probes: Partial<ProbedMachine['launch']>, up = false) {
  const clock = new VirtualClock();
  const machines: ProbedMachine[] = [{ launch: { ...launch, ...probes }, since: clock.now(), up }];
  const told: string[] = [];
  const world = { finding: well, hostFault: undefined as string | undefined, tries: 0, during: (): void => undefined };
  const still = { now: false, since: false };
  const running = new Probes({
    machines: () => machines,
    attempt: async () => {
      world.tries += 1;
      world.during();
      return world.finding;
    },
    stillness: () => {
      still.since = still.now;
      return {
        isStill: still.now,
        wasStill: async () => still.since,
        [Symbol.dispose]: () => undefined,
      };
    },
    requireHost: async () => {
      if (world.hostFault) throw new Error(world.hostFault);
    },
    changed: () => told.push('changed'),
    up: () => told.push('up'),
    unhealthy: (_, { reason, message }) => told.push(`${reason}: ${message}`),
    clock,
    log: silentLog,
  });
  const pass = async (seconds: number) => await clock.advance(seconds * 1000);
  const news = () => told.splice(0);
  return Object.assign(world, {
    ...{ clock, machines, still, probes: running, pass, news },
    [Symbol.asyncDispose]: async () => await running[Symbol.asyncDispose](),
  });
}

test('a guest is ready when its probe succeeds, and not ready any more when it has failed often enough', async () => {
  await using world = openWorld({ readiness: probe });
  world.finding = ill;
  await world.pass(0);
  expect(world.probes.reportOf('u')).toEqual({ ready: false, message: 'no database' });
  world.finding = well;
  await world.pass(10);
  expect(world.probes.reportOf('u')).toEqual({ ready: true, message: 'The probe has succeeded' });
  world.finding = ill;
  await world.pass(20);
  expect(world.probes.reportOf('u')?.ready).toBe(true);
  await world.pass(10);
  expect(world.probes.reportOf('u')?.ready).toBe(false);
  // Readiness gives nobody up.
  expect(world.news()).toEqual(['changed', 'changed', 'changed']);
});

test('a new run of the guest begins anew; one that is gone is not tried', async () => {
  await using world = openWorld({ readiness: probe });
  await world.pass(0);
  expect(world.probes.reportOf('u')?.ready).toBe(true);
  world.machines[0] = {
    launch: { ...launch, readiness: { ...probe, initialDelayMs: 60_000 } },
    since: world.clock.now() + 1,
    up: false,
  };
  await world.pass(2);
  expect(world.probes.reportOf('u')).toBeUndefined();
  world.machines.pop();
  await world.pass(2);
  const { tries } = world;
  await world.pass(100);
  expect(world.tries).toBe(tries);
});

test('liveness counts from its first success on, failures in a row, and goes on telling', async () => {
  await using world = openWorld({ liveness: probe });
  world.finding = ill;
  await world.pass(3600);
  expect(world.news()).toEqual([]);
  world.finding = well;
  await world.pass(10);
  world.finding = ill;
  await world.pass(20);
  world.finding = well;
  await world.pass(10);
  world.finding = ill;
  await world.pass(20);
  expect(world.news()).toEqual(['up']);
  await world.pass(10);
  expect(world.news()).toEqual(['LivenessFailed: The guest has failed its probe 3 times in a row: no database']);
  await world.pass(10);
  expect(world.news()).toHaveLength(1);
});

test('what the host cannot find out is no failure of the guest, nor is what its host could be the reason of', async () => {
  await using world = openWorld({ liveness: probe });
  await world.pass(0);
  world.finding = unknown;
  await world.pass(3600);
  world.finding = ill;
  await world.pass(20);
  world.finding = unknown;
  await world.pass(10);
  world.finding = ill;
  world.hostFault = 'cft1 is not up';
  await world.pass(3600);
  expect(world.news()).toEqual(['up']);
  world.hostFault = undefined;
  // The first one after that may have begun before.
  await world.pass(30);
  expect(world.news()).toEqual([]);
  await world.pass(10);
  expect(world.news()[0]).toMatch(/^LivenessFailed/);
});

test('a guest that was up before this worker came, or while events were missed, has ten minutes to come up again', async () => {
  await using world = openWorld({ liveness: probe, startup: probe }, true);
  world.finding = ill;
  await world.pass(0);
  expect(world.news()).toEqual(['changed']);
  await world.pass(590);
  expect(world.news()).toEqual([]);
  await world.pass(20);
  expect(world.news()[0]).toMatch(/^LivenessFailed/);
  world.finding = well;
  await world.pass(10);
  world.news();
  world.probes.doubt();
  world.finding = ill;
  await world.pass(590);
  expect(world.news()).toEqual([]);
  await world.pass(20);
  expect(world.news()[0]).toMatch(/^LivenessFailed/);
});

test('until startup succeeds the others wait; a guest that does not get so far is told once it is sure', async () => {
  await using world = openWorld({ startup: probe, liveness: { ...probe, failureThreshold: 1 } });
  world.finding = unknown;
  await world.pass(3600);
  expect(world.news()).toEqual(['changed']);
  world.finding = ill;
  await world.pass(20);
  expect(world.probes.reportOf('u')).toEqual({ ready: false, message: 'The guest has not started yet: no database' });
  world.news();
  await world.pass(10);
  expect(world.news()).toEqual(['StartupTimeout: The guest has not started after 3 tries: no database']);
  world.finding = well;
  await world.pass(10);
  expect(world.news()).toEqual(['up', 'changed']);
  expect(world.probes.reportOf('u')).toEqual({ ready: true, message: 'The guest has started' });
  world.finding = ill;
  await world.pass(10);
  expect(world.news()[0]).toMatch(/^LivenessFailed/);
});

const keptStill: Readonly<Record<string, { keep(world: ReturnType<typeof openWorld>): void; tries: number }>> = {
  'now is not tried': {
    keep({ still }) {
      still.now = true;
    },
    tries: 0,
  },
  'during a try, and no more by its end, has not failed it': {
    keep(world) {
      world.during = () => {
        world.still.since = true;
      };
    },
    tries: 6,
  },
};

test.each(Object.entries(keptStill))(
  'a guest that its host keeps still %s; its failures before stay as many',
  async (_, { keep, tries }) => {
    await using world = openWorld({ readiness: probe, liveness: probe });
    await world.pass(0);
    world.finding = ill;
    await world.pass(20);
    const before = world.tries;
    expect(world.news()).toEqual(['changed', 'up']);
    keep(world);
    await world.pass(30);
    expect([world.tries - before, world.news()]).toEqual([tries, []]);
    expect(world.probes.reportOf('u')?.ready).toBe(true);
    Object.assign(world, { during: () => undefined }).still.now = false;
    await world.pass(10);
    const given = 'LivenessFailed: The guest has failed its probe 3 times in a row: no database';
    expect(world.news().sort()).toEqual([given, 'changed']);
  },
);

test('a guest that does not come up has the tries that it was kept still for besides', async () => {
  await using world = openWorld({ startup: probe });
  world.finding = ill;
  await world.pass(10);
  world.still.now = true;
  await world.pass(600);
  world.still.now = false;
  expect(world.news()).toEqual(['changed']);
  await world.pass(10);
  expect(world.news()[0]).toMatch(/^StartupTimeout/);
});

import { expect, test } from 'vitest';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { type Domain, MachineError } from '../hypervisor.ts';
import { Freezes } from '../snapshots/freezes.ts';
import type { ProbedMachine } from './probes.ts';
import { watchHealth } from './start.ts';

const probe = { initialDelayMs: 0, periodMs: 10_000, timeoutMs: 1_000, successThreshold: 1, failureThreshold: 1 };
const launch = { uid: 'u', hostname: 'web', networks: [], readiness: probe, liveness: probe };
const nowhere = () => expect.fail('asked by the network');

/** One machine that has come up, with one agent that does as it is told here. */
async function openWorld() {
  const clock = new VirtualClock();
  const freezes = new Freezes(clock);
  const machine: ProbedMachine = { launch, since: clock.now(), up: false };
  const guest = {
    power: 'On' as Domain['power'],
    agent: async (): Promise<unknown> => ({}),
    machines: [machine],
    asked: 0,
  };
  const told: string[] = [];
  const probes = watchHealth({
    hypervisor: {
      async agent() {
        guest.asked += 1;
        return await guest.agent();
      },
      get: async (uid) => ({ uid, attempt: 1, power: guest.power }),
    },
    devices: { knock: nowhere, dial: nowhere, requireWhole: async () => undefined },
    freezes,
    machines: () => ({
      probed: () => guest.machines,
      cameUp: () => undefined,
      failed: (_uid, _since, { reason }) => told.push(reason),
    }),
    mounts: () => [],
    changed: () => undefined,
    clock,
    log: silentLog,
  });
  await clock.advance(0);
  const isReady = () => probes.reportOf('u')?.ready;
  expect(isReady()).toBe(true);
  return {
    clock,
    freezes,
    machine,
    guest,
    told,
    isReady,
    [Symbol.asyncDispose]: async () => await probes[Symbol.asyncDispose](),
  };
}

const silent = async () => {
  throw new MachineError('The guest agent did not answer in time');
};

test('a guest that is frozen for a snapshot is not asked, and fails nothing', async () => {
  await using world = await openWorld();
  const { guest, freezes, clock, told, isReady } = world;
  guest.agent = silent;
  freezes.begin('u');
  const before = guest.asked;
  await clock.advance(30_000);
  expect([guest.asked - before, told, isReady()]).toEqual([0, [], true]);
  freezes.end('u');
  await clock.advance(10_000);
  expect([told, isReady()]).toEqual([['LivenessFailed'], false]);
});

test('one that was frozen while it was asked has not failed, be it thawed when its time is up', async () => {
  await using world = await openWorld();
  const { guest, freezes, clock, told, isReady } = world;
  guest.agent = async () => {
    freezes.begin('u');
    freezes.end('u');
    return await silent();
  };
  await clock.advance(30_000);
  expect([told, isReady()]).toEqual([[], true]);
});

test('one that is paused has not failed, whether its machine has heard of it or not', async () => {
  await using world = await openWorld();
  const { guest, clock, told, isReady, machine } = world;
  Object.assign(guest, { agent: silent, power: 'Paused' });
  await clock.advance(30_000);
  expect([told, isReady()]).toEqual([[], true]);
  // It goes on while it is asked: that is another run, which has to come up first.
  Object.assign(guest, {
    power: 'On',
    async agent() {
      guest.machines = [{ ...machine, since: clock.now() }];
      return await silent();
    },
  });
  await clock.advance(10_000);
  expect(told).toEqual([]);
});

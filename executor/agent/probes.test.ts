import { expect, test, vi } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { type AgentCommand, MachineError } from '../hypervisor.ts';
import { type ProbedMachine, Probes } from './probes.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 8000, interval: 10 }));

const probe = { initialDelayMs: 0, periodMs: 1, timeoutMs: 1000, successThreshold: 1, failureThreshold: 2 };

/** Machines whose agents say what is set: nothing, or what a command ended with. */
function openWorld(machines: ProbedMachine[]) {
  const exitCodes = new Map<string, number | undefined>();
  const asked: string[] = [];
  const changed: string[] = [];
  const hypervisor = {
    async agent(uid: string, { execute }: AgentCommand) {
      asked.push(`${uid} ${execute}`);
      const exitcode = exitCodes.get(uid);
      if (exitcode === undefined) throw new MachineError('The guest agent is not connected');
      if (execute === 'guest-exec') return { pid: 1 };
      return { exited: true, exitcode, 'err-data': Buffer.from('no \u001b[1mdatabase\n').toString('base64') };
    },
  };
  const probes = new Probes({
    hypervisor,
    machines: () => machines,
    changed: (uid) => changed.push(uid),
    clock: systemClock,
    log: silentLog,
  });
  return { exitCodes, asked, changed, probes, [Symbol.asyncDispose]: async () => await probes[Symbol.asyncDispose]() };
}

test('a guest is ready when its agent answers, and not ready any more when it has failed often enough', async () => {
  const since = Date.now();
  await using world = openWorld([{ uid: 'u', probe, since }]);
  const notConnected = { ready: false, message: 'The guest agent is not connected' };
  await until(() => expect(world.probes.reportOf('u')).toEqual(notConnected));
  world.exitCodes.set('u', 0);
  await until(() => expect(world.probes.reportOf('u')?.ready).toBe(true));
  world.exitCodes.delete('u');
  const failuresBefore = world.asked.length;
  await until(() => expect(world.probes.reportOf('u')).toEqual(notConnected));
  expect(world.asked.length).toBeGreaterThanOrEqual(failuresBefore + 2);
  expect(world.changed).toEqual(['u', 'u', 'u']);
  expect(new Set(world.asked)).toEqual(new Set(['u guest-ping']));
}, 20_000);

test('a command says by its end whether the guest is ready; its words are for people', async () => {
  await using world = openWorld([{ uid: 'u', probe: { ...probe, command: ['check'] }, since: Date.now() }]);
  world.exitCodes.set('u', 1);
  await until(() =>
    expect(world.probes.reportOf('u')).toEqual({ ready: false, message: 'The command ended with 1: no  [1mdatabase' }),
  );
  world.exitCodes.set('u', 0);
  await until(() => expect(world.probes.reportOf('u')?.ready).toBe(true));
});

test('a new run of the guest begins anew; one that is gone is not asked', async () => {
  const machines = [{ uid: 'u', probe, since: Date.now() }];
  await using world = openWorld(machines);
  world.exitCodes.set('u', 0);
  await until(() => expect(world.probes.reportOf('u')?.ready).toBe(true));
  machines[0] = { uid: 'u', probe: { ...probe, initialDelayMs: 60_000 }, since: Date.now() + 1 };
  await until(() => expect(world.probes.reportOf('u')).toBeUndefined());
  machines.pop();
  await systemClock.sleep(1_200);
  const asked = world.asked.length;
  await systemClock.sleep(1_200);
  expect(world.asked).toHaveLength(asked);
}, 20_000);

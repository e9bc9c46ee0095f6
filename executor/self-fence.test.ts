/** selfFenceAfter in a whole executor, with an imitated hypervisor. That a guardian does it without an executor: fence/guardian.test.ts. */
import { randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { machineLaunch, openWorld, type World } from './testing/world.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 20_000, interval: 20 }));
const selfFenceMs = 1500;

async function running(world: World, more: object = { selfFenceMs }) {
  await until(() => expect(world.agent.subscriptions.length).toBeGreaterThan(0));
  const launch = machineLaunch(randomUUID(), more);
  world.agent.launch(launch);
  await until(() => expect(world.agent.states(launch.taskId)).toContain('TASK_RUNNING'));
  return launch;
}

/** As the cluster server does it, with each heartbeat. */
function acknowledging(world: World): Disposable {
  const timer = setInterval(() => {
    const { workerId, sequence } = world.agent.heartbeats.at(-1)!;
    world.agent.message({ type: 'ack', version: 1, workerId, sequence, operations: [] });
  }, 100);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

const wait = async (ms: number) => await new Promise((resolve) => setTimeout(resolve, ms));

test('acknowledged it runs on; not acknowledged its attempt ends, for good and with nothing left', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const { uid, taskId } = await running(world);
  {
    using _ = acknowledging(world);
    await wait(2 * selfFenceMs);
    expect(world.agent.heartbeats.at(-1)!.machines).toMatchObject([{ fence: { afterMs: selfFenceMs, armed: true } }]);
  }
  expect(world.agent.states(taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING']);
  await until(() => expect(world.agent.states(taskId)).toContain('TASK_FAILED'));
  expect(world.agent.termination(taskId)).toMatchObject({ reason: 'SelfFenced', domainAbsent: true });
  expect(await host.hypervisor.get(uid)).toBeUndefined();
  expect(host.guard('boot-1').read()?.watches).toEqual([]);
});

test('a worker that comes when the time is over ends it, although it is acknowledged then', async () => {
  await using world = await openWorld();
  const first = await world.start();
  const { taskId } = await running(world);
  await first[Symbol.asyncDispose]();
  await wait(selfFenceMs);
  using _ = acknowledging(world);
  await world.start();
  await until(() => expect(world.agent.termination(taskId)).toMatchObject({ reason: 'SelfFenced' }));
});

test('a worker that comes before goes on with it', async () => {
  await using world = await openWorld();
  const first = await world.start();
  const { taskId } = await running(world, { selfFenceMs: 4000 });
  await first[Symbol.asyncDispose]();
  await world.start();
  using _ = acknowledging(world);
  await wait(5000);
  expect(world.agent.states(taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING']);
});

test('nothing is said of a machine that is launched without it', async () => {
  await using world = await openWorld();
  await world.start();
  await running(world, {});
  await wait(selfFenceMs);
  expect(world.agent.heartbeats.at(-1)!.machines[0]).not.toHaveProperty('fence');
});

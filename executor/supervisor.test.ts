import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { seededRandom } from '#lib/std/random.ts';
import { domains, startProgram, workerOf } from './testing/program.ts';
import { machineLaunch, openWorld } from './testing/world.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 20_000, interval: 10 }));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('workers killed at random moments lose no task, boot no machine twice and leave nothing', async () => {
  await using world = await openWorld();
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = seededRandom(seed);
  const { process: program } = startProgram(world);
  const { agent } = world;
  await until(() => expect(agent.subscriptions.length).toBe(1));
  const launches = Array.from({ length: 6 }, () => machineLaunch(randomUUID()));
  const wanted = launches.slice(0, 3);
  const unwanted = launches.slice(3);

  const murder = async (): Promise<void> => {
    const pid = workerOf(program);
    const before = agent.subscriptions.length;
    // A random time is the point here: the kill has to hit between any two lines.
    await new Promise((resolve) => setTimeout(resolve, random.next() * 40));
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await until(() => expect(agent.subscriptions.length, `seed ${seed}`).toBeGreaterThan(before));
  };
  for (const launch of launches) agent.launch(launch);
  await murder();
  // What the dead worker never took in is lost as with a real agent, which declares it dropped: say it again.
  for (const launch of launches) agent.launch(launch);
  await until(() => {
    for (const { taskId } of launches) expect(agent.states(taskId), `seed ${seed}`).toContain('TASK_RUNNING');
  });
  const booted = new Map(domains(world).map(({ uid, bootedAt }) => [uid, bootedAt]));
  for (const { taskId } of unwanted) agent.kill(taskId);
  await murder();
  await until(() => {
    for (const { taskId } of unwanted) {
      if (!agent.states(taskId).includes('TASK_KILLED')) agent.kill(taskId);
      expect(agent.termination(taskId), `seed ${seed}`).toMatchObject({ domainAbsent: true });
    }
  });
  await murder();
  await until(() =>
    expect(agent.heartbeats.at(-1)?.machines.map(({ phase }) => phase)).toEqual(Array(3).fill('Running')),
  );
  const left = domains(world);
  expect(left.map(({ uid }) => uid).sort(), `seed ${seed}`).toEqual(wanted.map(({ uid }) => uid).sort());
  for (const { uid, power, bootedAt } of left) {
    expect(power).toBe('On');
    expect(bootedAt, `seed ${seed}: rebooted`).toBe(booted.get(uid));
  }
  expect(readdirSync(join(world.config.root, 'vms')).sort()).toEqual(wanted.map(({ uid }) => uid).sort());
  for (const { taskId } of launches) {
    const terminal = agent.states(taskId).filter((state) => state === 'TASK_KILLED' || state === 'TASK_FAILED');
    expect(terminal.length, `seed ${seed}`).toBeLessThanOrEqual(1);
  }
}, 60_000);

test('a worker ends when its supervisor is killed, and the domains go on', async () => {
  await using world = await openWorld();
  const { process: program } = startProgram(world);
  await until(() => expect(world.agent.subscriptions.length).toBe(1));
  const launch = machineLaunch(randomUUID());
  world.agent.launch(launch);
  await until(() => expect(world.agent.states(launch.taskId)).toContain('TASK_RUNNING'));
  const worker = workerOf(program)!;
  program.kill('SIGKILL');
  await until(() => expect(isAlive(worker)).toBe(false));
  expect(domains(world)).toEqual([expect.objectContaining({ uid: launch.uid, power: 'On' })]);
});

test('SIGTERM ends both with exit code 0, and the domains go on', async () => {
  await using world = await openWorld();
  const { process: program } = startProgram(world);
  await until(() => expect(world.agent.subscriptions.length).toBe(1));
  const worker = workerOf(program)!;
  program.kill('SIGTERM');
  const [code] = await once(program, 'exit');
  expect(code).toBe(0);
  expect(isAlive(worker)).toBe(false);
});

test('SHUTDOWN from the agent ends worker and supervisor', async () => {
  await using world = await openWorld();
  const { process: program } = startProgram(world);
  await until(() => expect(world.agent.subscriptions.length).toBe(1));
  const ended = once(program, 'exit');
  world.agent.send({ type: 'SHUTDOWN' });
  expect((await ended)[0]).toBe(0);
});

/** The executor is updated under running machines, as docs/hosts.md says, and stays the process that its agent knows. */
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { machineTaskId } from '#lib/api/names.ts';
import { identifyProcess } from '#lib/std/process-identity.ts';
import { seededRandom } from '#lib/std/random.ts';
import { takeLife } from './renewal.ts';
import { childrenOf, domains, endProgram, type Program, startProgram, workerOf } from './testing/program.ts';
import { machineLaunch, openWorld, type World } from './testing/world.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 20_000, interval: 10 }));
const project = join(import.meta.dirname, '..');
const token = 'secret-of-the-agent';

/** What an update changes, by file. */
type Patch = Readonly<Record<string, (text: string) => string>>;

const version = (name: string): Patch => ({
  'executor/version.ts': (text) => text.replace(/executorVersion = '[^']+'/, `executorVersion = '${name}'`),
});
const broken: Patch = { ...version('3'), 'executor/main.ts': (text) => `${text}\nthis is no program` };
/** As before there was a renewal. */
const old: Patch = {
  ...version('0'),
  'executor/main.ts': (text) => text.replace('if (flag === question', 'if (false'),
};

/** A host with version 1 in its place, and what can be put there instead. */
function install(world: World) {
  const place = join(world.config.root, 'installed');
  function unpack(directory: string, patch: Patch): void {
    for (const part of ['executor', 'mesos', 'lib', 'package.json'])
      cpSync(join(project, part), join(directory, part), {
        recursive: true,
        filter: (path) => !/\.test\.ts$|\/testdata$|\/testing$|\/conformance$/.test(path),
      });
    symlinkSync(join(project, 'node_modules'), join(directory, 'node_modules'));
    for (const [file, change] of Object.entries(patch)) {
      const before = readFileSync(join(directory, file), 'utf8');
      expect(change(before), file).not.toBe(before);
      writeFileSync(join(directory, file), change(before));
    }
  }
  unpack(place, version('1'));
  return {
    main: join(place, 'executor/main.ts'),
    update(patch: Patch): void {
      unpack(`${place}.new`, patch);
      renameSync(place, `${place}.old`);
      renameSync(`${place}.new`, place);
      rmSync(`${place}.old`, { recursive: true });
    },
    /** Supervisors, workers and whatever else of it runs. */
    running: (): readonly number[] =>
      readdirSync('/proc').flatMap((pid) => (/^\d+$/.test(pid) && commandOf(pid).includes(place) ? [Number(pid)] : [])),
  };
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // gone meanwhile
  }
}

async function start(world: World, main: string): Promise<Program> {
  const before = world.agent.subscriptions.length;
  const program = startProgram(world, { main, environment: { MESOS_EXECUTOR_AUTHENTICATION_TOKEN: token } });
  await until(() => expect(world.agent.subscriptions.length).toBeGreaterThan(before));
  return program;
}

async function running(world: World, changes: Parameters<typeof machineLaunch>[1] = {}) {
  const launch = machineLaunch(randomUUID(), changes);
  world.agent.launch(launch);
  await until(() => expect(world.agent.states(launch.taskId)).toContain('TASK_RUNNING'));
  return launch;
}

/** As the operator does it; returns when the next worker has subscribed. */
async function endWorker(world: World, program: ChildProcess): Promise<void> {
  const before = world.agent.subscriptions.length;
  process.kill(workerOf(program)!, 'SIGKILL');
  await until(() => expect(world.agent.subscriptions.length).toBeGreaterThan(before));
}

/** Of the worker and its supervisor. */
const versionsOf = ({ agent }: World) => {
  const heartbeat = agent.heartbeats.at(-1);
  return [heartbeat?.executorVersion, heartbeat?.supervisorVersion];
};

test('supervisor and worker become what was installed: one process to the agent, no machine touched, no task lost', async () => {
  await using world = await openWorld();
  const { agent } = world;
  const { main, update, running: processes } = install(world);
  const { process: program, said } = await start(world, main);
  const kept = await running(world);
  const before = domains(world);
  const heartbeat = () => agent.heartbeats.at(-1)!;
  await until(() => expect(heartbeat()).toMatchObject({ executorVersion: '1', machines: [{ phase: 'Running' }] }));
  const identity = identifyProcess(program.pid!);

  // A worker that is replaced by one of the same program leaves the supervisor as it is.
  await endWorker(world, program);
  expect(said()).toContain('The worker died');
  expect(said()).not.toContain('The supervisor becomes');

  for (const name of ['2', '3']) {
    update(version(name));
    await endWorker(world, program);
    await until(() => expect(versionsOf(world)).toEqual([name, name]));
    await until(() => expect(heartbeat()).toMatchObject({ machines: [{ phase: 'Running' }] }));
    expect([program.exitCode, program.signalCode]).toEqual([null, null]);
    expect(identifyProcess(program.pid!)).toEqual(identity);
    // Neither a dead child nor a second worker is left.
    const [worker, ...others] = childrenOf(program);
    expect([others, processes().toSorted()]).toEqual([[], [program.pid!, worker!].toSorted()]);
  }
  expect(said().match(/The supervisor becomes/g)).toHaveLength(2);

  expect(domains(world)).toEqual(before);
  expect(agent.states(kept.taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING']);
  // The agent's token is in nobody's environment but the supervisor's, into which the agent itself put it.
  expect(new Set(agent.authorizations)).toEqual(new Set([`Bearer ${token}`]));
  expect(readFileSync(`/proc/${workerOf(program)}/environ`, 'utf8')).not.toMatch(`${token}|CF_EXECUTOR_LIFE`);
  agent.kill(kept.taskId);
  await until(() => expect(agent.termination(kept.taskId)).toMatchObject({ domainAbsent: true }));
  program.kill('SIGTERM');
  expect((await once(program, 'exit'))[0]).toBe(0);
  expect(processes()).toEqual([]);
}, 120_000);

test.each([
  ['does not start', broken, 'SyntaxError'],
  ['knows nothing of this', old, '--takes-over'],
])(
  'to a program that %s nothing is handed: the supervisor stays, and its workers are new',
  async (_, patch, why) => {
    await using world = await openWorld();
    const { main, update } = install(world);
    const { process: program, said } = await start(world, main);
    const launch = await running(world);
    const before = domains(world);
    update(patch);
    await endWorker(world, program);
    await until(() => expect(versionsOf(world)).toEqual([patch === broken ? '3' : '0', '1']));
    expect(said()).toMatch(new RegExp(`The installed program cannot take over.*${why}`));
    // It is asked anew each time.
    await endWorker(world, program);
    expect(said().match(/cannot take over/g)).toHaveLength(2);
    // Once it is put right it takes over.
    update(version('4'));
    await endWorker(world, program);
    await until(() => expect(versionsOf(world)).toEqual(['4', '4']));
    expect(said()).toContain('The supervisor becomes');
    expect([domains(world), world.agent.states(launch.taskId)]).toEqual([before, ['TASK_STARTING', 'TASK_RUNNING']]);
  },
  120_000,
);

test('killed at any moment of it: nothing of it stays, machines go on, and the next executor takes them over', async () => {
  await using world = await openWorld();
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = seededRandom(seed);
  const { main, update, running: processes } = install(world);
  let { process: program } = await start(world, main);
  const launch = await running(world);
  const before = domains(world);
  for (let attempt = 2; attempt <= 6; attempt++) {
    update(version(String(attempt)));
    process.kill(workerOf(program)!, 'SIGKILL');
    // A random time is the point here. A worker is awaited for 200 ms; the new program is asked, and begins, for some hundred more.
    await new Promise((resolve) => setTimeout(resolve, 150 + random.next() * 600));
    await endProgram(program);
    await until(() => expect(processes(), `seed ${seed}`).toEqual([]));
    expect(domains(world), `seed ${seed}`).toEqual(before);
    program = (await start(world, main)).process;
    const taskId = machineTaskId(launch.uid, attempt);
    world.agent.launch({ ...launch, attempt, taskId, adopt: true });
    await until(() => expect(world.agent.states(taskId), `seed ${seed}`).toContain('TASK_RUNNING'));
    await until(() => expect(versionsOf(world)).toEqual([String(attempt), String(attempt)]));
    expect(domains(world), `seed ${seed}`).toMatchObject(before.map(({ bootedAt, power }) => ({ bootedAt, power })));
    before.splice(0, 1, ...domains(world));
  }
}, 120_000);

test('a life is gone on with by the process that has begun it, and by no other', () => {
  const incarnation = randomUUID();
  const ours = {
    PATH: '/bin',
    CF_EXECUTOR_LIFE: `${process.pid} ${incarnation}`,
    MESOS_EXECUTOR_AUTHENTICATION_TOKEN: 't',
  };
  expect(takeLife(ours)).toEqual({ incarnation, token: 't', environment: { PATH: '/bin' } });
  expect(ours).toEqual({ PATH: '/bin' });
  for (const handed of [`1 ${incarnation}`, incarnation, `${process.pid} x`, '']) {
    const life = takeLife({ CF_EXECUTOR_LIFE: handed });
    expect(life).toEqual({ incarnation: expect.stringMatching(/^[0-9a-f-]{36}$/), environment: {} });
    expect(life.incarnation).not.toBe(incarnation);
  }
});

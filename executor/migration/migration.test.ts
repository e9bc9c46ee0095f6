/** Two executors with imitated hosts, over real connections, and a machine that moves from one to the other. */
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { migrationToken } from '#lib/api/host-endpoint.ts';
import type { MachineLaunch } from '#lib/api/launch.ts';
import type { MachineReport, MigrateOrder, OperationOrder } from '#lib/api/messages.ts';
import { machineTaskId } from '#lib/api/names.ts';
import type { SimHypervisor } from '../sim/hypervisor.ts';
import type { RunningExecutor } from '../start.ts';
import { machineLaunch, openWorld, type World } from '../testing/world.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 15_000, interval: 10 }));

interface Host {
  readonly world: World;
  readonly executor: RunningExecutor;
}

async function openHost(stack: AsyncDisposableStack): Promise<Host> {
  const world = stack.use(await openWorld());
  const executor = await start(world);
  return { world, executor };
}

const start = async (world: World) => await world.start('life-1', { consoleListen: '127.0.0.1:0' });

/** The last heartbeat of the worker that runs now. */
const beat = ({ world }: Host) => world.agent.heartbeats.at(-1);
const reportOf = (host: Host, uid: string): MachineReport | undefined =>
  beat(host)?.machines.find((each) => each.uid === uid);
const domainOf = async ({ executor }: Host, uid: string) => await executor.host.hypervisor.get(uid);

async function running(host: Host, changes: Partial<MachineLaunch> = {}): Promise<MachineLaunch> {
  const launch = machineLaunch(randomUUID(), changes);
  await until(() => expect(beat(host)?.facts.migrates).toBe(true));
  host.world.agent.launch(launch);
  await until(() => expect(reportOf(host, launch.uid)?.phase).toBe('Running'));
  return launch;
}

/** As the cluster server does: a task that waits for the machine, and the order to send it there. */
async function comes(to: Host, launch: MachineLaunch, timeoutMs = 60_000) {
  const attempt = launch.attempt + 1;
  const incoming = { migration: randomUUID(), from: launch.attempt, timeoutMs };
  const there = { ...launch, version: 7, attempt, taskId: machineTaskId(launch.uid, attempt), incoming } as const;
  await until(() => expect(beat(to)?.console).toBeDefined());
  to.world.agent.launch(there);
  await until(() => expect(reportOf(to, launch.uid)?.migration?.state).toBe('Receiving'));
  return there;
}

function orderOf(to: Host, launch: MachineLaunch, { incoming }: MachineLaunch, timeoutMs = 60_000): MigrateOrder {
  const { url, certificateSha256, token } = beat(to)!.console!;
  const [id, { uid, attempt }] = [incoming!.migration, launch];
  const target = { hostname: 'host-2', url, certificateSha256, token: migrationToken(token, uid, id) };
  return { type: 'migrate', version: 1, id, uid, attempt, to: target, timeoutMs };
}

const leftOf = async ({ world, executor }: Host) => ({
  domains: (await executor.host.hypervisor.list()).ours,
  owners: await executor.host.devices.owners(),
  sockets: existsSync(join(world.config.root, 'moves')) ? readdirSync(join(world.config.root, 'moves')) : [],
});
const nothing = { domains: [], owners: [], sockets: [] };

test('a machine moves as it runs: it is on at the other host, and nothing of it is left where it was', async () => {
  await using stack = new AsyncDisposableStack();
  const [one, two] = [await openHost(stack), await openHost(stack)];
  const launch = await running(one);
  const { uid } = launch;
  const there = await comes(two, launch);
  // It waits, made and not known as a machine: its host says so, and lists it as off.
  expect(reportOf(two, uid)).toMatchObject({ phase: 'Provisioning', power: 'Off', attempt: 2 });
  expect(await two.executor.host.devices.owners()).toEqual([uid]);
  expect((await two.executor.host.hypervisor.list()).ours).toEqual([]);
  one.world.agent.message(orderOf(two, launch, there));
  await until(() =>
    expect(reportOf(one, uid)).toMatchObject({ phase: 'Running', migration: { id: there.incoming.migration } }),
  );
  await until(() => expect(two.world.agent.states(there.taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING']));
  expect(await domainOf(two, uid)).toMatchObject({ power: 'On', attempt: 2 });
  await until(() =>
    expect(one.world.agent.termination(launch.taskId)).toMatchObject({ reason: 'Migrated', domainAbsent: true }),
  );
  expect(one.world.agent.states(launch.taskId).at(-1)).toBe('TASK_FINISHED');
  expect(await leftOf(one)).toEqual(nothing);
  expect((await leftOf(two)).sockets).toEqual([]);
  await until(() => expect(reportOf(two, uid)).toMatchObject({ phase: 'Running', power: 'On' }));
  expect(reportOf(two, uid)?.migration).toBeUndefined();
  // It is a machine like any other there, which can leave again.
  const back = await comes(one, there);
  two.world.agent.message(orderOf(one, there, back));
  await until(() => expect(one.world.agent.states(back.taskId)).toContain('TASK_RUNNING'));
  await until(() => expect(two.world.agent.termination(there.taskId)).toMatchObject({ reason: 'Migrated' }));
  expect(await leftOf(two)).toEqual(nothing);
});

test('while it is sent the guest runs, what is ordered waits, and it is told how far it is', async () => {
  await using stack = new AsyncDisposableStack();
  const [one, two] = [await openHost(stack), await openHost(stack)];
  const launch = await running(one);
  const there = await comes(two, launch);
  const pause: OperationOrder = {
    ...{ type: 'operation', version: 1, id: randomUUID(), uid: launch.uid, attempt: 1, operation: 'Pause' },
    ...{ force: false, timeoutMs: 30_000 },
  };
  one.world.agent.message(orderOf(two, launch, there));
  await until(() => expect(reportOf(one, launch.uid)?.migration?.transferred).toBeGreaterThan(0));
  expect(reportOf(one, launch.uid)).toMatchObject({ phase: 'Running', power: 'On', migration: { state: 'Sending' } });
  one.world.agent.message(pause);
  one.world.agent.message({
    ...{ type: 'migration-end', version: 1, id: there.incoming.migration, uid: launch.uid },
    ...{ gone: false, message: 'Nobody wants it' },
  });
  await until(() =>
    expect(reportOf(one, launch.uid)?.migration).toMatchObject({ state: 'Failed', message: 'Nobody wants it' }),
  );
  await until(async () => expect(await domainOf(one, launch.uid)).toMatchObject({ power: 'Paused', attempt: 1 }));
  await until(() =>
    expect(two.world.agent.termination(there.taskId)).toMatchObject({ reason: 'MigrationRefused', domainAbsent: true }),
  );
  expect(await leftOf(two)).toEqual(nothing);
  // The same order once more is not begun once more; another is.
  one.world.agent.message(orderOf(two, launch, there));
  const next = await comes(two, { ...launch, attempt: 2 });
  one.world.agent.message(orderOf(two, launch, next));
  await until(() => expect(two.world.agent.states(next.taskId)).toContain('TASK_RUNNING'));
  expect(await domainOf(two, launch.uid)).toMatchObject({ power: 'Paused', attempt: 3 });
});

test('a destination that is not sent anything in time gives up, and so does one whose task is killed', async () => {
  await using stack = new AsyncDisposableStack();
  const [one, two] = [await openHost(stack), await openHost(stack)];
  const launch = await running(one);
  const late = await comes(two, launch, 300);
  await until(() => expect(two.world.agent.termination(late.taskId)).toMatchObject({ reason: 'MigrationRefused' }));
  const killed = await comes(two, { ...launch, attempt: 2 });
  two.world.agent.kill(killed.taskId);
  await until(() => expect(two.world.agent.termination(killed.taskId)).toMatchObject({ domainAbsent: true }));
  expect(await leftOf(two)).toEqual(nothing);
  // Who comes too late is told so, and the guest goes on.
  one.world.agent.message(orderOf(two, launch, killed));
  await until(() => expect(reportOf(one, launch.uid)?.migration).toMatchObject({ state: 'Failed' }));
  expect(await domainOf(one, launch.uid)).toMatchObject({ power: 'On' });
});

test('what does not run is not sent, and a guest that goes off meanwhile is started again where it is', async () => {
  await using stack = new AsyncDisposableStack();
  const [one, two] = [await openHost(stack), await openHost(stack)];
  const stopped = machineLaunch(randomUUID(), { power: 'Off' });
  await until(() => expect(beat(one)).toBeDefined());
  one.world.agent.launch(stopped);
  await until(() => expect(reportOf(one, stopped.uid)?.phase).toBe('Stopped'));
  const waits = await comes(two, stopped);
  one.world.agent.message(orderOf(two, stopped, waits));
  await until(() => expect(reportOf(one, stopped.uid)?.migration?.message).toMatch(/it is Stopped/));
  const launch = await running(one);
  const there = await comes(two, launch);
  one.world.agent.message(orderOf(two, launch, there));
  await until(() => expect(reportOf(one, launch.uid)?.migration?.state).toBe('Sending'));
  (one.executor.host.hypervisor as SimHypervisor).inject(launch.uid, 'crash');
  await until(() => expect(reportOf(one, launch.uid)?.migration?.state).toBe('Failed'));
  await until(() => expect(two.world.agent.termination(there.taskId)).toMatchObject({ reason: 'MigrationRefused' }));
  await until(async () => expect(await domainOf(one, launch.uid)).toMatchObject({ power: 'On' }));
  await until(() => expect(reportOf(one, launch.uid)).toMatchObject({ phase: 'Running', restarts: 1 }));
});

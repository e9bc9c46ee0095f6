import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { Heartbeat, OperationOrder } from '#lib/api/messages.ts';
import type { SimHypervisor } from './sim/hypervisor.ts';
import { imageImport, machineLaunch, openWorld, type World } from './testing/world.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 10_000, interval: 10 }));

function lastBeat({ agent }: World): Heartbeat | undefined {
  return agent.heartbeats.at(-1);
}

async function subscribed({ agent }: World): Promise<void> {
  await until(() => expect(agent.subscriptions.length).toBeGreaterThan(0));
}

async function running(world: World, launch = machineLaunch(randomUUID())) {
  await subscribed(world);
  world.agent.launch(launch);
  await until(() => expect(world.agent.states(launch.taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING']));
  return launch;
}

function order(
  uid: string,
  operation: OperationOrder['operation'],
  changes: Partial<OperationOrder> = {},
): OperationOrder {
  return {
    type: 'operation',
    version: 1,
    id: randomUUID(),
    uid,
    attempt: 1,
    operation,
    force: false,
    timeoutMs: 10_000,
    ...changes,
  };
}

test('a launch becomes a running domain, a heartbeat and an inventory', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const { uid } = await running(world);
  expect(await host.hypervisor.get(uid)).toMatchObject({ uid, power: 'On', attempt: 1 });
  await until(() =>
    expect(lastBeat(world)?.machines).toEqual([expect.objectContaining({ uid, phase: 'Running', power: 'On' })]),
  );
  expect(lastBeat(world)).toMatchObject({ hostname: 'host-1', bootId: 'boot-1', facts: { hypervisor: 'sim' } });
  expect(lastBeat(world)?.inventory?.domains).toEqual([{ uid, attempt: 1, power: 'On' }]);
});

test('heartbeats tell which networks of the site guests may be put on, for as long as the worker lives', async () => {
  await using world = await openWorld();
  const segments = { bridges: ['lan'], nics: ['eth1'] };
  await world.start('life-1', { segments });
  await running(world);
  await until(() => expect(lastBeat(world)?.facts).toMatchObject({ hypervisor: 'sim', segments }));
});

test('a machine is made once for its first start, and again for a start that comes later', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const [networks, define] = [vi.spyOn(host.devices, 'attachNetworks'), vi.spyOn(host.hypervisor, 'define')];
  const times = (count: number) => {
    for (const step of [networks, define]) expect(step).toHaveBeenCalledTimes(count);
  };
  await running(world);
  times(1);
  const later = await running(world, machineLaunch(randomUUID(), { power: 'Off' }));
  times(2);
  world.agent.message(order(later.uid, 'Start'));
  await until(async () => expect(await host.hypervisor.get(later.uid)).toMatchObject({ power: 'On' }));
  times(3);
});

test('data disks are made with the machine, keep what is in them when it is started again, and go with it', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const define = vi.spyOn(host.hypervisor, 'define');
  const limits = { bytesPerSecond: 2 ** 20 };
  const disks = [{ name: 'data', bytes: 4096, limits }];
  const changes = { version: 5, disks, rootDiskLimits: { requestsPerSecond: 9 }, ioWeight: 300 } as const;
  const launch = await running(world, machineLaunch(randomUUID(), changes));
  const path = join(world.config.root, 'vms', launch.uid, 'disk-data.qcow2');
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ virtualSize: 4096 });
  const { rootDiskLimits, ioWeight } = changes;
  expect(define).toHaveBeenLastCalledWith(
    expect.objectContaining({ dataDisks: [{ name: 'data', path, limits }], rootDiskLimits, ioWeight }),
  );
  const content = JSON.stringify({ virtualSize: 4096, content: 'of the guest' });
  await writeFile(path, content);
  const restart = order(launch.uid, 'Restart');
  world.agent.message(restart);
  await until(() =>
    expect(lastBeat(world)?.operations).toContainEqual(expect.objectContaining({ id: restart.id, state: 'Completed' })),
  );
  expect(define).toHaveBeenCalledTimes(2);
  expect(await readFile(path, 'utf8')).toBe(content);
  world.agent.kill(launch.taskId);
  await until(() => expect(world.agent.states(launch.taskId)).toContain('TASK_KILLED'));
  expect(await host.devices.owners()).toEqual([]);
});

test('a data disk that its guest has made stand on another file is opened by nobody, and the report says so', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const disks = [{ name: 'data', bytes: 4096 }];
  const { uid } = await running(world, machineLaunch(randomUUID(), { version: 5, disks }));
  const path = join(world.config.root, 'vms', uid, 'disk-data.qcow2');
  await writeFile(path, JSON.stringify({ virtualSize: 4096, backing: { path: '/etc/shadow' } }));
  world.agent.message(order(uid, 'Restart'));
  await until(() =>
    expect(lastBeat(world)?.machines[0]?.message).toMatch(/The data disk "data" is not used: .*\/etc\/shadow/),
  );
  expect(await host.hypervisor.get(uid)).toMatchObject({ power: 'Off' });
});

test('heartbeats tell what the agent of a guest says, and whether its probe succeeds', async () => {
  await using world = await openWorld({ agents: true });
  await world.start();
  const readiness = { initialDelayMs: 0, periodMs: 100, timeoutMs: 1000, successThreshold: 1, failureThreshold: 1 };
  const { uid } = await running(world, machineLaunch(randomUUID(), { readiness }));
  const told = () => world.agent.heartbeats.at(-1)?.machines.find((each) => each.uid === uid);
  await until(() => expect(told()?.agent).toMatchObject({ connected: true, os: 'Imitated guest' }));
  await until(() => expect(told()?.readiness).toMatchObject({ ready: true }));
});

test('a guest that hangs is restarted in place, and it is said why', async () => {
  await using world = await openWorld({ agents: true });
  const { host } = await world.start();
  const hypervisor = host.hypervisor as SimHypervisor;
  const probe = { initialDelayMs: 0, periodMs: 100, timeoutMs: 200, successThreshold: 1, failureThreshold: 2 };
  const network = {
    ...{
      subnet: 's',
      subnetUID: 'u',
      vni: 5,
      ip: '10.0.0.2',
      prefix: 24,
      gateway: '10.0.0.1',
      mac: '52:54:00:00:00:01',
    },
    ...{ mtu: 1450, dns: [], domain: '', leaseSeconds: 600, tried: true as const },
  };
  const http = { port: 80, path: '/', scheme: 'HTTP' as const, headers: [] };
  const { uid, taskId } = await running(
    world,
    machineLaunch(randomUUID(), {
      ...{ version: 4, networks: [network], terminationGraceMs: 100 },
      ...{ liveness: { ...probe, http }, readiness: { ...probe, tcp: { port: 22 } }, startup: probe },
    }),
  );
  const told = () => world.agent.heartbeats.at(-1)?.machines.find((each) => each.uid === uid);
  await until(() => expect(told()?.readiness).toMatchObject({ ready: true }));
  hypervisor.inject(uid, 'hang');
  await until(() => expect(told()).toMatchObject({ restarts: 1, lastEnd: { reason: 'LivenessFailed' } }));
  await until(() => expect(told()).toMatchObject({ phase: 'Running', readiness: { ready: true } }));
  expect(world.agent.states(taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING']);
}, 60_000);

test('a launch said twice makes one machine and no second answer', async () => {
  await using world = await openWorld();
  await world.start();
  const launch = await running(world);
  world.agent.launch(launch);
  await running(world);
  expect(world.agent.states(launch.taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING']);
});

test('a kill ends in TASK_KILLED with nothing left, and says that it looked', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const { uid, taskId } = await running(world);
  world.agent.kill(taskId);
  await until(() => expect(world.agent.states(taskId)).toContain('TASK_KILLED'));
  expect(world.agent.termination(taskId)).toMatchObject({ class: 'User', domainAbsent: true });
  expect(await host.hypervisor.get(uid)).toBeUndefined();
  expect(await host.devices.owners()).toEqual([]);
});

test('a kill of a task that the journal has lost ends it for Mesos, and proves nothing of a domain', async () => {
  await using world = await openWorld();
  await world.start();
  await subscribed(world);
  world.agent.kill('vm-lost-1');
  await until(() => expect(world.agent.states('vm-lost-1')).toEqual(['TASK_FAILED']));
  expect(world.agent.termination('vm-lost-1')).toMatchObject({ reason: 'TaskForgotten', domainAbsent: false });
});

test('a launch whose image is missing fails as Infrastructure and leaves nothing', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  await subscribed(world);
  const image = { digest: 'e'.repeat(64), format: 'raw', virtualSize: 1 } as const;
  const launch = machineLaunch(randomUUID(), { image });
  world.agent.launch(launch);
  await until(() => expect(world.agent.states(launch.taskId)).toContain('TASK_FAILED'));
  expect(world.agent.termination(launch.taskId)).toMatchObject({
    class: 'Infrastructure',
    reason: 'ProvisioningFailed',
    domainAbsent: true,
  });
  expect((await host.hypervisor.list()).ours).toEqual([]);
});

test('a new worker of the same life goes on without touching the domain', async () => {
  await using world = await openWorld();
  const first = await world.start();
  const { uid, taskId } = await running(world);
  // A heartbeat comes well after the acknowledgement of what it tells.
  await until(() => expect(lastBeat(world)?.machines[0]).toMatchObject({ uid, phase: 'Running' }));
  const { workerId } = lastBeat(world)!;
  await first[Symbol.asyncDispose]();
  const { host } = await world.start();
  await until(() => expect(world.agent.subscriptions).toHaveLength(2));
  await until(() => expect(lastBeat(world)?.workerId).not.toBe(workerId));
  await until(() => expect(lastBeat(world)?.machines[0]).toMatchObject({ uid, phase: 'Running', restarts: 0 }));
  expect(await host.hypervisor.get(uid)).toMatchObject({ power: 'On' });
  expect(world.agent.states(taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING']);
  expect(world.agent.subscriptions[1]?.subscribe).toEqual({ unacknowledged_tasks: [], unacknowledged_updates: [] });
});

test('what was not acknowledged is in the next SUBSCRIBE, in order', async () => {
  await using world = await openWorld();
  world.agent.acknowledging = false;
  const first = await world.start();
  const { taskId } = await running(world);
  await first[Symbol.asyncDispose]();
  await world.start();
  await until(() => expect(world.agent.subscriptions).toHaveLength(2));
  const { unacknowledged_tasks: tasks, unacknowledged_updates: updates } = world.agent.subscriptions[1]!.subscribe;
  expect(tasks.map(({ task_id }) => task_id.value)).toEqual([taskId]);
  expect(updates.map(({ status }) => status.state)).toEqual(['TASK_STARTING', 'TASK_RUNNING']);
});

test('a new life adopts a surviving domain by a new attempt, without a reboot', async () => {
  await using world = await openWorld();
  const first = await world.start();
  const { uid } = await running(world);
  await first[Symbol.asyncDispose]();
  const { host } = await world.start('life-2');
  await until(() =>
    expect(lastBeat(world)).toMatchObject({ machines: [], inventory: { domains: [{ uid, attempt: 1 }] } }),
  );
  const boots: unknown[] = [];
  using _ = host.hypervisor.watch((event) => boots.push(event));
  const adopted = await running(world, machineLaunch(uid, { attempt: 2, adopt: true }));
  await until(() =>
    expect(lastBeat(world)?.machines).toEqual([expect.objectContaining({ uid, attempt: 2, phase: 'Running' })]),
  );
  expect(boots).toEqual([]);
  world.agent.kill(adopted.taskId);
  await until(() => expect(world.agent.states(adopted.taskId)).toContain('TASK_KILLED'));
});

test('a second attempt without adopt is refused and hurts nobody', async () => {
  await using world = await openWorld();
  const first = await world.start();
  const { uid } = await running(world);
  const second = machineLaunch(uid, { attempt: 2 });
  world.agent.launch(second);
  await until(() =>
    expect(world.agent.termination(second.taskId)).toMatchObject({ reason: 'AttemptStillHere', domainAbsent: false }),
  );
  await first[Symbol.asyncDispose]();
  const { host } = await world.start('life-2');
  await until(() => expect(world.agent.subscriptions).toHaveLength(2));
  const third = machineLaunch(uid, { attempt: 3 });
  world.agent.launch(third);
  await until(() =>
    expect(world.agent.termination(third.taskId)).toMatchObject({ reason: 'DomainExists', domainAbsent: false }),
  );
  expect(await host.hypervisor.get(uid)).toMatchObject({ attempt: 1, power: 'On' });
});

test('adopt without a domain fails with proof of its absence', async () => {
  await using world = await openWorld();
  await world.start();
  await subscribed(world);
  const launch = machineLaunch(randomUUID(), { adopt: true });
  world.agent.launch(launch);
  await until(() =>
    expect(world.agent.termination(launch.taskId)).toMatchObject({ reason: 'NothingToAdopt', domainAbsent: true }),
  );
});

test('operations are done once by id and reported until acknowledged', async () => {
  await using world = await openWorld();
  await world.start();
  const { uid } = await running(world);
  const stop = order(uid, 'Stop');
  world.agent.message(stop);
  world.agent.message(stop);
  await until(() =>
    expect(lastBeat(world)?.operations).toEqual([expect.objectContaining({ id: stop.id, state: 'Completed' })]),
  );
  expect(lastBeat(world)?.machines[0]).toMatchObject({ phase: 'Stopped', power: 'Off' });
  const { workerId, sequence } = lastBeat(world)!;
  world.agent.message({ type: 'ack', version: 1, workerId, sequence, operations: [stop.id] });
  await until(() => expect(lastBeat(world)?.operations).toEqual([]));
  for (const [operation, power] of [
    ['Start', 'On'],
    ['Pause', 'Paused'],
    ['Resume', 'On'],
    ['Reset', 'On'],
    ['Restart', 'On'],
  ] as const) {
    const next = order(uid, operation);
    world.agent.message(next);
    await until(() =>
      expect(lastBeat(world)?.operations.find(({ id }) => id === next.id)).toMatchObject({ state: 'Completed' }),
    );
    expect(lastBeat(world)?.machines[0]).toMatchObject({ power });
  }
  expect(lastBeat(world)?.machines[0]).toMatchObject({ restarts: 1 });
});

test('a guest whose disk fails is reported paused by it, and goes on once it is mended and resumed', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const { uid } = await running(world);
  const inject = (what: 'break' | 'mend') => (host.hypervisor as SimHypervisor).inject(uid, what);
  inject('break');
  const stopped = { phase: 'Paused', power: 'Paused', pausedReason: 'IOError' };
  await until(() => expect(lastBeat(world)?.machines[0]).toMatchObject(stopped));
  inject('mend');
  world.agent.message(order(uid, 'Resume'));
  await until(() => expect(lastBeat(world)?.machines[0]).toMatchObject({ phase: 'Running', power: 'On' }));
  expect(lastBeat(world)?.machines[0]).not.toHaveProperty('pausedReason');
});

test('a guest that shuts itself down is restarted in place, stopped or finished as the launch says', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const restart = await running(world);
  const stop = await running(world, machineLaunch(randomUUID(), { onGuestShutdown: 'Stop' }));
  const finish = await running(world, machineLaunch(randomUUID(), { onGuestShutdown: 'Finish' }));
  for (const { uid } of [restart, stop, finish]) (host.hypervisor as SimHypervisor).inject(uid, 'shutdown');
  await until(() => expect(world.agent.states(finish.taskId)).toContain('TASK_FINISHED'));
  const of = (uid: string) => lastBeat(world)?.machines.find((machine) => machine.uid === uid);
  const lastEnd = { reason: 'GuestShutdown' };
  await until(() => expect(of(stop.uid)).toMatchObject({ phase: 'Stopped', power: 'Off', lastEnd }));
  await until(() => expect(of(restart.uid)).toMatchObject({ phase: 'Running', restarts: 1, lastEnd }));
  expect(world.agent.states(restart.taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING']);
});

test('cleanup removes a domain of an earlier life and spares a live one', async () => {
  await using world = await openWorld();
  const first = await world.start();
  const { uid: old } = await running(world);
  await first[Symbol.asyncDispose]();
  const { host } = await world.start('life-2');
  await until(() => expect(world.agent.subscriptions).toHaveLength(2));
  const { uid: live } = await running(world);
  world.agent.message({ type: 'cleanup', version: 1, uids: [old, live] });
  await until(async () => expect(await host.hypervisor.get(old)).toBeUndefined());
  expect(await host.hypervisor.get(live)).toMatchObject({ power: 'On' });
  await until(async () => expect(await host.devices.owners()).toEqual([live]));
});

test('an executor that the agent has forgotten gives way to the next one', async () => {
  await using world = await openWorld();
  const first = await world.start();
  const { uid } = await running(world);
  const second = await world.start('life-2');
  expect(await first.ended).toBe('Replaced');
  await until(() => expect(lastBeat(world)?.inventory?.domains).toEqual([{ uid, attempt: 1, power: 'On' }]));
  expect(await second.host.hypervisor.get(uid)).toMatchObject({ power: 'On' });
});

test('an agent that comes back as another one is left to the executor that it has started itself', async () => {
  await using world = await openWorld();
  const { ended, host } = await world.start();
  const { uid } = await running(world);
  world.agent.agentId = 'a-2';
  world.agent.disconnect();
  expect(await ended).toBe('Replaced');
  expect(await host.hypervisor.get(uid)).toMatchObject({ power: 'On' });
});

test('an agent that comes back hears what was said while it was away', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const launch = await running(world, machineLaunch(randomUUID(), { onGuestShutdown: 'Finish' }));
  world.agent.disconnect();
  (host.hypervisor as SimHypervisor).inject(launch.uid, 'shutdown');
  await until(() =>
    expect(world.agent.termination(launch.taskId)).toMatchObject({ class: 'Guest', domainAbsent: true }),
  );
  expect(world.agent.states(launch.taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING', 'TASK_FINISHED']);
});

test('SHUTDOWN ends the executor and leaves the domains running', async () => {
  await using world = await openWorld();
  const { host, ended } = await world.start();
  const { uid } = await running(world);
  world.agent.send({ type: 'SHUTDOWN' });
  expect(await ended).toBe('Shutdown');
  expect(await host.hypervisor.get(uid)).toMatchObject({ power: 'On' });
});

test('a task group and a launch that cannot be read are refused for good', async () => {
  await using world = await openWorld();
  await world.start();
  await subscribed(world);
  const task = { name: 'x', task_id: { value: 'x' }, agent_id: { value: 'a-1' } };
  world.agent.send({ type: 'LAUNCH_GROUP', launch_group: { task_group: { tasks: [task] } } });
  await until(() =>
    expect(world.agent.termination('x')).toMatchObject({ reason: 'TaskGroupsUnsupported', terminal: true }),
  );
  world.agent.send({ type: 'LAUNCH', launch: { task: { ...task, task_id: { value: 'y' }, data: 'AAAA' } } });
  await until(() => expect(world.agent.termination('y')).toMatchObject({ reason: 'InvalidLaunch', terminal: true }));
});

test('an image task finishes with what it stored', async () => {
  await using world = await openWorld();
  await world.start();
  await subscribed(world);
  await writeFile(join(world.config.importDir, 'a.raw'), Buffer.alloc(1024, 7));
  const launch = imageImport(randomUUID(), { file: { path: 'a.raw' } });
  world.agent.launch(launch);
  await until(() => expect(world.agent.states(launch.taskId)).toContain('TASK_FINISHED'));
  expect(world.agent.termination(launch.taskId)).toMatchObject({
    digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    virtualSize: 1024,
  });
});

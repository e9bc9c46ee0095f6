/** Snapshots as an executor takes them of imitated machines, from the order to what is left in the store. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { DiskOrder, OperationReport } from '#lib/api/messages.ts';
import { systemClock } from '#lib/std/clock.ts';
import { type Hypervisor, MachineError } from '../hypervisor.ts';
import { machineLaunch, openWorld, type World } from '../testing/world.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 10_000, interval: 10 }));

async function running(world: World, changes: Parameters<typeof machineLaunch>[1] = {}) {
  const launch = machineLaunch(randomUUID(), changes);
  await until(() => expect(world.agent.subscriptions.length).toBeGreaterThan(0));
  world.agent.launch(launch);
  await until(() => expect(world.agent.states(launch.taskId)).toContain('TASK_RUNNING'));
  return launch;
}

type Taking = Extract<DiskOrder, { order: 'Snapshot' }>;

function taking(uid: string, changes: Partial<Taking> = {}): Taking {
  const snapshot = randomUUID();
  return {
    ...{ type: 'disk', version: 1, id: snapshot, uid, snapshot, attempt: 1, timeoutMs: 10_000 },
    ...{ order: 'Snapshot', consistency: 'QuiescedOrCrash', ...changes },
  };
}

const discarding = (snapshot: string): DiskOrder => ({
  ...{ type: 'disk', version: 1, id: randomUUID(), uid: snapshot, snapshot, timeoutMs: 10_000, order: 'Discard' },
});

async function outcome(world: World, { id }: DiskOrder): Promise<OperationReport> {
  const found = () => world.agent.heartbeats.at(-1)?.operations.find((each) => each.id === id);
  await until(() => expect(found()?.state ?? 'InProgress').not.toBe('InProgress'));
  return found()!;
}

const filesOf = ({ config }: World, uid: string) => readdirSync(join(config.root, 'vms', uid)).toSorted();
const stored = ({ config }: World, folder = '') => {
  const path = join(config.imageStore, folder);
  return existsSync(path) ? readdirSync(path) : [];
};
const frozen = async (hypervisor: Hypervisor, uid: string) =>
  await hypervisor.agent(uid, { execute: 'guest-fsfreeze-status' }, 1000);

/** The guest changes what is on its disk. */
function write({ config }: World, uid: string, mark: string): void {
  const disk = join(config.root, 'vms', uid, 'root.qcow2');
  writeFileSync(disk, JSON.stringify({ ...JSON.parse(readFileSync(disk, 'utf8')), mark }));
}
const read = ({ config }: World, uid: string) =>
  JSON.parse(readFileSync(join(config.root, 'vms', uid, 'root.qcow2'), 'utf8')).mark;

test('a machine with an agent is frozen for its snapshot and thawed; nothing but the snapshot stays', async () => {
  await using world = await openWorld({ agents: true });
  const { host } = await world.start();
  const { uid } = await running(world);
  const before = filesOf(world, uid);
  write(world, uid, 'old');
  await until(async () => expect(await host.hypervisor.agent(uid, { execute: 'guest-ping' }, 1000)).toEqual({}));
  const seen: unknown[] = [];
  const copyDisk = host.hypervisor.copyDisk.bind(host.hypervisor);
  host.hypervisor.copyDisk = async (...args) => {
    seen.push(await frozen(host.hypervisor, uid));
    await copyDisk(...args);
  };
  const order = taking(uid, { consistency: 'Quiesced' });
  world.agent.message(order);
  const report = await outcome(world, order);
  expect(report).toMatchObject({
    state: 'Completed',
    result: { consistency: 'Quiesced', indications: ['GuestAgent'], virtualSize: 1024, format: 'qcow2' },
  });
  expect([...seen, await frozen(host.hypervisor, uid)]).toEqual(['frozen', 'thawed']);
  expect(filesOf(world, uid)).toEqual(before);
  const { digest } = report.result!;
  expect(JSON.parse(readFileSync(join(world.config.imageStore, digest), 'utf8'))).toMatchObject({ mark: 'old' });
  expect([stored(world, 'incoming'), stored(world, 'snapshots')]).toEqual([[], [order.snapshot]]);

  // Said again it is not done again; discarded it is gone, mark and all.
  world.agent.message(order);
  const discard = discarding(order.snapshot);
  world.agent.message(discard);
  expect(await outcome(world, discard)).toMatchObject({ state: 'Completed' });
  expect(await outcome(world, order)).toEqual(report);
  expect([stored(world).includes(digest), stored(world, 'snapshots')]).toEqual([false, []]);
  expect(seen).toHaveLength(1);
});

test('a guest that cannot answer while it is frozen has failed no probe, and its agent is not gone', async () => {
  await using world = await openWorld({ agents: true });
  const { host } = await world.start();
  const probe = { initialDelayMs: 0, periodMs: 1_000, timeoutMs: 1_000, successThreshold: 1, failureThreshold: 1 };
  const { uid, taskId } = await running(world, { readiness: probe, liveness: probe });
  const report = () => world.agent.heartbeats.at(-1)!.machines[0]!;
  const well = { phase: 'Running', readiness: { ready: true }, agent: { connected: true } };
  await until(() => expect(report()).toMatchObject(well));
  let asked = 0;
  const [copyDisk, agent] = [host.hypervisor.copyDisk, host.hypervisor.agent].map((each) =>
    each.bind(host.hypervisor),
  ) as [Hypervisor['copyDisk'], Hypervisor['agent']];
  host.hypervisor.copyDisk = async (...args) => {
    const seen: unknown[] = [];
    host.hypervisor.agent = async (_, { execute }) => {
      asked += 1;
      throw new MachineError(`The guest agent refuses: ${execute}`);
    };
    // Longer than three tries are apart.
    for (let n = 0; n < 35; n++) {
      await systemClock.sleep(100);
      seen.push(report());
    }
    host.hypervisor.agent = agent;
    for (const each of seen) expect(each).toMatchObject(well);
    await copyDisk(...args);
  };
  const order = taking(uid, { consistency: 'Quiesced' });
  world.agent.message(order);
  expect(await outcome(world, order)).toMatchObject({ state: 'Completed', result: { consistency: 'Quiesced' } });
  // Whoever had begun to ask before it was frozen.
  expect(asked).toBeLessThanOrEqual(3);
  await until(() => expect(report()).toMatchObject(well));
  expect(report().restarts).toBe(0);
  expect(world.agent.states(taskId)).toEqual(['TASK_STARTING', 'TASK_RUNNING']);
}, 60_000);

test('without an agent the snapshot is as after a crash, and one that must be quiesced fails', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const { uid } = await running(world);
  const [loose, strict] = [taking(uid), taking(uid, { consistency: 'Quiesced' })];
  world.agent.message(loose);
  expect(await outcome(world, loose)).toMatchObject({
    result: { consistency: 'CrashConsistent', indications: ['NoGuestAgent'] },
  });
  const before = stored(world).length;
  world.agent.message(strict);
  expect(await outcome(world, strict)).toMatchObject({
    state: 'Failed',
    message: expect.stringMatching(/guest agent/),
  });
  expect(stored(world)).toHaveLength(before);
  await host.hypervisor.suspend(uid);
  const paused = taking(uid);
  world.agent.message(paused);
  expect(await outcome(world, paused)).toMatchObject({ result: { indications: ['Paused'] } });
});

test('the deadline ends it, and it leaves nothing; a machine of another attempt, or none, is refused', async () => {
  await using world = await openWorld({ agents: true });
  const { host } = await world.start();
  const { uid } = await running(world);
  const before = [filesOf(world, uid), stored(world)];
  host.hypervisor.copyState = async () => 'Copying';
  const stop = vi.spyOn(host.hypervisor, 'stopCopy');
  const order = taking(uid, { timeoutMs: 300 });
  world.agent.message(order);
  expect(await outcome(world, order)).toMatchObject({ state: 'Failed', message: expect.stringMatching(/deadline/) });
  expect(stop.mock.calls.length).toBeGreaterThan(1);
  expect([filesOf(world, uid), stored(world).filter((name) => name !== 'incoming')]).toEqual(before);
  for (const wrong of [taking(uid, { attempt: 2 }), taking(randomUUID())]) {
    world.agent.message(wrong);
    expect(await outcome(world, wrong)).toMatchObject({ state: 'Failed' });
  }
});

test.each(['flatten', 'publish'] as const)('what fails at the end leaves nothing in the store: %s', async (step) => {
  await using world = await openWorld();
  const { host } = await world.start();
  const { uid } = await running(world);
  const before = stored(world);
  const { copies } = host.devices;
  const flatten = copies.flatten.bind(copies);
  copies.flatten = async (copy, file, limits) => {
    const size = await flatten(copy, file, limits);
    if (step === 'flatten') throw new Error('The store is full');
    // It cannot be read any more.
    rmSync(file);
    return size;
  };
  const order = taking(uid);
  world.agent.message(order);
  expect(await outcome(world, order)).toMatchObject({ state: 'Failed' });
  expect(stored(world).filter((name) => !['incoming', 'snapshots'].includes(name))).toEqual(before);
  expect([...stored(world, 'incoming'), ...stored(world, 'snapshots')]).toEqual([]);
  expect(filesOf(world, uid)).not.toContain('snapshot.qcow2');
});

test('a hypervisor that forgets or does not answer for a while is asked again; one that cannot copy ends it', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const { uid } = await running(world);
  const states: (string | Error)[] = [new Error('Connection reset'), 'Failed', 'Copying', 'Copied'];
  const copyState = vi.spyOn(host.hypervisor, 'copyState').mockImplementation(async () => {
    const state = states.shift() ?? 'Failed';
    if (state instanceof Error) throw state;
    return state as 'Copying';
  });
  vi.spyOn(host.hypervisor, 'copyDisk').mockRejectedValueOnce(new Error('Connection reset'));
  const patient = taking(uid);
  world.agent.message(patient);
  expect(await outcome(world, patient)).toMatchObject({ state: 'Completed' });
  expect(copyState).toHaveBeenCalledTimes(4);
  const hopeless = taking(uid);
  world.agent.message(hopeless);
  expect(await outcome(world, hopeless)).toMatchObject({
    state: 'Failed',
    message: expect.stringMatching(/could not copy/),
  });
});

test('a worker that comes after one that was taking it thaws, and takes it', async () => {
  await using world = await openWorld({ agents: true });
  const first = await world.start();
  const { uid } = await running(world);
  const { hypervisor } = first.host;
  await until(async () => expect(await hypervisor.agent(uid, { execute: 'guest-ping' }, 1000)).toEqual({}));
  // The first is ended between freezing and thawing: its thaws do not reach the guest.
  const agent = hypervisor.agent.bind(hypervisor);
  hypervisor.agent = async (of, command, deadlineMs) => {
    if (command.execute === 'guest-fsfreeze-thaw') throw new Error('killed');
    return await agent(of, command, deadlineMs);
  };
  hypervisor.copyState = async () => 'Copying';
  const order = taking(uid, { timeoutMs: 30_000 });
  world.agent.message(order);
  await until(async () => expect(await agent(uid, { execute: 'guest-fsfreeze-status' }, 1000)).toBe('frozen'));
  await until(() => expect(filesOf(world, uid)).toContain('snapshot.qcow2'));
  await first[Symbol.asyncDispose]();
  // What it was writing then.
  const { imageStore } = world.config;
  for (const folder of [join('incoming', `snapshot-${order.snapshot}`), 'snapshots'])
    mkdirSync(join(imageStore, folder), { recursive: true });
  // Or what it had just put there, and not told.
  const untold = 'e'.repeat(64);
  writeFileSync(join(imageStore, 'snapshots', order.snapshot), untold);
  writeFileSync(join(imageStore, untold), 'a disk');
  const { host } = await world.start();
  await until(async () => expect(await frozen(host.hypervisor, uid)).toBe('thawed'));
  expect(await outcome(world, order)).toMatchObject({ state: 'Completed' });
  expect(await frozen(host.hypervisor, uid)).toBe('thawed');
  expect([filesOf(world, uid).includes('snapshot.qcow2'), stored(world, 'incoming')]).toEqual([false, []]);
  expect(stored(world)).not.toContain(untold);
});

test('after another executor has come the snapshot has failed, and nothing of it is left', async () => {
  await using world = await openWorld();
  const first = await world.start();
  const { uid } = await running(world);
  first.host.hypervisor.copyState = async () => 'Copying';
  const order = taking(uid, { timeoutMs: 30_000 });
  world.agent.message(order);
  await until(() => expect(filesOf(world, uid)).toContain('snapshot.qcow2'));
  await first[Symbol.asyncDispose]();
  await world.start('life-2');
  expect(await outcome(world, order)).toMatchObject({ state: 'Failed', message: expect.stringMatching(/replaced/) });
  await until(() => expect(filesOf(world, uid)).not.toContain('snapshot.qcow2'));
  expect(stored(world, 'snapshots')).toEqual([]);
});

test('data disks and volumes are not in a snapshot, which names them; nor are they touched when one is put back', async () => {
  await using world = await openWorld();
  await world.start();
  const disks = [{ name: 'data', bytes: 4096 }];
  const volume = {
    uid: randomUUID(),
    name: 'scenes',
    type: 'SharedFilesystem',
    glusterVolume: 'vm',
    bytes: 1,
  } as const;
  const { uid } = await running(world, { version: 5, disks, volumes: [volume], power: 'Off' });
  const order = taking(uid);
  world.agent.message(order);
  const { result, ...report } = await outcome(world, order);
  expect(report).toMatchObject({ state: 'Completed', message: 'Taken; not in it: data, scenes' });
  expect(result).toMatchObject({ indications: ['Partial'], notKept: ['data', 'scenes'] });
  const data = join(world.config.root, 'vms', uid, 'disk-data.qcow2');
  writeFileSync(data, JSON.stringify({ virtualSize: 4096, mark: 'newer' }));
  const { digest } = result!;
  const restore: DiskOrder = {
    ...{ type: 'disk', version: 1, id: randomUUID(), uid, snapshot: order.snapshot, attempt: 1, timeoutMs: 10_000 },
    ...{ order: 'Restore', digest },
  };
  world.agent.message(restore);
  const message = 'The disk was put back; as they were: data, scenes';
  expect(await outcome(world, restore)).toMatchObject({ state: 'Completed', message });
  expect(JSON.parse(readFileSync(data, 'utf8'))).toMatchObject({ mark: 'newer' });
});

test('a disk is put back while the machine is off, and not while it runs; it starts with it', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const { uid } = await running(world, { power: 'Off' });
  write(world, uid, 'old');
  const order = taking(uid);
  world.agent.message(order);
  const { result } = await outcome(world, order);
  expect(result).toMatchObject({ consistency: 'CrashConsistent', indications: [] });
  write(world, uid, 'new');
  const restoring = (): DiskOrder => {
    const { snapshot } = order;
    const common = {
      type: 'disk',
      version: 1,
      id: randomUUID(),
      uid,
      snapshot,
      attempt: 1,
      timeoutMs: 10_000,
    } as const;
    return { ...common, order: 'Restore', digest: result!.digest };
  };
  const power = (operation: 'Start' | 'Stop') =>
    world.agent.message({
      ...{ type: 'operation', version: 1, id: randomUUID(), uid, attempt: 1, operation, force: true, timeoutMs: 5000 },
    });
  power('Start');
  await until(async () => expect(await host.hypervisor.get(uid)).toMatchObject({ power: 'On' }));
  const refused = restoring();
  world.agent.message(refused);
  expect(await outcome(world, refused)).toMatchObject({ state: 'Failed', message: expect.stringMatching(/not off/) });
  expect(read(world, uid)).toBe('new');
  power('Stop');
  await until(() => expect(world.agent.heartbeats.at(-1)?.machines[0]).toMatchObject({ phase: 'Stopped' }));
  const cut = taking(uid, { consistency: 'Quiesced' });
  world.agent.message(cut);
  expect(await outcome(world, cut)).toMatchObject({ state: 'Failed', message: expect.stringMatching(/shut down/) });
  const restore = restoring();
  world.agent.message(restore);
  expect(await outcome(world, restore)).toMatchObject({ state: 'Completed' });
  power('Start');
  await until(async () => expect(await host.hypervisor.get(uid)).toMatchObject({ power: 'On' }));
  expect([read(world, uid), filesOf(world, uid).filter((name) => /restore|snapshot/.test(name))]).toEqual(['old', []]);
});

test('a snapshot that is discarded while it is taken stops', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const { uid } = await running(world);
  host.hypervisor.copyState = async () => 'Copying';
  const order = taking(uid, { timeoutMs: 60_000 });
  world.agent.message(order);
  await until(() => expect(filesOf(world, uid)).toContain('snapshot.qcow2'));
  const discard = discarding(order.snapshot);
  world.agent.message(discard);
  expect(await outcome(world, discard)).toMatchObject({ state: 'Completed' });
  expect(await outcome(world, order)).toMatchObject({ state: 'Failed', message: expect.stringMatching(/deleted/) });
  expect(filesOf(world, uid)).not.toContain('snapshot.qcow2');
});

test('a machine that is killed while its snapshot is taken is gone, and so is the snapshot', async () => {
  await using world = await openWorld();
  const { host } = await world.start();
  const { uid, taskId } = await running(world);
  host.hypervisor.copyState = async (each) => ((await host.hypervisor.get(each)) ? 'Copying' : 'Failed');
  const order = taking(uid);
  world.agent.message(order);
  await until(() => expect(filesOf(world, uid)).toContain('snapshot.qcow2'));
  world.agent.kill(taskId);
  await until(() => expect(world.agent.states(taskId)).toContain('TASK_KILLED'));
  expect(await outcome(world, order)).toMatchObject({ state: 'Failed' });
  expect(await host.devices.owners()).toEqual([]);
  expect(stored(world, 'snapshots')).toEqual([]);
});

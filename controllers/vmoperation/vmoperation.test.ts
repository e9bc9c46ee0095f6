import { describe, expect, it } from 'vitest';
import { VirtualMachine, type VirtualMachineStatus, VMOperation } from '#lib/api/generated/index.ts';
import { settles, survivesEveryFailure } from '#test/proofs.ts';
import { story, type World } from '#test/story.ts';
import { vmOperationController } from './controller.ts';

type Policy = VirtualMachine['spec']['runPolicy'];
type Type = VMOperation['spec']['type'];

const apiVersion = 'computefactory.io/v1alpha1';
const running: VirtualMachineStatus = { phase: 'Running', attempt: { number: 1 } };

async function withMachine(runPolicy: Policy = 'Manual', status: VirtualMachineStatus = running): Promise<World> {
  const world = story([vmOperationController]);
  const metadata = { name: 'web-0', namespace: 'default' };
  await world.api.create(VirtualMachine, {
    apiVersion,
    kind: 'VirtualMachine',
    metadata,
    spec: { runPolicy, image: { name: 'debian' } },
  });
  await world.api.patchStatus(VirtualMachine, metadata, { status });
  return world;
}

async function ask(world: World, type: Type, name = type.toLowerCase(), spec: object = {}): Promise<void> {
  const metadata = { name, namespace: 'default' };
  await world.api.create(VMOperation, {
    apiVersion,
    kind: 'VMOperation',
    metadata,
    spec: { vm: 'web-0', type, ...spec },
  });
}

const statusOf = async (world: World, name: string) =>
  (await world.api.get(VMOperation, { name, namespace: 'default' })).status;

describe('vmoperation', () => {
  it.each<[Type, Policy, VirtualMachineStatus['phase'], string, RegExp]>([
    ['Stop', 'Always', 'Running', 'Failed', /set runPolicy: Halted or Manual/],
    ['Stop', 'Manual', 'Running', 'Pending', /Accepted/],
    ['Stop', 'Once', 'Running', 'Pending', /Accepted/],
    ['Stop', 'RerunOnFailure', 'Running', 'Pending', /Accepted/],
    ['Stop', 'Halted', 'Running', 'Completed', /off/],
    ['Stop', 'Manual', 'Stopped', 'Completed', /off/],
    ['Start', 'Manual', 'Stopped', 'Pending', /Accepted/],
    ['Start', 'Manual', 'Running', 'Completed', /running/],
    ['Start', 'Halted', 'Stopped', 'Failed', /set another runPolicy/],
    ['Start', 'Once', 'Failed', 'Failed', /has ended/],
    ['Stop', 'Once', 'Succeeded', 'Completed', /is off, and has ended/],
    ['Restart', 'Always', 'Running', 'Pending', /Accepted/],
    ['Restart', 'Halted', 'Stopped', 'Failed', /runPolicy: Halted/],
    ['Reset', 'Manual', 'Running', 'Pending', /Accepted/],
    ['Pause', 'Always', 'Running', 'Pending', /Accepted/],
    ['Pause', 'Always', 'Paused', 'Completed', /paused/],
    ['Pause', 'Manual', 'Stopped', 'Failed', /does not run/],
    ['Resume', 'Manual', 'Paused', 'Pending', /Accepted/],
    ['Migrate', 'Always', 'Running', 'Pending', /Accepted/],
    ['Migrate', 'Manual', 'Paused', 'Pending', /Accepted/],
    ['Migrate', 'Manual', 'Stopped', 'Failed', /does not run \(Stopped\): only a machine that is running or paused/],
    ['Migrate', 'Always', 'Starting', 'Failed', /does not run \(Starting\)/],
    ['Migrate', 'Halted', 'Running', 'Failed', /runPolicy: Halted/],
  ])('%s of a machine with runPolicy %s in phase %s: %s', async (type, policy, phase, expected, message) => {
    const world = await withMachine(policy, { ...running, phase: phase! });
    await ask(world, type, 'op');
    await settles(world);
    const status = await statusOf(world, 'op');
    expect(status).toMatchObject({ phase: expected, message: expect.stringMatching(message) });
    expect(status?.vmUID !== undefined).toBe(expected === 'Pending');
    expect(status?.finishedAt !== undefined).toBe(expected !== 'Pending');
  });

  const volume = {
    name: 'data',
    volume: 'data',
    uid: 'v',
    type: 'SharedFilesystem',
    glusterVolume: 'g',
    size: '1Gi',
  } as const;
  const migration = {
    ...{ id: 'm', number: 2, cluster: 'lab', host: 'h2', agentID: 'S1', taskID: 't', reason: 'Drain' as const },
    ...{ since: '2026-01-01T00:00:00Z', deadline: '2026-01-01T00:05:00Z' },
  };
  it.each<[string, VirtualMachineStatus, RegExp]>([
    ['that has volumes', { volumes: [volume] }, /has volumes \(data\), and one with volumes cannot be moved/],
    ['that is on its way already', { migration }, /is being moved to host h2 already/],
  ])('does not move a machine %s', async (_, status, message) => {
    const world = await withMachine('Manual', { ...running, ...status });
    await ask(world, 'Migrate', 'op');
    await settles(world);
    expect(await statusOf(world, 'op')).toMatchObject({ phase: 'Failed', message: expect.stringMatching(message) });
  });

  it('is not for a machine that has got the name since', async () => {
    const world = await withMachine();
    await ask(world, 'Reset', 'op');
    await world.api.delete(VirtualMachine, { name: 'web-0', namespace: 'default' });
    await world.clock.advance(2_000);
    await world.api.create(VirtualMachine, {
      ...{ apiVersion, kind: 'VirtualMachine', metadata: { name: 'web-0', namespace: 'default' } },
      spec: { image: { name: 'debian' } },
    });
    await settles(world);
    const message = expect.stringMatching(/web-0 was made after this was asked for/);
    expect(await statusOf(world, 'op')).toMatchObject({ phase: 'Failed', message });
  });

  it('names the cluster that has the machine, from when one has it, and another one if it moves', async () => {
    const world = await withMachine('Manual', { phase: 'Scheduling' });
    const machine = { name: 'web-0', namespace: 'default' };
    await ask(world, 'Stop', 'op');
    await settles(world);
    expect(await statusOf(world, 'op')).toMatchObject({ phase: 'Pending' });
    expect(await statusOf(world, 'op')).not.toHaveProperty('cluster');
    for (const cluster of ['lab', 'annex']) {
      await world.api.patchStatus(VirtualMachine, machine, {
        status: { phase: 'Running', attempt: { number: 1, cluster } },
      });
      await settles(world);
      expect(await statusOf(world, 'op')).toMatchObject({ phase: 'Pending', cluster });
    }
    await world.api.patchStatus(VMOperation, { name: 'op', namespace: 'default' }, { status: { phase: 'InProgress' } });
    await world.api.patchStatus(VirtualMachine, machine, { status: { attempt: { cluster: 'lab' } } });
    await settles(world);
    expect(await statusOf(world, 'op')).toMatchObject({ phase: 'InProgress', cluster: 'lab' });
  });

  it('refuses a machine that is not there, is going, or was replaced after it was accepted', async () => {
    const world = await withMachine();
    await ask(world, 'Stop', 'elsewhere', { vm: 'nobody' });
    await ask(world, 'Stop', 'replaced');
    await settles(world);
    expect(await statusOf(world, 'elsewhere')).toMatchObject({ phase: 'Failed', message: /"nobody"/ });
    await world.api.patchStatus(
      VMOperation,
      { name: 'replaced', namespace: 'default' },
      { status: { vmUID: 'other' } },
    );
    await settles(world);
    expect(await statusOf(world, 'replaced')).toMatchObject({ phase: 'Failed', message: /replaced/ });
  });

  it('a later opposite supersedes what has not begun; what has begun goes on', async () => {
    const world = await withMachine();
    await ask(world, 'Stop', 'first');
    await world.clock.advance(1_000);
    await ask(world, 'Restart', 'begun');
    await settles(world);
    await world.api.patchStatus(
      VMOperation,
      { name: 'begun', namespace: 'default' },
      { status: { phase: 'InProgress' } },
    );
    await world.api.patchStatus(
      VirtualMachine,
      { name: 'web-0', namespace: 'default' },
      { status: { phase: 'Stopping' } },
    );
    // Within the same second as the second one; accepted operations count as older.
    await ask(world, 'Start', 'later');
    await settles(world);
    expect(await statusOf(world, 'first')).toMatchObject({ phase: 'Superseded', message: /later asked for Start/ });
    expect(await statusOf(world, 'begun')).toMatchObject({ phase: 'InProgress' });
    expect(await statusOf(world, 'later')).toMatchObject({ phase: 'Pending' });
  });

  it('a Start waits for a machine without an attempt; a Stop is done once such a machine is off', async () => {
    const world = await withMachine('Manual', { phase: 'Stopped' });
    await ask(world, 'Start', 'on');
    await settles(world);
    expect(await statusOf(world, 'on')).toMatchObject({ phase: 'Pending' });
    const at = { name: 'web-0', namespace: 'default' };
    await world.api.patchStatus(VirtualMachine, at, { status: { phase: 'Scheduling' } });
    await world.clock.advance(1_000);
    await ask(world, 'Stop', 'off');
    await settles(world);
    expect(await statusOf(world, 'on')).toMatchObject({ phase: 'Superseded' });
    expect(await statusOf(world, 'off')).toMatchObject({ phase: 'Pending' });
    await world.api.patchStatus(VirtualMachine, at, { status: { phase: 'Stopped' } });
    await settles(world);
    expect(await statusOf(world, 'off')).toMatchObject({ phase: 'Completed' });
  });

  it('fails what nobody began in time, asking to be woken then', async () => {
    const world = await withMachine();
    await ask(world, 'Stop', 'op', { timeout: '1m' });
    await settles(world);
    expect(await world.reconcile('vmoperation', 'default/op')).toEqual({ next: 'again', afterMs: 60_000 });
    await world.clock.advance(59_000);
    await settles(world);
    expect(await statusOf(world, 'op')).toMatchObject({ phase: 'Pending' });
    await world.clock.advance(1_000);
    await settles(world);
    expect(await statusOf(world, 'op')).toMatchObject({ phase: 'Failed', message: /Nobody began it within 1m/ });
  });

  it('leaves one that was begun to its executor for a while longer', async () => {
    const world = await withMachine();
    await ask(world, 'Stop', 'op', { timeout: '1m' });
    await settles(world);
    const status = { phase: 'InProgress', startedAt: '2026-01-01T00:00:30Z' };
    await world.api.patchStatus(VMOperation, { name: 'op', namespace: 'default' }, { status });
    await world.clock.advance(209_000);
    await settles(world);
    expect(await statusOf(world, 'op')).toMatchObject({ phase: 'InProgress' });
    await world.clock.advance(1_000);
    await settles(world);
    expect(await statusOf(world, 'op')).toMatchObject({ phase: 'Failed', message: /outcome was not reported/ });
  });

  it('deletes what is finished after its time to live', async () => {
    const world = await withMachine('Always');
    await ask(world, 'Stop', 'op', { ttlSecondsAfterFinished: 90 });
    await settles(world);
    await world.clock.advance(89_000);
    await settles(world);
    expect(await statusOf(world, 'op')).toMatchObject({ phase: 'Failed' });
    await world.clock.advance(1_000);
    await settles(world);
    expect(world.api.store.list('computefactory.io/vmoperations')).toEqual([]);
  });

  it('ends the same whichever call is lost', async () => {
    const survived = await survivesEveryFailure(async () => {
      const world = await withMachine('Manual');
      await ask(world, 'Stop', 'one');
      await world.clock.advance(1_000);
      await ask(world, 'Start', 'two', { ttlSecondsAfterFinished: 0 });
      await ask(world, 'Stop', 'nobody', { vm: 'nobody' });
      return world;
    });
    expect(survived).toBeGreaterThanOrEqual(6);
  });
});

import { describe, expect, test } from 'vitest';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { systemClock, timestamp } from '#lib/std/clock.ts';
import { open, running, type Story, story, until } from './testing/story.ts';

const at = (name: string) => ({ name, namespace: 'default' });

/** Refused for long enough to preempt others. */
async function urgent(lab: Story, cores: number, status?: VirtualMachine['status']): Promise<void> {
  await lab.want('urgent', cores, undefined, status);
  await lab.api.patch(VirtualMachine, at('urgent'), { spec: { priority: 10, preemption: 'LowerPriority' } });
  const refused = { type: 'Scheduled', status: 'False', reason: 'InsufficientCores', message: '' } as const;
  const conditions = [{ ...refused, lastTransitionTime: timestamp(systemClock.now() - 10_000) }];
  await lab.api.patchStatus(VirtualMachine, at('urgent'), { status: { conditions } });
}

describe('preemption', () => {
  test('a machine of lower priority goes, with the reason; the room is kept for the one that it is made for', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 8.5, 65_536);
    for (const name of ['a', 'b']) await lab.want(name, 4);
    lab.serve();
    for (const name of ['a', 'b']) await running(lab, name);
    lab.mesos.loseKills = true;
    await urgent(lab, 4);
    await until(async () => expect((await lab.machine('urgent')).status?.nominated?.host).toBe('h1'));
    const evicted = async () => {
      const both = await Promise.all(['a', 'b'].map((name) => lab.machine(name)));
      return both.filter(({ status }) => status?.attempt?.drain?.reason === 'Preemption');
    };
    await until(async () => expect(await evicted()).toHaveLength(1));
    const [victim] = await evicted();
    expect(victim!.status?.conditions).toContainEqual(
      expect.objectContaining({
        type: 'Draining',
        status: 'True',
        reason: 'Preemption',
        message: 'Makes room for default/urgent, whose priority is 10',
      }),
    );
    await lab.want('small', 1);
    lab.mesos.loseKills = false;
    await running(lab, 'urgent');
    expect((await lab.machine('urgent')).status).toMatchObject({ attempt: { host: 'h1' } });
    expect((await lab.machine('urgent')).status?.nominated).toBeUndefined();
    const gone = await lab.machine(victim!.metadata.name);
    expect(gone.status?.attempts?.at(-1)).toMatchObject({ class: 'Preempted', reason: 'Preemption' });
    expect((await lab.machine('small')).status?.attempt).toBeUndefined();
  }, 30_000);

  test('no room is made on a host that may not use the Gluster volume of the machine', async () => {
    const lab = await story();
    for (const [index, glusterVolume] of ['other', 'vm'].entries()) {
      const host = lab.mesos.addHost(`h${index}`, 4.5, 65_536, { rack: `r${index}` });
      host.volumes = { names: [glusterVolume], mounts: [], orders: [] };
      await lab.want(`on-h${index}`, 4, { rack: `r${index}` });
    }
    lab.serve();
    for (const name of ['on-h0', 'on-h1']) await running(lab, name);
    const volume = { name: 'd', volume: 'data', uid: 'u', type: 'SharedFilesystem', size: '1Gi' } as const;
    await urgent(lab, 4, { volumes: [{ ...volume, glusterVolume: 'vm' }] });
    expect((await running(lab, 'urgent')).status?.attempt?.host).toBe('h1');
    expect((await lab.machine('on-h0')).status?.phase).toBe('Running');
  }, 30_000);

  test('a cluster server that ends between nomination and eviction goes on where it was', async () => {
    const lab = await story();
    lab.mesos.addHost('h1', 4.5, 65_536);
    await lab.want('a', 4);
    const first = lab.serve();
    await running(lab, 'a');
    open.splice(open.indexOf(first), 1);
    await first[Symbol.asyncDispose]();
    await urgent(lab, 4);
    const vm = await lab.machine('urgent');
    const nominated = { host: 'h1', until: timestamp(systemClock.now() + 60_000) };
    await lab.api.updateStatus(VirtualMachine, { ...vm, status: { ...vm.status, nominated } });
    lab.serve();
    await running(lab, 'urgent');
    expect((await lab.machine('a')).status?.attempts?.at(-1)).toMatchObject({ class: 'Preempted' });
  }, 30_000);
});

test('a gang that was started in part, and finds no room for the rest in time, is taken back and waits as a whole', async () => {
  const lab = await story();
  lab.mesos.addHost('h1', 4.5, 65_536);
  lab.mesos.addHost('h2', 4.5, 65_536);
  const gang = { name: 'g', machines: 2, timeout: '1s' };
  for (const name of ['a', 'b']) {
    await lab.want(name, 4);
    await lab.api.patch(VirtualMachine, at(name), { spec: { gang } });
  }
  const first = lab.serve();
  await running(lab, 'a');
  await running(lab, 'b');
  open.splice(open.indexOf(first), 1);
  await first[Symbol.asyncDispose]();
  // As if the offer of b's host had been gone when Mesos was asked.
  const b = await lab.machine('b');
  const { attempt: _a, phaseTransitions: _p, ...rest } = b.status!;
  await lab.api.updateStatus(VirtualMachine, { ...b, status: { ...rest, phase: 'Scheduling' } });
  lab.mesos.hosts.splice(
    lab.mesos.hosts.findIndex(({ hostname }) => hostname === b.status?.attempt?.host),
    1,
  );
  lab.serve();
  await until(async () =>
    expect((await lab.machine('a')).status?.attempts?.at(-1)).toMatchObject({
      class: 'Preempted',
      reason: 'GangInPart',
    }),
  );
}, 30_000);

import { describe, expect, test } from 'vitest';
import { VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { annotations, finalizers } from '#lib/api/names.ts';
import { settles, survivesEveryFailure } from '#test/proofs.ts';
import { story, type World } from '#test/story.ts';
import { vmPoolController } from './controller.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const namespace = 'default';
const at = { namespace, name: 'web' };

async function world(replicas: number): Promise<World> {
  const made = story([vmPoolController]);
  await made.api.create(VMPool, {
    apiVersion,
    kind: 'VMPool',
    metadata: at,
    spec: {
      replicas,
      cluster: 'lab',
      template: { spec: { image: { name: 'debian' }, resources: { cores: 1, memory: '1Gi' } } },
    } as never,
  });
  return made;
}

const names = async ({ api }: World) => (await api.list(VirtualMachine)).items.map((vm) => vm.metadata.name).toSorted();
const scale = ({ api }: World, replicas: number) => api.patch(VMPool, at, { spec: { replicas } });
const pool = ({ api }: World) => api.get(VMPool, at);

/** Settles, and lets the pace of figures pass until nothing is held back. */
async function rest(made: World): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await settles(made);
    await made.clock.advance(2_000);
  }
  await settles(made);
}

async function setStatus({ api }: World, name: string, status: VirtualMachine['status']): Promise<void> {
  const vm = await api.get(VirtualMachine, { namespace, name });
  await api.updateStatus(VirtualMachine, { ...vm, status: { ...vm.status, ...status } });
}

async function ready(made: World): Promise<void> {
  const lastTransitionTime = new Date(made.clock.now()).toISOString();
  for (const name of await names(made))
    await setStatus(made, name, {
      phase: 'Running',
      phaseTransitions: { Running: lastTransitionTime },
      conditions: [{ type: 'Ready', status: 'True', reason: 'Running', message: '', lastTransitionTime }],
    });
}

/** What the virtualmachine controller does for machines without an attempt. */
async function releaseDeleted({ api }: World): Promise<void> {
  for (const vm of (await api.list(VirtualMachine)).items)
    if (vm.metadata.deletionTimestamp)
      await api.patch(VirtualMachine, { namespace, name: vm.metadata.name }, { metadata: { finalizers: [] } });
}

describe('vmPoolController', () => {
  test('makes machines with everything on them from the first moment', async () => {
    const made = await world(3);
    await rest(made);
    expect(await names(made)).toEqual(['web-0', 'web-1', 'web-2']);
    const vm = await made.api.get(VirtualMachine, { namespace, name: 'web-1' });
    expect(vm.metadata).toMatchObject({
      finalizers: [finalizers.vmCleanup],
      labels: { 'computefactory.io/pool': 'web', 'computefactory.io/ordinal': '1', 'computefactory.io/cluster': 'lab' },
      ownerReferences: [{ kind: 'VMPool', name: 'web', controller: true }],
    });
    expect(vm.spec.placement).toEqual({ cluster: 'lab' });
    expect((await pool(made)).status).toMatchObject({ replicas: 3, desired: 3, displayStatus: 'ScalingUp' });
    await ready(made);
    await rest(made);
    expect((await pool(made)).status).toMatchObject({ readyReplicas: 3, updatedReplicas: 3, displayStatus: 'Ready' });
  });

  test('is stalled while the cluster server launches none of its machines, in its words', async () => {
    const made = await world(1);
    await rest(made);
    const message = 'lab: 10 machines failed one after the other';
    const held = { type: 'Scheduled', status: 'False', reason: 'LaunchBackoff', message } as const;
    await setStatus(made, 'web-0', {
      phase: 'Scheduling',
      conditions: [{ ...held, lastTransitionTime: new Date(made.clock.now()).toISOString() }],
    });
    await rest(made);
    expect((await pool(made)).status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'Stalled', status: 'True', reason: 'LaunchBackoff', message }),
    );
  });

  test('tells those that wait of how many their gang consists now, and no others', async () => {
    const made = await world(2);
    const gang = (machines: number) => ({ name: 'g', machines, timeout: '10m' });
    await made.api.patch(VMPool, at, { spec: { gang: gang(2) } });
    await rest(made);
    await setStatus(made, 'web-0', { phase: 'Running', attempt: { number: 1, cluster: 'lab', host: 'h' } });
    await made.api.patch(VMPool, at, { spec: { gang: gang(5) } });
    await rest(made);
    const told = async (name: string) => (await made.api.get(VirtualMachine, { namespace, name })).spec.gang?.machines;
    expect([await told('web-0'), await told('web-1')]).toEqual([2, 5]);
    await made.api.patch(VMPool, at, { spec: { gang: null } });
    await rest(made);
    expect(await told('web-1')).toBeUndefined();
  });

  test('takes the newest first, leaves protected ones, and says when it cannot', async () => {
    const made = await world(3);
    await rest(made);
    await ready(made);
    await made.api.patch(
      VirtualMachine,
      { namespace, name: 'web-2' },
      { metadata: { annotations: { [annotations.scaleInProtection]: 'true' } } },
    );
    await scale(made, 2);
    await rest(made);
    await releaseDeleted(made);
    expect(await names(made)).toEqual(['web-0', 'web-2']);
    await scale(made, 0);
    await rest(made);
    const blocked = (await pool(made)).status?.conditions?.find(({ type }) => type === 'ScaleInBlocked');
    expect(blocked).toMatchObject({ status: 'True', reason: 'AllProtected' });
  });

  test('a number is free when its object is gone, not before', async () => {
    const made = await world(4);
    await rest(made);
    await ready(made);
    await made.api.delete(VirtualMachine, { namespace, name: 'web-1' });
    await rest(made);
    expect(await names(made)).toEqual(['web-0', 'web-1', 'web-2', 'web-3', 'web-4']);
    await releaseDeleted(made);
    await rest(made);
    expect(await names(made)).toEqual(['web-0', 'web-2', 'web-3', 'web-4']);
  });

  test('stops after three failures, and tries one more when the period is over', async () => {
    const made = await world(1);
    for (const name of ['web-0', 'web-1', 'web-2']) {
      await settles(made);
      const failedAt = new Date(made.clock.now()).toISOString();
      await setStatus(made, name, { phase: 'Failed', phaseTransitions: { Failed: failedAt } });
    }
    await rest(made);
    expect(await names(made)).toEqual(['web-0', 'web-1', 'web-2']);
    expect((await pool(made)).status?.displayStatus).toBe('LaunchBackoff');
    await made.clock.advance(5 * 60_000);
    await rest(made);
    expect(await names(made)).toEqual(['web-0', 'web-1', 'web-2', 'web-3']);
  });

  test('does nothing while paused', async () => {
    const made = await world(2);
    await made.api.patch(VMPool, at, { spec: { paused: true } });
    await rest(made);
    expect(await names(made)).toEqual([]);
    expect((await pool(made)).status?.displayStatus).toBe('Paused');
  });

  test('makes more machines than one pass may', async () => {
    const made = await world(250);
    await rest(made);
    expect(await names(made)).toHaveLength(250);
  });

  test('survives the loss of every call', async () => {
    expect(await survivesEveryFailure(() => world(3), rest)).toBeGreaterThan(6);
  });

  test('survives the loss of every call while it shrinks', async () => {
    const makeWorld = async () => {
      const made = await world(5);
      await rest(made);
      await ready(made);
      await rest(made);
      await scale(made, 2);
      return made;
    };
    const play = async (made: World) => {
      await rest(made);
      await releaseDeleted(made);
      await rest(made);
      expect(await names(made)).toEqual(['web-0', 'web-1']);
    };
    expect(await survivesEveryFailure(makeWorld, play)).toBeGreaterThan(6);
  });

  test('lets machines leave drained hosts, as many as minAvailable spares, and the next when one is back', async () => {
    const made = await world(3);
    await made.api.patch(VMPool, at, { spec: { minAvailable: 2 } });
    await rest(made);
    await ready(made);
    const leave = (name: string, number: number, state: 'Waiting' | 'Evicting') =>
      setStatus(made, name, { attempt: { number, cluster: 'lab', host: 'h1', drain: { reason: 'HostDrain', state } } });
    for (const name of await names(made)) await leave(name, 1, 'Waiting');
    const granted = async () =>
      (await made.api.list(VirtualMachine)).items.map(
        ({ metadata }) => metadata.annotations?.[annotations.drainGranted],
      );
    await rest(made);
    expect(await granted()).toEqual(['1', undefined, undefined]);
    await leave('web-0', 1, 'Evicting');
    await rest(made);
    expect(await granted()).toEqual(['1', undefined, undefined]);
    expect((await pool(made)).status).toMatchObject({ drainingReplicas: 1 });
    // It runs elsewhere, as another attempt, of which the old leave says nothing.
    await setStatus(made, 'web-0', { attempt: { number: 2, cluster: 'lab', host: 'h2' } });
    await rest(made);
    expect(await granted()).toEqual(['1', '1', undefined]);
    await made.api.patch(VMPool, at, { spec: { minAvailable: null } });
    await rest(made);
    expect(await granted()).toEqual(['1', '1', '1']);
  });
});

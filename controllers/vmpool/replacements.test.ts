import { describe, expect, test } from 'vitest';
import { VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { labels } from '#lib/api/names.ts';
import { settles } from '#test/proofs.ts';
import { story } from '#test/story.ts';
import { vmPoolController } from './controller.ts';

const namespace = 'default';
const at = { namespace, name: 'web' };
const minute = 60_000;

type Disconnect = NonNullable<VirtualMachine['spec']['disconnect']>;

/** A pool of two machines that run, and what happens to them. */
async function world({ disconnect, ...more }: Partial<VMPool['spec']> & { disconnect?: Disconnect } = {}) {
  const made = story([vmPoolController]);
  const { api, clock } = made;
  const resources = { cores: 1, memory: '1Gi' };
  const template = { spec: { image: { name: 'debian' }, resources, ...(disconnect && { disconnect }) } };
  await api.create(VMPool, {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'VMPool', metadata: at },
    spec: { replicas: 2, template, ...more } as never,
  });
  const passes = async (ms: number) => {
    await settles(made);
    await clock.advance(ms);
    await settles(made);
  };
  const machine = async (name: string) => await api.get(VirtualMachine, { namespace, name });
  async function put(name: string, status: NonNullable<VirtualMachine['status']>): Promise<void> {
    const vm = await machine(name);
    await api.updateStatus(VirtualMachine, { ...vm, status });
    await settles(made);
  }
  const attempt = { number: 1, cluster: 'lab', host: 'h' };
  const reachable = (status: 'True' | 'False') => ({
    ...{ type: 'Reachable', status, reason: 'ExecutorSilent', message: '' },
    lastTransitionTime: new Date(clock.now()).toISOString(),
  });
  const told = {
    runs: (name: string) => put(name, { phase: 'Running', attempt, conditions: [reachable('True')] }),
    silent: (name: string) => put(name, { phase: 'Unreachable', attempt, conditions: [reachable('False')] }),
    /** Proven gone, and waiting for another place. */
    waits: (name: string) => put(name, { phase: 'Scheduling', conditions: [reachable('True')] }),
  };
  await passes(2_000);
  for (const name of ['web-0', 'web-1']) await told.runs(name);
  const names = async () =>
    (await api.list(VirtualMachine)).items
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(({ metadata }) => metadata.name)
      .toSorted();
  return { ...made, ...told, put, passes, machine, names };
}

/** web-0 is lost, and web-2 runs in its place. */
async function replaced(given: Parameters<typeof world>[0] = {}) {
  const made = await world(given);
  await made.silent('web-0');
  await made.passes(5 * minute);
  await made.runs('web-2');
  return made;
}

describe('a machine whose host does not answer', () => {
  test('is replaced after five minutes under a new number, which says for whom; it stays', async () => {
    const { silent, passes, names, machine, api } = await world();
    await silent('web-0');
    await passes(5 * minute - 3_000);
    expect(await names()).toEqual(['web-0', 'web-1']);
    await passes(3_000);
    expect(await names()).toEqual(['web-0', 'web-1', 'web-2']);
    const lost = await machine('web-0');
    expect((await machine('web-2')).metadata.labels?.[labels.replaces]).toBe(lost.metadata.uid);
    // Once.
    await passes(60 * minute);
    expect(await names()).toEqual(['web-0', 'web-1', 'web-2']);
    expect((await api.get(VMPool, at)).status).toMatchObject({ replicas: 3, unreachableReplicas: 1 });
  });

  test('is waited for as long as spec.disconnect says, for ever if it says so, and as a part of a gang', async () => {
    const patient = await world({ disconnect: { lostAfter: '1h' } });
    await patient.silent('web-0');
    await patient.passes(59 * minute);
    expect(await patient.names()).toEqual(['web-0', 'web-1']);
    await patient.passes(2 * minute);
    expect(await patient.names()).toEqual(['web-0', 'web-1', 'web-2']);
    for (const given of [{ disconnect: { replace: false } }, { gang: { name: 'g', machines: 2, timeout: '10m' } }]) {
      const faithful = await world(given);
      await faithful.silent('web-0');
      await faithful.passes(24 * 60 * minute);
      expect(await faithful.names()).toEqual(['web-0', 'web-1']);
    }
  });

  test('is waited for if it has a disk of its own: nobody else may write to it', async () => {
    const { put, machine, passes, names } = await world();
    const disk = { name: 'd', volume: 'd', uid: 'd', type: 'Disk', grant: 1, size: '1Gi', glusterVolume: 'v' } as const;
    const { status } = await machine('web-0');
    await put('web-0', { ...status, volumes: [disk] });
    const reachable = status!.conditions!.map((each) => ({ ...each, status: 'False' as const }));
    await put('web-0', { ...status, phase: 'Unreachable', volumes: [disk], conditions: reachable });
    await passes(24 * 60 * minute);
    expect(await names()).toEqual(['web-0', 'web-1']);
  });

  test('that answers in time is not replaced', async () => {
    const { silent, runs, passes, names } = await world();
    await silent('web-0');
    await passes(4 * minute);
    await runs('web-0');
    await silent('web-0');
    await passes(4 * minute);
    expect(await names()).toEqual(['web-0', 'web-1']);
  });

  test('is replaced as far as spec.maxReplacements allows', async () => {
    const { silent, passes, names, api } = await world({ maxReplacements: 1 });
    await silent('web-0');
    await silent('web-1');
    await passes(6 * minute);
    expect(await names()).toEqual(['web-0', 'web-1', 'web-2']);
    await api.patch(VMPool, at, { spec: { maxReplacements: 2 } });
    await passes(2_000);
    expect(await names()).toEqual(['web-0', 'web-1', 'web-2', 'web-3']);
  });
});

describe('when it answers again', () => {
  test.each([
    [undefined, ['web-0', 'web-1']],
    ['KeepOldest', ['web-0', 'web-1']],
    ['KeepReplacement', ['web-1', 'web-2']],
  ] as const)('%s keeps %j', async (onReconnect, kept) => {
    const { runs, passes, names } = await replaced(onReconnect && { disconnect: { onReconnect } });
    await runs('web-0');
    await passes(2_000);
    expect(await names()).toEqual(kept);
  });

  test('the one that has a place stays, whatever the policy', async () => {
    const gone = await replaced();
    await gone.waits('web-0');
    await gone.passes(2_000);
    expect(await gone.names()).toEqual(['web-1', 'web-2']);
    const early = await replaced({ disconnect: { onReconnect: 'KeepReplacement' } });
    await early.waits('web-2');
    await early.runs('web-0');
    await early.passes(2_000);
    expect(await early.names()).toEqual(['web-0', 'web-1']);
  });

  test('neither goes if a larger pool has use for both', async () => {
    const { api, runs, passes, names } = await replaced();
    await api.patch(VMPool, at, { spec: { replicas: 3 } });
    await runs('web-0');
    await passes(2_000);
    expect(await names()).toEqual(['web-0', 'web-1', 'web-2']);
  });
});

test('a smaller pool gives up machines that answer; of one that is silent again nothing is decided', async () => {
  const { api, passes, names } = await replaced();
  await api.patch(VMPool, at, { spec: { replicas: 1 } });
  await passes(2_000);
  expect(await names()).toHaveLength(2);
  expect(await names()).toContain('web-0');
  const flapping = await replaced();
  await flapping.api.patch(VMPool, at, { spec: { paused: true } });
  await flapping.runs('web-0');
  await flapping.silent('web-0');
  await flapping.api.patch(VMPool, at, { spec: { paused: false } });
  await flapping.passes(2_000);
  expect(await flapping.names()).toEqual(['web-0', 'web-1', 'web-2']);
  await flapping.runs('web-0');
  await flapping.passes(2_000);
  expect(await flapping.names()).toEqual(['web-0', 'web-1']);
});

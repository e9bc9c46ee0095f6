/** Snapshots, restores and clones as controllers make them, with a cluster server of a few lines whose hosts do as they are told. */
import { describe, expect, test } from 'vitest';
import { imageController } from '#controllers/image/controller.ts';
import { restoreOrder, snapshotOrder } from '#controllers/scheduler/disk-orders.ts';
import { virtualMachineController } from '#controllers/virtualmachine/controller.ts';
import { vmOperationController } from '#controllers/vmoperation/controller.ts';
import { vmRestoreController } from '#controllers/vmrestore/controller.ts';
import { vmSnapshotController } from '#controllers/vmsnapshot/controller.ts';
import { Cluster, Image, VirtualMachine, VMOperation, VMRestore, VMSnapshot } from '#lib/api/generated/index.ts';
import type { Kind, KubeObject } from '#lib/api/meta.ts';
import { annotations } from '#lib/api/names.ts';
import { settles, survivesEveryFailure } from './proofs.ts';
import { story, type World } from './story.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const namespace = 'default';
const at = (name: string) => ({ namespace, name });
const controllers = [
  ...[vmSnapshotController, vmRestoreController, vmOperationController, imageController, virtualMachineController],
];

async function make<T extends KubeObject>(
  { api }: World,
  kind: Kind<T>,
  name: string,
  spec: object,
  more: object = {},
) {
  return await api.create(kind, { apiVersion, kind: kind.kind, metadata: { ...at(name), ...more }, spec } as never);
}

async function world(status: object = {}, metadata: object = {}, factories = controllers): Promise<World> {
  const made = story(factories);
  for (const name of ['lab', 'annex'])
    await made.api.create(Cluster, {
      ...{ apiVersion, kind: 'Cluster', metadata: { name } },
      spec: { masters: ['http://127.0.0.1:5050'] } as never,
    });
  await make(made, Image, 'debian', { source: { file: { path: 'debian.qcow2' } }, osType: 'Windows' });
  const resources = { cores: 2, memory: '1Gi' };
  const spec = {
    image: { name: 'debian' },
    resources,
    runPolicy: 'RerunOnFailure',
    hostname: 'old',
    userData: '#cloud-config',
  };
  await make(made, VirtualMachine, 'web', { ...spec, deleteProtection: true }, metadata);
  await set(made, VirtualMachine, 'web', {
    ...{ phase: 'Running', power: 'On', attempt: { number: 3, cluster: 'lab', host: 'h1' } },
    ...{ image: { name: 'debian', namespace, digest: 'a'.repeat(64) }, ...status },
  });
  return made;
}

async function set<T extends KubeObject>({ api }: World, kind: Kind<T>, name: string, status: object): Promise<void> {
  const found = (await api.get(kind, at(name))) as T & { status?: object };
  await api.updateStatus(kind, { ...found, status: { ...found.status, ...status } } as never);
}

const statusOf = async <T extends KubeObject>({ api }: World, kind: Kind<T>, name: string) =>
  ((await api.get(kind, at(name))) as T & { readonly status?: T extends { status?: infer S } ? S : never }).status;
const names = async <T extends KubeObject>({ api }: World, kind: Kind<T>) =>
  (await api.list(kind)).items.map(({ metadata }) => metadata.name).toSorted();

/** What hosts and the cluster server do, at once. */
async function serve(made: World): Promise<void> {
  const { api, clock } = made;
  for (const snapshot of (await api.list(VMSnapshot)).items) {
    const sending = snapshotOrder(snapshot, ['h1', 'h2'], clock.now());
    const digest = snapshot.metadata.uid.replaceAll('-', '').padEnd(64, '0');
    const disks = [{ name: 'root', digest, format: 'qcow2', size: 7, virtualSize: 1024 }];
    const { disks: others = [] } = JSON.parse(snapshot.status?.machine ?? '{}') as VirtualMachine['spec'];
    const kept = { disks, size: 7, notKept: others.map(({ name }) => name) };
    const taken = { phase: 'Ready', consistencyAchieved: 'Quiesced', indications: ['GuestAgent'], ...kept };
    if (sending?.order.order === 'Snapshot') await set(made, VMSnapshot, snapshot.metadata.name, taken);
    if (sending?.order.order === 'Discard') await set(made, VMSnapshot, snapshot.metadata.name, { removal: 'Removed' });
  }
  for (const restore of (await api.list(VMRestore)).items)
    if (restoreOrder(restore))
      await set(made, VMRestore, restore.metadata.name, { phase: 'Completed', message: 'done' });
  // A Stop that was accepted.
  for (const operation of (await api.list(VMOperation)).items)
    if (operation.spec.type === 'Stop' && operation.status?.phase === 'Pending') {
      await set(made, VirtualMachine, operation.spec.vm, { phase: 'Stopped', power: 'Off' });
      await set(made, VMOperation, operation.metadata.name, {
        phase: 'Completed',
        finishedAt: new Date(clock.now()).toISOString(),
      });
    }
}

async function rest(made: World): Promise<void> {
  for (let round = 0; round < 5; round++) {
    await settles(made);
    await serve(made);
    await made.clock.advance(6_000);
  }
  await settles(made);
}

describe('a snapshot', () => {
  test('is taken of the attempt that is there, keeps its spec, and is Ready', async () => {
    const made = await world();
    await make(made, VMSnapshot, 's', { vm: 'web' });
    await settles(made);
    const told = await statusOf(made, VMSnapshot, 's');
    expect(told).toMatchObject({ phase: 'InProgress', cluster: 'lab', host: 'h1', attempt: 3 });
    expect(JSON.parse(told!.machine!)).toMatchObject({ hostname: 'old', resources: { cores: 2 } });
    await rest(made);
    expect(await statusOf(made, VMSnapshot, 's')).toMatchObject({
      ...{ phase: 'Ready', size: 7, indications: ['GuestAgent'] },
      conditions: expect.arrayContaining([expect.objectContaining({ type: 'Ready', status: 'True' })]),
    });
  });

  test.each<[string, object, object, RegExp]>([
    ['nobody', { vm: 'other', deadline: '1m' }, {}, /Not begun within 1m: No VirtualMachine is called "other"/],
    [
      'a machine that never gets a host',
      { vm: 'web', deadline: '1m' },
      { phase: 'Scheduling', attempt: undefined },
      /Not begun within 1m/,
    ],
  ])('of %s fails, and nothing has to be removed', async (_, spec, status, message) => {
    const made = await world(status);
    await make(made, VMSnapshot, 's', spec);
    await settles(made);
    await made.clock.advance(61_000);
    await settles(made);
    const ended = await statusOf(made, VMSnapshot, 's');
    expect(ended).toMatchObject({ phase: 'Failed', message: expect.stringMatching(message) });
    expect(ended).not.toHaveProperty('removal');
    await made.api.delete(VMSnapshot, at('s'));
    await settles(made);
    expect(await names(made, VMSnapshot)).toEqual([]);
  });

  test('whose host says nothing fails after its deadline, and what may be left is removed, by another host if need be', async () => {
    const made = await world();
    await make(made, VMSnapshot, 's', { vm: 'web', deadline: '2m' });
    await settles(made);
    await made.clock.advance(151_000);
    await settles(made);
    const failed = await made.api.get(VMSnapshot, at('s'));
    expect(failed.status).toMatchObject({ phase: 'Failed', removal: 'Wanted' });
    expect(snapshotOrder(failed, ['h2'], made.clock.now())).toMatchObject({ host: 'h2', order: { order: 'Discard' } });
    await rest(made);
    expect(await statusOf(made, VMSnapshot, 's')).toMatchObject({ phase: 'Failed', removal: 'Removed' });
  });

  test('of a machine that leaves its host meanwhile fails', async () => {
    const made = await world();
    await make(made, VMSnapshot, 's', { vm: 'web' });
    await settles(made);
    await set(made, VirtualMachine, 'web', { attempt: { number: 4, cluster: 'lab', host: 'h2' } });
    await settles(made);
    expect(await statusOf(made, VMSnapshot, 's')).toMatchObject({
      phase: 'Failed',
      message: expect.stringMatching(/left host h1/),
    });
  });

  test('that is deleted is removed from the store first; one to be retained is not', async () => {
    for (const deletionPolicy of ['Delete', 'Retain']) {
      const made = await world();
      await make(made, VMSnapshot, 's', { vm: 'web', deletionPolicy });
      await rest(made);
      await made.api.delete(VMSnapshot, at('s'));
      await settles(made);
      const left = deletionPolicy === 'Delete' ? ['s'] : [];
      expect(await names(made, VMSnapshot)).toEqual(left);
      if (left.length > 0)
        expect(await statusOf(made, VMSnapshot, 's')).toMatchObject({ phase: 'Terminating', removal: 'Wanted' });
      await rest(made);
      expect(await names(made, VMSnapshot)).toEqual([]);
    }
  });
});

describe('a restore into a new machine', () => {
  async function restored(): Promise<World> {
    const made = await world();
    await make(made, VMSnapshot, 's', { vm: 'web' });
    await make(made, VMRestore, 'r', { snapshot: 's', target: { newVM: 'copy' } });
    await rest(made);
    return made;
  }

  test('makes one that stands on the snapshot, where that is, and is nobody else', async () => {
    const made = await restored();
    expect(await statusOf(made, VMRestore, 'r')).toMatchObject({ phase: 'Completed', vm: 'copy' });
    const copy = await made.api.get(VirtualMachine, at('copy'));
    const { digest } = (await statusOf(made, VMSnapshot, 's'))!.disks![0]!;
    expect(copy.spec).toMatchObject({
      ...{ image: { name: 'snapshot-s' }, placement: { cluster: 'lab' }, resources: { cores: 2 } },
      ...{ deleteProtection: false, userData: '#cloud-config' },
    });
    expect(copy.spec).not.toHaveProperty('hostname');
    expect(copy.status).toMatchObject({ phase: 'Scheduling', image: { digest }, hostname: 'copy' });
    expect(await made.api.get(Image, at('snapshot-s'))).toMatchObject({
      spec: { osType: 'Windows' },
      status: { phase: 'Ready', digest, clusters: [{ name: 'lab', phase: 'Ready', digest }] },
    });
  });

  test('has data disks of its own, and says that what was on those of the old one is not there', async () => {
    const made = await world();
    const old = await made.api.get(VirtualMachine, at('web'));
    const disks = [{ name: 'data', size: '1Gi' }];
    await made.api.update(VirtualMachine, { ...old, spec: { ...old.spec, disks } });
    await make(made, VMSnapshot, 's', { vm: 'web' });
    await make(made, VMRestore, 'r', { snapshot: 's', target: { newVM: 'copy' } });
    await make(made, VMOperation, 'clone', { vm: 'web', type: 'Clone', target: 'twin' });
    await rest(made);
    const without = expect.stringMatching(/^Machine \w+ was made.*, without what was on data$/);
    expect(await statusOf(made, VMRestore, 'r')).toMatchObject({ phase: 'Completed', message: without });
    expect(await statusOf(made, VMOperation, 'clone')).toMatchObject({ phase: 'Completed', message: without });
    expect((await made.api.get(VirtualMachine, at('copy'))).spec).toMatchObject({ disks });
  });

  test('keeps the snapshot for as long as the machine is there', async () => {
    const made = await restored();
    await made.api.delete(VMSnapshot, at('s'));
    await rest(made);
    expect(await names(made, VMSnapshot)).toEqual(['s']);
    const blocked = (await statusOf(made, VMSnapshot, 's'))!.conditions!.find(({ type }) => type === 'DeletionBlocked');
    expect(blocked).toMatchObject({ status: 'True', reason: 'InUse', message: expect.stringMatching(/snapshot-s/) });
    // Nobody new stands on it.
    await make(made, VMRestore, 'late', { snapshot: 's', target: { newVM: 'late' } });
    await rest(made);
    expect(await statusOf(made, VMRestore, 'late')).toMatchObject({ phase: 'Failed' });
    await made.api.delete(VirtualMachine, at('copy'));
    await rest(made);
    expect([await names(made, VMSnapshot), await names(made, Image)]).toEqual([[], ['debian']]);
  });

  test('waits for a snapshot that comes later, and for one that never comes not for ever', async () => {
    const made = await world();
    await make(made, VMRestore, 'r', { snapshot: 's', target: { newVM: 'copy' } });
    await make(made, VMRestore, 'never', { snapshot: 'never', target: { newVM: 'never' } });
    await rest(made);
    expect(await statusOf(made, VMRestore, 'r')).toMatchObject({ phase: 'Pending' });
    await make(made, VMSnapshot, 's', { vm: 'web' });
    await rest(made);
    expect(await statusOf(made, VMRestore, 'r')).toMatchObject({ phase: 'Completed' });
    await made.clock.advance(600_000);
    await rest(made);
    expect(await statusOf(made, VMRestore, 'never')).toMatchObject({ phase: 'Failed' });
  });

  test('refuses a name that is taken', async () => {
    const made = await world();
    await make(made, VMSnapshot, 's', { vm: 'web' });
    await make(made, VMRestore, 'r', { snapshot: 's', target: { newVM: 'web' } });
    await rest(made);
    expect(await statusOf(made, VMRestore, 'r')).toMatchObject({
      phase: 'Failed',
      message: expect.stringMatching(/called web already/),
    });
    expect(await names(made, VirtualMachine)).toEqual(['web']);
  });

  test('makes one machine whichever call fails', async () => {
    await survivesEveryFailure(async () => {
      // How a machine goes on from there is told by the machine's own stories.
      const made = await world(
        {},
        {},
        controllers.filter((each) => each !== virtualMachineController),
      );
      await make(made, VMSnapshot, 's', { vm: 'web' });
      await settles(made);
      await serve(made);
      await make(made, VMRestore, 'r', { snapshot: 's', target: { newVM: 'copy' } });
      return made;
    });
  });
});

describe('a restore in place', () => {
  async function restore(spec: object, status: object, metadata: object = {}): Promise<World> {
    const made = await world({}, metadata);
    await make(made, VMSnapshot, 's', { vm: 'web' });
    await rest(made);
    await set(made, VirtualMachine, 'web', status);
    await make(made, VMRestore, 'r', { snapshot: 's', target: { vm: 'web' }, ...spec });
    await settles(made);
    return made;
  }
  const stopped = { phase: 'Stopped', power: 'Off' };

  test('of a machine that is off is ordered from its host', async () => {
    const made = await restore({}, stopped);
    const told = await made.api.get(VMRestore, at('r'));
    const { digest } = (await statusOf(made, VMSnapshot, 's'))!.disks![0]!;
    expect(restoreOrder(told)).toMatchObject({ host: 'h1', order: { order: 'Restore', attempt: 3, digest } });
    await rest(made);
    expect(await statusOf(made, VMRestore, 'r')).toMatchObject({ phase: 'Completed', vm: 'web' });
  });

  test('of one that runs fails, or stops it first if that is asked for', async () => {
    expect(await statusOf(await restore({}, {}), VMRestore, 'r')).toMatchObject({
      ...{ phase: 'Failed', message: expect.stringMatching(/is Running: stop it first/) },
    });
    const made = await restore({ readiness: 'StopTarget' }, {});
    expect(await statusOf(made, VMRestore, 'r')).toMatchObject({ phase: 'Pending' });
    await rest(made);
    expect(await statusOf(made, VMRestore, 'r')).toMatchObject({ phase: 'Completed' });
    expect(await names(made, VMOperation)).toEqual(['r-stop']);
  });

  test('of a machine of a pool, of another cluster, or without a disk is refused with the way out', async () => {
    const owner = { apiVersion, kind: 'VMPool', name: 'p', uid: 'u', controller: true, blockOwnerDeletion: true };
    const pooled = await restore({}, stopped, { ownerReferences: [owner] });
    expect((await statusOf(pooled, VMRestore, 'r'))?.message).toMatch(/belongs to pool p, .*target.newVM/);
    const away = await restore({}, { ...stopped, attempt: { number: 3, cluster: 'annex', host: 'h9' } });
    expect((await statusOf(away, VMRestore, 'r'))?.message).toMatch(/in Cluster annex, the snapshot's data in lab/);
    const gone = await restore({}, { ...stopped, attempt: undefined });
    expect((await statusOf(gone, VMRestore, 'r'))?.message).toMatch(/has no disk on a host .*target.newVM/);
  });

  test('whose host says nothing fails in the end', async () => {
    const made = await restore({}, stopped);
    await made.clock.advance(12 * 60_000);
    await settles(made);
    expect(await statusOf(made, VMRestore, 'r')).toMatchObject({
      phase: 'Failed',
      message: expect.stringMatching(/h1 did not report/),
    });
  });
});

describe('operations', () => {
  test('Snapshot makes a VMSnapshot that stays', async () => {
    const made = await world();
    await make(made, VMOperation, 'op', { vm: 'web', type: 'Snapshot', target: 'nightly' });
    await rest(made);
    expect(await statusOf(made, VMOperation, 'op')).toMatchObject({
      phase: 'Completed',
      message: 'VMSnapshot nightly is ready',
    });
    expect((await made.api.get(VMSnapshot, at('nightly'))).metadata).not.toHaveProperty('ownerReferences');
  });

  test('Clone makes a machine of its own; of one that fails nothing stays', async () => {
    const made = await world();
    await make(made, VMOperation, 'op', { vm: 'web', type: 'Clone', target: 'twin' });
    await rest(made);
    expect(await statusOf(made, VMOperation, 'op')).toMatchObject({
      phase: 'Completed',
      message: 'Machine twin was made',
    });
    const twin = await made.api.get(VirtualMachine, at('twin'));
    expect(twin.metadata.annotations).toHaveProperty([annotations.restoredBy]);
    expect((await made.api.get(VMSnapshot, at('op'))).metadata.ownerReferences).toMatchObject([
      { kind: 'VMOperation' },
    ]);
    await make(made, VMOperation, 'again', { vm: 'web', type: 'Clone', target: 'twin' });
    await rest(made);
    expect(await statusOf(made, VMOperation, 'again')).toMatchObject({
      phase: 'Failed',
      message: expect.stringMatching(/twin already/),
    });
    await rest(made);
    expect([await names(made, VMSnapshot), await names(made, VMRestore)]).toEqual([['op'], ['op']]);
  });

  test('Clone of nobody fails', async () => {
    const made = await world();
    await make(made, VMOperation, 'op', { vm: 'nobody', type: 'Clone', target: 'twin' });
    await rest(made);
    expect(await statusOf(made, VMOperation, 'op')).toMatchObject({ phase: 'Failed' });
    expect(await names(made, VMSnapshot)).toEqual([]);
  });
});

test('an Image of a snapshot is custom made, waits for it, holds it, and says where machines of it can be', async () => {
  const made = await world();
  await make(made, Image, 'golden', { source: { snapshot: { name: 's' } }, sealed: 'Yes' });
  await settles(made);
  const ready = (status: Image['status']) => status?.conditions?.find(({ type }) => type === 'Ready');
  expect(ready(await statusOf(made, Image, 'golden'))).toMatchObject({
    reason: 'SnapshotNotReady',
    message: expect.stringMatching(/"s" does not exist/),
  });
  await make(made, VMSnapshot, 's', { vm: 'web' });
  await rest(made);
  expect(await statusOf(made, Image, 'golden')).toMatchObject({ phase: 'Ready', clusters: [{ name: 'lab' }] });
  const resources = { cores: 1, memory: '1Gi' };
  await make(made, VirtualMachine, 'astray', { image: { name: 'golden' }, resources, placement: { cluster: 'annex' } });
  await make(made, VirtualMachine, 'right', { image: { name: 'golden' }, resources, placement: { cluster: 'lab' } });
  await rest(made);
  const astray = (await statusOf(made, VirtualMachine, 'astray'))?.conditions?.find(
    ({ type }) => type === 'ImageReady',
  );
  expect(astray).toMatchObject({ status: 'False', message: expect.stringMatching(/set placement.cluster: lab/) });
  expect(await statusOf(made, VirtualMachine, 'right')).toMatchObject({ phase: 'Scheduling' });
  await made.api.delete(VMSnapshot, at('s'));
  await rest(made);
  expect(await names(made, VMSnapshot)).toEqual(['s']);
});

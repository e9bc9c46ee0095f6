/** What the controllers of volumes and machines make of each other; hosts and cluster servers are played by hand. */
import { describe, expect, test } from 'vitest';
import { imageController } from '#controllers/image/controller.ts';
import { virtualMachineController } from '#controllers/virtualmachine/controller.ts';
import { vmSnapshotController } from '#controllers/vmsnapshot/controller.ts';
import { volumeController } from '#controllers/volume/controller.ts';
import { Image, VirtualMachine, VMSnapshot, Volume } from '#lib/api/generated/index.ts';
import { finalizers } from '#lib/api/names.ts';
import { settles, survivesEveryFailure } from './proofs.ts';
import { story, type World } from './story.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const namespace = 'default';
const at = (name: string) => ({ namespace, name });
const digest = 'a'.repeat(64);

async function world(spec: object = {}): Promise<World> {
  const made = story([volumeController, virtualMachineController]);
  const source = { file: { path: 'debian.qcow2' } };
  const image = await made.api.create(Image, { apiVersion, kind: 'Image', metadata: at('debian'), spec: { source } });
  const clusters = ['lab', 'annex'].map((name) => ({ name, phase: 'Ready', digest }) as const);
  await made.api.updateStatus(Image, { ...image, status: { digest, clusters } });
  await made.api.create(Volume, {
    ...{ apiVersion, kind: 'Volume', metadata: at('data') },
    spec: { cluster: 'lab', size: '10Gi', backend: { gluster: { volume: 'vm' } }, ...spec } as never,
  });
  return made;
}

const disk = () => world({ type: 'Disk' });

async function machine(made: World, name: string, { cluster = 'lab', ...more }: Record<string, unknown> = {}) {
  const { mountPath, readOnly } = more;
  const volumes = [
    { name: 'd', volume: 'data', ...(mountPath ? { mountPath } : {}), ...(readOnly ? { readOnly } : {}) },
  ];
  const placement = cluster === '' ? {} : { placement: { cluster } };
  await made.api.create(VirtualMachine, {
    ...{ apiVersion, kind: 'VirtualMachine', metadata: { ...at(name), finalizers: [finalizers.vmCleanup] } },
    spec: {
      ...{ image: { name: 'debian' }, resources: { cores: 1, memory: '1Gi' }, volumes, ...placement },
      ...(more.runPolicy ? { runPolicy: more.runPolicy } : {}),
    } as never,
  });
  await made.clock.advance(1_000);
}

async function rest(made: World): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await settles(made);
    await made.clock.advance(3_000);
  }
  await settles(made);
}

const volume = ({ api }: World) => api.get(Volume, at('data'));
const vm = ({ api }: World, name: string) => api.get(VirtualMachine, at(name));
const said = (object: Volume | VirtualMachine, type: string) => {
  const found = object.status?.conditions?.find((one) => one.type === type);
  return `${found?.status} ${found?.reason}`;
};
const ready = async (made: World, name: string) => said(await vm(made, name), 'VolumesReady');

/** What a cluster server does. */
async function tell(made: World, status: Partial<NonNullable<Volume['status']>>): Promise<void> {
  const found = await volume(made);
  await made.api.updateStatus(Volume, { ...found, status: { ...found.status, ...status } });
}

async function launch(made: World, name: string, host = 'h1'): Promise<void> {
  const found = await vm(made, name);
  const attempt = { number: 1, cluster: 'lab', host };
  await made.api.updateStatus(VirtualMachine, { ...found, status: { ...found.status, phase: 'Running', attempt } });
}

async function end(made: World, name: string): Promise<void> {
  const { status, ...found } = await vm(made, name);
  const { attempt: _, ...rest } = status!;
  await made.api.updateStatus(VirtualMachine, { ...found, status: rest });
}

describe('a SharedFilesystem', () => {
  test('goes from Pending to Bound as its host says, and its machines need not wait for that', async () => {
    const made = await world();
    await rest(made);
    expect((await volume(made)).status).toMatchObject({
      phase: 'Pending',
      accessMode: 'RWX',
      attachments: { count: 0 },
    });
    await machine(made, 'a', { mountPath: '/mnt/data' });
    await rest(made);
    const { uid } = (await volume(made)).metadata;
    expect((await vm(made, 'a')).status).toMatchObject({
      phase: 'Scheduling',
      volumes: [{ name: 'd', volume: 'data', uid, type: 'SharedFilesystem', size: '10Gi', glusterVolume: 'vm' }],
    });
    expect((await vm(made, 'a')).status?.volumes?.[0]).not.toHaveProperty('made');
    await tell(made, { backend: { state: 'Making', host: 'h1' } });
    await rest(made);
    expect((await volume(made)).status?.phase).toBe('Provisioning');
    await tell(made, { backend: { state: 'Made', host: 'h1' }, health: { reason: 'Healthy', hosts: 1 }, used: '2Gi' });
    await machine(made, 'b');
    await rest(made);
    const now = await volume(made);
    expect(now.status).toMatchObject({
      ...{ phase: 'Bound', capacity: '10Gi', used: '2Gi' },
      attachments: { count: 2, examples: ['a', 'b'] },
    });
    expect(['Ready', 'Reconciling', 'Stalled', 'Healthy'].map((type) => said(now, type))).toEqual([
      ...['True Bound', 'False Bound', 'False Progressing', 'True Healthy'],
    ]);
    expect((await vm(made, 'b')).status?.volumes).toMatchObject([{ made: true }]);
  });

  test.each([
    ['BrickDown', 'Degraded'],
    ['QuorumLost', 'Degraded'],
    ['SplitBrain', 'Degraded'],
    ['HealPending', 'Degraded'],
    ['NearlyFull', 'Bound'],
  ])('says %s', async (reason, phase) => {
    const made = await world();
    await tell(made, {
      backend: { state: 'Made' },
      health: { reason, message: 'why', hosts: 2, bricksOnline: 2, bricksTotal: 3 },
    });
    await rest(made);
    const { status } = await volume(made);
    expect(status?.phase).toBe(phase);
    expect(status?.conditions).toContainEqual(
      expect.objectContaining({
        type: 'Healthy',
        status: 'False',
        reason,
        message: expect.stringMatching(/2 of 3 bricks.*why/),
      }),
    );
  });

  test('grows: it is as large as it was until a host has done it', async () => {
    const made = await world();
    await tell(made, { backend: { state: 'Made', host: 'h1', size: '10Gi' }, health: { reason: 'Healthy', hosts: 1 } });
    await machine(made, 'a');
    await rest(made);
    await made.api.patch(Volume, at('data'), { spec: { size: '20Gi' } });
    await tell(made, { resize: { state: 'Making', host: 'h2' } });
    await rest(made);
    const growing = await volume(made);
    expect(growing.status).toMatchObject({ phase: 'Resizing', capacity: '10Gi' });
    expect([said(growing, 'Ready'), said(growing, 'Reconciling')]).toEqual(['True Bound', 'True Resizing']);
    expect((await vm(made, 'a')).status?.volumes).toMatchObject([{ size: '10Gi', made: true }]);
    await tell(made, { resize: { state: 'Waiting', failures: 1, reason: 'QuotaFailed', message: 'no quota' } });
    await rest(made);
    expect(said(await volume(made), 'Reconciling')).toBe('True QuotaFailed');
    const { resize: _, ...status } = (await volume(made)).status!;
    const backend = { state: 'Made', host: 'h1', size: '20Gi' } as const;
    await made.api.updateStatus(Volume, { ...(await volume(made)), status: { ...status, backend } });
    await rest(made);
    const grown = await volume(made);
    expect(grown.status).toMatchObject({ phase: 'Bound', capacity: '20Gi' });
    expect(said(grown, 'Reconciling')).toBe('False Bound');
    expect((await vm(made, 'a')).status?.volumes).toMatchObject([{ size: '20Gi', made: true }]);
  });

  test('is for reading as soon as nobody who could write to it is left', async () => {
    const made = await world();
    await tell(made, { backend: { state: 'Made', host: 'h1', size: '10Gi' } });
    await machine(made, 'writer');
    await machine(made, 'reader', { readOnly: true });
    await rest(made);
    for (const name of ['writer', 'reader']) await launch(made, name);
    expect((await vm(made, 'writer')).status?.volumes?.[0]).not.toHaveProperty('readOnly');
    expect((await vm(made, 'reader')).status?.volumes).toMatchObject([{ readOnly: true }]);
    await made.api.patch(Volume, at('data'), { spec: { accessMode: 'ROX' } });
    await machine(made, 'late');
    await rest(made);
    expect((await vm(made, 'late')).status?.volumes).toMatchObject([{ readOnly: true }]);
    const waiting = await volume(made);
    expect([waiting.status?.accessMode, said(waiting, 'Reconciling')]).toEqual(['RWX', 'True Written']);
    await end(made, 'writer');
    await rest(made);
    expect((await vm(made, 'writer')).status?.volumes).toMatchObject([{ readOnly: true }]);
    const now = await volume(made);
    expect([now.status?.accessMode, said(now, 'Reconciling')]).toEqual(['ROX', 'False Bound']);
    expect(now.status?.attachments?.count).toBe(3);
  });

  test('is nearly full also by its own quota', async () => {
    const made = await world();
    await tell(made, { backend: { state: 'Made' }, health: { reason: 'Healthy', hosts: 1 }, used: '9728Mi' });
    await rest(made);
    expect(said(await volume(made), 'Healthy')).toBe('False NearlyFull');
  });

  test.each([
    ['in another Cluster', { cluster: 'annex' }, 'False WrongCluster'],
    ['in no Cluster that it says', { cluster: '' }, 'False WrongCluster'],
  ])('is not for a machine %s', async (_, more, reason) => {
    const made = await world();
    await machine(made, 'a', more);
    await rest(made);
    expect(await ready(made, 'a')).toBe(reason);
  });

  test('that cannot be made says why, and so does its machine; of what nobody passes by it is stalled', async () => {
    const made = await world();
    const message = 'Host h1: no copies';
    await tell(made, { backend: { state: 'Waiting', failures: 1, reason: 'UnsafeReplication', message } });
    await machine(made, 'a');
    await rest(made);
    const found = await volume(made);
    expect([found.status?.phase, said(found, 'Ready'), said(found, 'Stalled')]).toEqual([
      ...['Failed', 'False UnsafeReplication', 'True UnsafeReplication'],
    ]);
    expect(await ready(made, 'a')).toBe('False Failed');
    expect((await vm(made, 'a')).status?.displayStatus).toBe('VolumeError');
    await tell(made, { backend: { state: 'Made' } });
    await rest(made);
    expect(await ready(made, 'a')).toBe('True Resolved');
  });

  test('that is not there is waited for', async () => {
    const made = await world();
    await made.api.delete(Volume, at('data'));
    await rest(made);
    await machine(made, 'a');
    await rest(made);
    expect(await ready(made, 'a')).toBe('False NotFound');
  });

  test.each([
    ['Retain', [], true],
    ['Delete', ['Wanted'], false],
  ])('is deleted when its last machine is gone; reclaimPolicy %s', async (reclaimPolicy, removal, isGone) => {
    const made = await world({ reclaimPolicy });
    await tell(made, { backend: { state: 'Made' } });
    await machine(made, 'a');
    await rest(made);
    await made.api.delete(Volume, at('data'));
    await machine(made, 'late');
    await rest(made);
    expect(said(await volume(made), 'DeletionBlocked')).toBe('True InUse');
    expect((await volume(made)).status?.removal).toBeUndefined();
    // Whoever has it keeps it over a relaunch; others get it no more.
    expect([await ready(made, 'a'), await ready(made, 'late')]).toEqual(['True Resolved', 'False Failed']);
    await made.api.delete(VirtualMachine, at('a'));
    await rest(made);
    const find = async () => (await made.api.list(Volume)).items;
    expect((await find()).map(({ status }) => status?.removal)).toEqual(removal);
    if (!isGone) await tell(made, { backend: { state: 'Removed' } });
    await rest(made);
    expect(await find()).toEqual([]);
  });

  test('survives the loss of every call', async () => {
    const open = async () => {
      const made = await world();
      await machine(made, 'a');
      return made;
    };
    expect(await survivesEveryFailure(open, rest)).toBeGreaterThanOrEqual(4);
  });
});

describe('a Disk', () => {
  const writer = async (made: World) => (await volume(made)).status?.writer;

  test('is given to one machine, and to the next when that one is proven gone', async () => {
    const made = await disk();
    for (const name of ['a', 'b']) await machine(made, name);
    await rest(made);
    expect(await writer(made)).toMatchObject({ name: 'a', grant: 1 });
    expect((await vm(made, 'a')).status).toMatchObject({ phase: 'Scheduling', volumes: [{ grant: 1 }] });
    expect(await ready(made, 'b')).toBe('False Waiting');
    await launch(made, 'a');
    await rest(made);
    expect(await writer(made)).toMatchObject({ name: 'a', attempt: 1, host: 'h1' });
    await made.api.delete(VirtualMachine, at('a'));
    await rest(made);
    expect(await writer(made)).toMatchObject({ name: 'a', grant: 1 });
    expect(await ready(made, 'b')).toBe('False Waiting');
    await end(made, 'a');
    await rest(made);
    expect(await writer(made)).toMatchObject({ name: 'b', grant: 2 });
    expect((await vm(made, 'b')).status).toMatchObject({ phase: 'Scheduling', volumes: [{ grant: 2 }] });
  });

  test('stays locked while its machine is out of reach, and says what frees it', async () => {
    const made = await disk();
    for (const name of ['a', 'b']) await machine(made, name);
    await rest(made);
    await launch(made, 'a', 'h7');
    await rest(made);
    expect(await ready(made, 'b')).toBe('False Waiting');
    // As the cluster server says of one that is being deleted, too.
    const { status, ...found } = await vm(made, 'a');
    const away = {
      type: 'Reachable',
      status: 'False',
      reason: 'ExecutorSilent',
      message: '',
      lastTransitionTime: 'x',
    } as const;
    const conditions = [...(status?.conditions ?? []), away];
    await made.api.updateStatus(VirtualMachine, { ...found, status: { ...status, conditions } });
    await rest(made);
    expect((await vm(made, 'b')).status?.displayStatus).toBe('FencingRequired');
    expect(await ready(made, 'b')).toBe('False FencingRequired');
    const why = (await vm(made, 'b')).status?.conditions?.find(({ type }) => type === 'VolumesReady')?.message;
    expect(why).toMatch(/host h7.*confirmed-dead/);
  });

  test('is not for one that is to stay off, nor kept by one that does not name it any more', async () => {
    const made = await disk();
    await rest(made);
    await machine(made, 'off', { runPolicy: 'Halted' });
    await machine(made, 'a');
    await rest(made);
    expect(await writer(made)).toMatchObject({ name: 'a', grant: 1 });
    await launch(made, 'a');
    await made.api.patch(VirtualMachine, at('a'), { spec: { volumes: [] } });
    await machine(made, 'b');
    await rest(made);
    expect(await writer(made)).toMatchObject({ name: 'a', grant: 1 });
    await end(made, 'a');
    await rest(made);
    expect(await writer(made)).toMatchObject({ name: 'b', grant: 2 });
    expect((await vm(made, 'a')).status?.volumes).toEqual([]);
  });

  test('is read by many when it has become ROX, which it does when its writer is gone; then it has none any more', async () => {
    const made = await disk();
    await tell(made, { backend: { state: 'Made', host: 'h1', size: '10Gi' } });
    await machine(made, 'writer', { readOnly: true });
    await rest(made);
    await launch(made, 'writer');
    expect((await vm(made, 'writer')).status?.volumes).toMatchObject([{ grant: 1, readOnly: true }]);
    await made.api.patch(Volume, at('data'), { spec: { accessMode: 'ROX' } });
    for (const name of ['a', 'b']) await machine(made, name);
    await rest(made);
    const waiting = await volume(made);
    expect([waiting.status?.accessMode, said(waiting, 'Reconciling')]).toEqual(['RWO', 'True Written']);
    expect([await ready(made, 'a'), await ready(made, 'b')]).toEqual(['False Waiting', 'False Waiting']);
    await made.api.delete(VirtualMachine, at('writer'));
    await end(made, 'writer');
    await rest(made);
    const now = await volume(made);
    expect([now.status?.accessMode, said(now, 'Reconciling')]).toEqual(['ROX', 'False Bound']);
    expect(now.status).not.toHaveProperty('writer');
    for (const name of ['a', 'b']) {
      const [given] = (await vm(made, name)).status!.volumes!;
      expect(given).toMatchObject({ type: 'Disk', readOnly: true, made: true });
      expect(given).not.toHaveProperty('grant');
    }
  });

  test('is not mounted by the seed', async () => {
    const made = await disk();
    await machine(made, 'a', { mountPath: '/mnt' });
    await rest(made);
    expect(await ready(made, 'a')).toBe('False Failed');
  });
});

describe('a Disk with sources', () => {
  const spec = { cluster: 'lab', type: 'Disk', size: '10Gi', backend: { gluster: { volume: 'vm' } } };
  const gibibytes = (count: number) => count * 2 ** 30;

  async function filled(sources: object, more: object = {}, extra: readonly unknown[] = []): Promise<World> {
    const made = story([volumeController, virtualMachineController, ...(extra as [typeof imageController])]);
    await made.api.create(Volume, {
      ...{ apiVersion, kind: 'Volume', metadata: at('data') },
      spec: { ...spec, sources, ...more } as never,
    });
    await rest(made);
    return made;
  }

  async function image(made: World, row: object): Promise<void> {
    const source = { file: { path: 'debian.qcow2' } };
    const found = await made.api.create(Image, {
      apiVersion,
      kind: 'Image',
      metadata: at('debian'),
      spec: { source } as never,
    });
    await made.api.updateStatus(Image, { ...found, status: { digest, clusters: [{ name: 'lab', ...row }] } as never });
    await rest(made);
  }

  const ready = { phase: 'Ready', digest, format: 'raw', virtualSize: gibibytes(2) };

  test('waits for its image, says so, and names it for hosts; machines wait until it is filled', async () => {
    const made = await filled({ image: { name: 'debian' } });
    await machine(made, 'a');
    expect(said(await volume(made), 'Ready')).toBe('False SourceNotFound');
    await image(made, { phase: 'Downloading' });
    expect(said(await volume(made), 'Ready')).toBe('False SourceNotReady');
    const debian = await made.api.get(Image, at('debian'));
    await made.api.updateStatus(Image, {
      ...debian,
      status: { digest, clusters: [{ name: 'lab', ...ready }] } as never,
    });
    await rest(made);
    expect((await volume(made)).status?.source).toEqual({ digest, format: 'raw', virtualSize: gibibytes(2) });
    await tell(made, { backend: { state: 'Making', host: 'h1', progress: 43 } });
    await rest(made);
    const filling = await volume(made);
    expect([filling.status?.phase, said(filling, 'Ready')]).toEqual(['Provisioning', 'False Provisioning']);
    expect(filling.status?.conditions?.find(({ type }) => type === 'Ready')?.message).toContain(
      'h1 copies its source: 43 %',
    );
    expect(said(await vm(made, 'a'), 'VolumesReady')).toBe('False Waiting');
    await tell(made, { backend: { state: 'Made', host: 'h1', size: '10Gi' } });
    await rest(made);
    expect(said(await volume(made), 'Ready')).toBe('True Bound');
    expect((await vm(made, 'a')).status?.volumes).toMatchObject([{ type: 'Disk', grant: 1, made: true }]);
  });

  test('smaller than its source is stalled until it is made larger', async () => {
    const made = await filled({ image: { name: 'debian' } }, { size: '1Gi' });
    await image(made, ready);
    const small = await volume(made);
    expect([said(small, 'Ready'), said(small, 'Stalled')]).toEqual(['False SourceTooLarge', 'True SourceTooLarge']);
    expect(small.status).not.toHaveProperty('source');
    await made.api.patch(Volume, at('data'), { spec: { size: '2Gi' } });
    await rest(made);
    expect((await volume(made)).status?.source).toMatchObject({ digest });
  });

  test('holds its image until it is filled', async () => {
    const made = await filled({ image: { name: 'debian' } }, {}, [imageController]);
    await image(made, ready);
    await tell(made, { backend: { state: 'Making', host: 'h1' } });
    await made.api.delete(Image, at('debian'));
    await rest(made);
    const held = await made.api.get(Image, at('debian'));
    expect(held.status?.conditions?.find(({ type }) => type === 'DeletionBlocked')).toMatchObject({
      ...{ status: 'True', reason: 'InUse', message: expect.stringContaining('default/data') },
    });
    await tell(made, { backend: { state: 'Made', host: 'h1', size: '10Gi' } });
    await rest(made);
    expect((await made.api.list(Image)).items).toEqual([]);
  });

  test('holds its snapshot until it is filled, which has to be in its Cluster', async () => {
    const made = await filled({ snapshot: { name: 'before' } }, {}, [vmSnapshotController]);
    const snapshot = await made.api.create(VMSnapshot, {
      ...{ apiVersion, kind: 'VMSnapshot', metadata: at('before') },
      spec: { vm: 'web', deletionPolicy: 'Retain', deadline: '5m' } as never,
    });
    const disks = [{ name: 'root', digest, format: 'qcow2', virtualSize: gibibytes(3) }];
    const status = { phase: 'Ready', cluster: 'annex', startedAt: '2026-01-01T00:00:00Z', disks } as const;
    await made.api.updateStatus(VMSnapshot, { ...snapshot, status });
    await rest(made);
    expect([said(await volume(made), 'Ready'), said(await volume(made), 'Stalled')]).toEqual([
      ...['False WrongCluster', 'True WrongCluster'],
    ]);
    const found = await made.api.get(VMSnapshot, at('before'));
    await made.api.updateStatus(VMSnapshot, { ...found, status: { ...found.status, cluster: 'lab' } });
    await rest(made);
    expect((await volume(made)).status?.source).toEqual({ digest, format: 'qcow2', virtualSize: gibibytes(3) });
    await made.api.delete(VMSnapshot, at('before'));
    await rest(made);
    const held = await made.api.get(VMSnapshot, at('before'));
    expect(held.status?.conditions?.find(({ type }) => type === 'DeletionBlocked')).toMatchObject({
      message: expect.stringContaining('Volume "data"'),
    });
    await tell(made, { backend: { state: 'Made', host: 'h1', size: '10Gi' } });
    await rest(made);
    expect((await made.api.list(VMSnapshot)).items).toEqual([]);
  });

  const copy = async (made: World) => await made.api.get(Volume, at('copy'));
  async function copied(more: object = {}): Promise<World> {
    const made = await world({ type: 'Disk', ...more });
    await tell(made, { backend: { state: 'Made', host: 'h1', size: '10Gi' } });
    return made;
  }
  async function orderCopy({ api }: World): Promise<void> {
    await api.create(Volume, {
      ...{ apiVersion, kind: 'Volume', metadata: at('copy') },
      spec: { ...spec, sources: { volume: { name: 'data' } } } as never,
    });
  }
  async function makeCopy(made: World): Promise<void> {
    await orderCopy(made);
    await rest(made);
  }
  async function tellCopy(made: World, backend: object): Promise<void> {
    const found = await copy(made);
    await made.api.updateStatus(Volume, { ...found, status: { ...found.status, backend } as never });
    await rest(made);
  }

  test('that copies another one has it for itself: after the machine that has it, and before the next', async () => {
    const made = await copied();
    await machine(made, 'a');
    await rest(made);
    await launch(made, 'a');
    await makeCopy(made);
    expect(said(await copy(made), 'Ready')).toBe('False SourceInUse');
    await machine(made, 'b');
    await made.api.delete(VirtualMachine, at('a'));
    await end(made, 'a');
    await rest(made);
    const { uid } = (await copy(made)).metadata;
    expect((await volume(made)).status?.writer).toEqual({ uid, name: 'copy', grant: 2, copies: true });
    expect((await copy(made)).status?.source).toMatchObject({
      glusterVolume: 'vm',
      grant: 2,
      virtualSize: gibibytes(10),
    });
    expect(said(await vm(made, 'b'), 'VolumesReady')).toBe('False Waiting');
    await tellCopy(made, { state: 'Making', host: 'h1' });
    await made.api.delete(Volume, at('copy'));
    await rest(made);
    // A host may be at it: it stays locked until that has removed what there is, though what is whole would be kept.
    expect((await copy(made)).status?.removal).toBe('Wanted');
    expect((await volume(made)).status?.writer).toMatchObject({ name: 'copy' });
    await tellCopy(made, { state: 'Removed', host: 'h1' });
    expect((await volume(made)).status?.writer).toMatchObject({ name: 'b', grant: 3 });
    expect(said(await vm(made, 'b'), 'VolumesReady')).toBe('True Resolved');
  });

  test('that copies another one keeps that from going, and gives it free when it is made', async () => {
    const made = await copied();
    await makeCopy(made);
    await tellCopy(made, { state: 'Making', host: 'h1' });
    await made.api.delete(Volume, at('data'));
    await rest(made);
    expect(said(await volume(made), 'DeletionBlocked')).toBe('True InUse');
    await tellCopy(made, { state: 'Made', host: 'h1', size: '10Gi' });
    expect((await made.api.list(Volume)).items.map(({ metadata }) => metadata.name)).toEqual(['copy']);
  });

  test('is copied of one that is ROX while machines read that', async () => {
    const made = await copied();
    await made.api.patch(Volume, at('data'), { spec: { accessMode: 'ROX' } });
    await machine(made, 'reader');
    await rest(made);
    await launch(made, 'reader');
    await makeCopy(made);
    const { source } = (await copy(made)).status!;
    expect(source).toMatchObject({ glusterVolume: 'vm' });
    expect(source).not.toHaveProperty('grant');
  });

  test('survives the loss of every call', async () => {
    const open = async () => {
      const made = await copied();
      await orderCopy(made);
      return made;
    };
    expect(await survivesEveryFailure(open, rest)).toBeGreaterThanOrEqual(4);
  });
});

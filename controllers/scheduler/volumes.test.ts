import { expect, test } from 'vitest';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { Volume } from '#lib/api/generated/volume.ts';
import type { MountReport, VolumeOrder } from '#lib/api/messages.ts';
import type { FakeHost } from './testing/fake-mesos.ts';
import { api, running, type Story, story, until } from './testing/story.ts';

const at = { name: 'data', namespace: 'default' };
const mount: MountReport = {
  name: 'vm',
  usable: true,
  reason: 'Healthy',
  message: '',
  bricks: { online: 3, total: 3 },
};

async function scene(type = 'Disk') {
  const lab = await story();
  const host = lab.mesos.addHost('h1', 8, 16_384);
  host.volumes = { names: ['vm'], mounts: [], orders: [] };
  const make = (name: string, cluster: string) =>
    lab.api.create(Volume, {
      ...{ apiVersion: api, kind: 'Volume', metadata: { ...at, name } },
      spec: { cluster, type, size: '1Gi', backend: { gluster: { volume: 'vm' }, allowUnsafe: true } } as never,
    });
  const volume = await make('data', 'lab');
  await make('elsewhere', 'annex');
  return { lab, host, uid: volume.metadata.uid, status: async () => (await lab.api.get(Volume, at)).status };
}

const ordersOf = ({ mesos }: Story) =>
  mesos.messages.filter((message): message is VolumeOrder => message.type === 'volume');

function tell({ mesos }: Story, host: FakeHost, changes: Partial<NonNullable<FakeHost['volumes']>>): void {
  host.volumes = { ...host.volumes!, ...changes };
  mesos.heartbeat(host);
}

test('a host makes it once there is an executor, tells how it is, and removes it when that is wanted', async () => {
  const { lab, host, uid, status } = await scene();
  lab.serve();
  await until(async () => expect((await status())?.backend).toMatchObject({ state: 'Waiting' }));
  await lab.want('a', 1);
  await running(lab, 'a');
  lab.mesos.heartbeat(host);
  await until(() => expect(ordersOf(lab)).toHaveLength(1));
  const bytes = 2 ** 30;
  const volume = { uid, type: 'Disk', glusterVolume: 'vm', bytes, allowUnsafe: true };
  expect(ordersOf(lab)[0]).toMatchObject({ order: 'make', installation: 'installation-1', volume });
  expect((await status())?.backend).toEqual({ state: 'Making', host: 'h1', message: expect.any(String) });
  tell(lab, host, { orders: [{ id: ordersOf(lab)[0]!.id, uid, state: 'Done', message: '' }] });
  await until(async () => expect((await status())?.backend).toEqual({ state: 'Made', host: 'h1', size: '1Gi' }));
  tell(lab, host, { mounts: [{ ...mount, used: { [uid]: 3 * 2 ** 20 } }] });
  await until(async () =>
    expect(await status()).toMatchObject({ health: { reason: 'Healthy', hosts: 1, bricksTotal: 3 }, used: '3Mi' }),
  );
  tell(lab, host, { mounts: [{ ...mount, usable: false, reason: 'QuorumLost', message: 'two of three' }] });
  await until(async () => expect((await status())?.health).toMatchObject({ reason: 'QuorumLost' }));
  tell(lab, host, { mounts: [] });
  await until(async () => expect(await status()).not.toHaveProperty('health'));
  // As the volume controller does, once nobody has it any more.
  const found = await lab.api.patch(Volume, at, { metadata: { finalizers: ['x/y'] } });
  await lab.api.delete(Volume, at);
  const { resourceVersion } = (await lab.api.get(Volume, at)).metadata;
  await lab.api.updateStatus(Volume, {
    ...{ ...found, metadata: { ...found.metadata, resourceVersion } },
    status: { ...(await status()), removal: 'Wanted' },
  });
  await until(() => expect(ordersOf(lab).at(-1)?.order).toBe('remove'));
  tell(lab, host, { orders: [{ id: ordersOf(lab).at(-1)!.id, uid, state: 'Done', message: '' }] });
  await until(async () => expect((await status())?.backend?.state).toBe('Removed'));
  const elsewhere = await lab.api.get(Volume, { ...at, name: 'elsewhere' });
  expect(elsewhere.status).toBeUndefined();
}, 20_000);

test('a size that was raised is ordered of a host that can, and told when it is there', async () => {
  const { lab, host, uid, status } = await scene('SharedFilesystem');
  const made = await lab.api.get(Volume, at);
  const backend = { state: 'Made', host: 'h1', size: '1Gi' } as const;
  await lab.api.updateStatus(Volume, { ...made, status: { backend } });
  await lab.want('a', 1);
  lab.serve();
  await running(lab, 'a');
  await lab.api.patch(Volume, at, { spec: { size: '2Gi' } });
  await until(async () =>
    expect((await status())?.resize).toMatchObject({ message: expect.stringContaining('new enough') }),
  );
  expect(ordersOf(lab)).toEqual([]);
  tell(lab, host, { grows: true });
  await until(() => expect(ordersOf(lab)).toHaveLength(1));
  expect(ordersOf(lab)[0]).toMatchObject({ order: 'make', volume: { uid, bytes: 2 ** 31 } });
  expect(await status()).toMatchObject({ backend, resize: { state: 'Making', host: 'h1' } });
  tell(lab, host, { orders: [{ id: ordersOf(lab)[0]!.id, uid, state: 'Done', message: '' }] });
  await until(async () => expect((await status())?.backend).toEqual({ ...backend, size: '2Gi' }));
  expect(await status()).not.toHaveProperty('resize');
}, 20_000);

test('a launch says what the machine has, in a version that no older executor takes', async () => {
  const { lab, host, uid } = await scene();
  const vm = await lab.want('a', 1);
  const known = { name: 'd', volume: 'data', uid, size: '1Gi', glusterVolume: 'vm' };
  const volumes = [
    { ...known, type: 'Disk', grant: 7, made: true },
    { ...known, name: 's', type: 'SharedFilesystem' },
  ] as const;
  const spec = { ...vm.spec, volumes: [{ name: 's', volume: 'data', mountPath: '/mnt' }] };
  await lab.api.patch(VirtualMachine, { ...at, name: 'a' }, { spec });
  const patched = await lab.machine('a');
  await lab.api.updateStatus(VirtualMachine, { ...patched, status: { ...patched.status, volumes } });
  lab.serve();
  await running(lab, 'a');
  const { launch } = [...host.tasks.values()][0]!;
  const told = { uid, glusterVolume: 'vm', bytes: 2 ** 30 };
  expect(launch).toMatchObject({ version: 3 });
  expect('volumes' in launch && launch.volumes).toEqual([
    { ...told, name: 'd', type: 'Disk', grant: 7 },
    { ...told, name: 's', type: 'SharedFilesystem', make: true, mountPath: '/mnt' },
  ]);
});

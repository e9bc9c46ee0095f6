import { expect, test, vi } from 'vitest';
import type { MountReport, VolumeOrder } from '#lib/api/messages.ts';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import type { HostVolumes } from '../hypervisor.ts';
import { VolumeError } from './errors.ts';
import { noVolumes } from './none.ts';
import { VolumeOrders } from './orders.ts';

const order = (uid: string, id: string, what: VolumeOrder['order'] = 'make'): VolumeOrder => ({
  ...{ type: 'volume', version: 1, id, order: what, installation: 'i' },
  volume: { uid, type: 'SharedFilesystem', glusterVolume: 'vm', bytes: 1 },
});

function open(volumes: Partial<HostVolumes>) {
  const clock = new VirtualClock();
  const changed = vi.fn();
  return {
    clock,
    changed,
    orders: new VolumeOrders({
      volumes: { ...noVolumes, ...volumes },
      images: { find: async (digest) => `/images/${digest}` },
      changed,
      clock,
      log: silentLog,
    }),
  };
}

test('one order after the other, each once, and what came of the last of each Volume is told', async () => {
  const calls: string[] = [];
  const { orders, changed } = open({
    make: async ({ uid }) => {
      calls.push(`make ${uid}`);
      if (uid === 'b') throw new VolumeError('QuotaFailed', 'no');
      return 7;
    },
    remove: async ({ uid }) => void calls.push(`remove ${uid}`),
  });
  await using _ = orders;
  for (const one of [order('a', '1'), order('a', '1'), order('b', '2')]) orders.obey(one);
  await vi.waitFor(() => expect(orders.report().orders).toHaveLength(2));
  orders.obey(order('a', '1'));
  expect(orders.report().orders).toEqual([
    { id: '1', uid: 'a', state: 'Done', message: '', bytes: 7 },
    { id: '2', uid: 'b', state: 'Failed', reason: 'QuotaFailed', message: 'no' },
  ]);
  orders.obey(order('a', '3', 'remove'));
  await vi.waitFor(() => expect(orders.report().orders.at(-1)).toMatchObject({ id: '3', state: 'Done' }));
  expect(calls).toEqual(['make a', 'make b', 'remove a']);
  expect(changed).toHaveBeenCalledTimes(3);
});

test('what is copied does not keep other orders waiting, tells how far it is, and ends when the Volume is to be removed', async () => {
  const calls: string[] = [];
  const { orders } = open({
    make: async () => 1,
    remove: async ({ uid }) => void calls.push(`remove ${uid}`),
    fill: async ({ uid }, _, source, { told, signal }) => {
      calls.push(`fill ${uid} ${JSON.stringify(source)}`);
      told(42);
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      throw signal.reason;
    },
  });
  await using _ = orders;
  const digest = 'd'.repeat(64);
  const fill = { ...order('a', '1', 'fill'), source: { digest, format: 'raw' } } as const;
  const copy = { ...order('b', '2', 'fill'), source: { uid: 'x', glusterVolume: 'vm', grant: 3 } };
  for (const one of [fill, copy, order('c', '3'), fill]) orders.obey(one);
  await vi.waitFor(() => expect(orders.report().orders).toMatchObject([{ uid: 'c', state: 'Done' }]));
  expect(orders.report().filling).toEqual([
    { uid: 'a', percent: 42 },
    { uid: 'b', percent: 0 },
  ]);
  orders.obey(order('a', '4', 'remove'));
  await vi.waitFor(() => expect(orders.report().orders).toMatchObject([{ uid: 'c' }, { uid: 'a', state: 'Failed' }]));
  orders.obey(order('a', '4', 'remove'));
  await vi.waitFor(() => expect(calls).toContain('remove a'));
  expect(calls).toEqual([
    `fill a {"path":"/images/${digest}","format":"raw"}`,
    'fill b {"uid":"x","glusterVolume":"vm","grant":3}',
    'remove a',
  ]);
});

test('a look at what belongs to no Volume is told until the next, and only of what the host may use', async () => {
  const calls: string[] = [];
  const { orders } = open({
    names: ['vm', 'broken'],
    strays: async (name, installation, known) => {
      calls.push(`${name} ${installation} ${known}`);
      if (name === 'broken') throw new VolumeError('MountFailed', 'no');
      return { count: 1, strays: [], unmarked: 3 };
    },
    discard: async ({ uid }, installation) => void calls.push(`discard ${uid} ${installation}`),
  });
  await using _ = orders;
  const look = (id: string, glusterVolume = 'vm') =>
    orders.lookFor({ type: 'volume-list', version: 1, id, installation: 'i', glusterVolume, known: ['aa'] });
  for (const id of ['1', '1']) look(id);
  look('2', 'broken');
  look('3', 'others');
  await vi.waitFor(() => expect(orders.report().strays).toHaveLength(2));
  look('1');
  orders.obey(order('a', '4', 'discard'));
  await vi.waitFor(() => expect(orders.report().orders).toMatchObject([{ id: '4', state: 'Done' }]));
  expect(orders.report().strays).toEqual([
    { id: '1', name: 'vm', count: 1, strays: [], unmarked: 3 },
    { id: '2', name: 'broken', count: 0, strays: [], unmarked: 0, error: 'no' },
  ]);
  expect(calls).toEqual(['vm i aa', 'broken i aa', 'discard a i']);
});

test('mounts are looked at, and a change is told at once, but for what is used', async () => {
  let mounts: MountReport[] = [];
  const { orders, changed, clock } = open({ look: async () => mounts });
  await using _ = orders;
  const mount = { name: 'vm', usable: true, reason: 'Healthy', message: '' };
  await clock.advance(10_000);
  expect(changed).not.toHaveBeenCalled();
  mounts = [{ ...mount, used: { u: 1 } }];
  await clock.advance(10_000);
  mounts = [{ ...mount, used: { u: 2 } }];
  await clock.advance(10_000);
  expect(orders.report().mounts).toEqual(mounts);
  expect(changed).toHaveBeenCalledTimes(1);
  mounts = [{ ...mount, usable: false, reason: 'Stale' }];
  await clock.advance(10_000);
  expect(changed).toHaveBeenCalledTimes(2);
});

import { randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import type { MachineNetwork } from '#lib/api/launch.ts';
import type { PeersOrder } from '#lib/api/messages.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import type { HostDevices } from './hypervisor.ts';
import { Peers } from './peers.ts';

/** A host that carries what machines brought, and fails while it is told to. */
function open(reachable = true) {
  const carried = new Map<number, readonly string[]>();
  const host = { failing: false, unconnectable: 0 };
  /** The peers of subnet 12 at the time when addresses were asked for. */
  const asked: (readonly string[] | undefined)[] = [];
  const devices = {
    async attachNetworks({ networks }) {
      for (const { vni } of networks) carried.set(vni, carried.get(vni) ?? []);
      return [];
    },
    async requireFree(_machine, connected) {
      await connected?.(12);
      asked.push(carried.get(12));
    },
    async setPeers(vni, peers) {
      if (host.failing || vni === host.unconnectable) throw new Error('no such interface');
      if (carried.has(vni)) carried.set(vni, peers);
    },
  } as Partial<HostDevices> as HostDevices;
  const changed = vi.fn();
  const peers = new Peers({ devices, reachable, changed, clock: systemClock, log: silentLog });
  const requireFree = () => peers.devices().requireFree({ uid: randomUUID(), hostname: 'h', networks: [] });
  const join = (vni: number) =>
    peers.devices().attachNetworks({ uid: randomUUID(), hostname: 'h', networks: [{ vni } as MachineNetwork] });
  return { carried, host, peers, changed, join, asked, requireFree };
}

const order = (id: string, vni: number, ...peers: string[]): PeersOrder => ({
  ...{ type: 'peers', version: 1, id },
  subnets: [{ vni, peers }],
});

test('what was told of a subnet holds for machines that join it later', async () => {
  const { carried, peers, join } = open();
  peers.order(order('p1', 10, '192.0.2.2'));
  await join(10);
  await join(11);
  expect([...carried]).toEqual([
    [10, ['192.0.2.2']],
    [11, []],
  ]);
});

test('an order is in force once it is carried out, and is said so; one that fails waits for the next heartbeat', async () => {
  const { carried, host, peers, changed, join } = open();
  await join(10);
  host.failing = true;
  peers.order(order('p1', 10, '192.0.2.2'));
  await peers[Symbol.asyncDispose]();
  expect([peers.inForce, changed.mock.calls.length]).toEqual([undefined, 0]);
  host.failing = false;
  peers.order(order('p1', 10, '192.0.2.2'));
  await peers[Symbol.asyncDispose]();
  expect([peers.inForce, changed.mock.calls.length]).toEqual(['p1', 1]);
  expect([...carried]).toEqual([[10, ['192.0.2.2']]]);
});

test('a subnet that cannot be connected does not hold up the others', async () => {
  const { carried, host, peers, join } = open();
  for (const vni of [10, 11, 12]) await join(vni);
  host.unconnectable = 11;
  peers.order({ ...order('p1', 10), subnets: [10, 11, 12].map((vni) => ({ vni, peers: ['192.0.2.2'] })) });
  await peers[Symbol.asyncDispose]();
  expect(peers.inForce).toBeUndefined();
  expect([...carried]).toEqual([
    [10, ['192.0.2.2']],
    [11, []],
    [12, ['192.0.2.2']],
  ]);
});

test('of orders that wait only the last is carried out', async () => {
  const { carried, peers, changed, join } = open();
  await join(10);
  for (const last of [2, 3, 4]) peers.order(order(`p${last}`, 10, `192.0.2.${last}`));
  await peers[Symbol.asyncDispose]();
  expect([peers.inForce, changed.mock.calls.length]).toEqual(['p4', 1]);
  expect([...carried]).toEqual([[10, ['192.0.2.4']]]);
});

test('an address is asked for once the other hosts of its subnet are connected; without word of them after two seconds', async () => {
  const { peers, join, asked, requireFree } = open();
  await join(12);
  const asking = requireFree();
  setTimeout(() => peers.order(order('p1', 12, '192.0.2.2')), 200);
  await asking;
  expect(asked).toEqual([['192.0.2.2']]);
  const untold = open();
  await untold.join(12);
  const since = performance.now();
  await untold.requireFree();
  expect(untold.asked).toEqual([[]]);
  expect(performance.now() - since).toBeGreaterThan(1900);
});

test('a host that others cannot reach waits for no word of them', async () => {
  const { asked, requireFree } = open(false);
  const since = performance.now();
  await requireFree();
  expect(asked).toHaveLength(1);
  expect(performance.now() - since).toBeLessThan(1500);
});

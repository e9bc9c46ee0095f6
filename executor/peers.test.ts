import { randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import type { MachineNetwork } from '#lib/api/launch.ts';
import type { PeersOrder } from '#lib/api/messages.ts';
import { silentLog } from '#lib/std/log.ts';
import type { HostDevices } from './hypervisor.ts';
import { Peers } from './peers.ts';

/** A host that carries what machines brought, and fails while it is told to. */
function open() {
  const carried = new Map<number, readonly string[]>();
  const host = { failing: false };
  const devices = {
    async attachNetworks({ networks }) {
      for (const { vni } of networks) carried.set(vni, carried.get(vni) ?? []);
      return [];
    },
    async setPeers(vni, peers) {
      if (host.failing) throw new Error('no such interface');
      if (carried.has(vni)) carried.set(vni, peers);
    },
  } as Partial<HostDevices> as HostDevices;
  const changed = vi.fn();
  const peers = new Peers({ devices, changed, log: silentLog });
  const join = (vni: number) =>
    peers.devices().attachNetworks({ uid: randomUUID(), hostname: 'h', networks: [{ vni } as MachineNetwork] });
  return { carried, host, peers, changed, join };
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

test('of orders that wait only the last is carried out', async () => {
  const { carried, peers, changed, join } = open();
  await join(10);
  for (const last of [2, 3, 4]) peers.order(order(`p${last}`, 10, `192.0.2.${last}`));
  await peers[Symbol.asyncDispose]();
  expect([peers.inForce, changed.mock.calls.length]).toEqual(['p4', 1]);
  expect([...carried]).toEqual([[10, ['192.0.2.4']]]);
});

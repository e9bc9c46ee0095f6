import { expect, test } from 'vitest';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import type { Domain, HostDevices, Hypervisor } from '../hypervisor.ts';
import type { ImageStore } from '../images/store.ts';
import { takeInventory } from '../inventory.ts';
import { refuseForgotten } from './forgotten.ts';

const domains: readonly Domain[] = [
  { uid: 'runs', attempt: 1, power: 'On' },
  { uid: 'forgotten', attempt: 2, power: 'Paused', receiving: true },
  { uid: 'expected', attempt: 2, power: 'Paused', receiving: true },
  { uid: 'sent', attempt: 1, power: 'Paused', sent: true },
];
const foreign = { count: 0, cores: 0, memoryMiB: 0 };

test('what waits for a guest and is in no journal is ended, once the host answers', async () => {
  const clock = new VirtualClock();
  const refused: string[] = [];
  let silent = 2;
  const hypervisor = {
    list: async () => {
      if (silent-- > 0) throw new Error('libvirt is away');
      return { ours: domains, foreign };
    },
    moves: { refuse: async (uid: string) => void refused.push(uid) },
  } as unknown as Hypervisor;
  await using _ = refuseForgotten({ hypervisor, isExpected: (uid) => uid === 'expected', clock, log: silentLog });
  await clock.advance(10_000);
  expect(refused).toEqual([]);
  await clock.advance(10_000);
  expect(refused).toEqual(['forgotten']);
  await clock.advance(3_600_000);
  expect(refused).toEqual(['forgotten']);
});

test('an inventory lists what waits for a guest as its machine says, and not at all without one', async () => {
  const { domains: listed } = await takeInventory({
    bootId: 'b',
    hypervisor: { list: async () => ({ ours: domains, foreign }) } as unknown as Hypervisor,
    devices: { owners: async () => [] } as unknown as HostDevices,
    images: { digests: async () => [] } as unknown as ImageStore,
    machines: () => [{ uid: 'expected', attempt: 2, taskId: 't', phase: 'Provisioning', power: 'Off', restarts: 0 }],
    backings: async () => [],
  });
  expect(listed).toEqual([
    { uid: 'runs', attempt: 1, power: 'On' },
    { uid: 'sent', attempt: 1, power: 'Paused' },
    { uid: 'expected', attempt: 2, power: 'Off' },
  ]);
});

/** A machine moves between two hosts, and at any moment of that something else is wanted of it, or happens to it. */
import { expect, test } from 'vitest';
import { atEach, begun, endedAt, settled } from '../testing/moving-story.ts';
import type { Moment, OnMoment, TwoHosts } from '../testing/two-hosts.ts';

/** Whatever comes from outside waits until a step is done. */
const isAfter = ({ what }: Moment) => !what.startsWith('before');

test('the cluster server wants it to end, at any moment', async () => {
  const end = (world: TwoHosts) => {
    const order = { type: 'migration-end', version: 1, id: world.migration, uid: world.uid } as const;
    for (const host of ['source', 'destination'] as const)
      world.worker(host).machines.endMigration({ ...order, gone: false, message: 'It is late' });
  };
  expect(new Set(await atEach(end, settled, isAfter))).toEqual(new Set(['source', 'destination']));
}, 120_000);

const kills = (host: 'source' | 'destination'): OnMoment => {
  return (world) => {
    const { here, there } = world.launches();
    world.worker(host).machines.kill(host === 'source' ? here.taskId : there.taskId, 0);
  };
};
const fences = (host: 'source' | 'destination'): OnMoment => {
  return (world) => {
    world.host(host).isFenced = true;
  };
};

test('a machine whose disk is being copied is not sent', async () => {
  await using world = await begun();
  world.isDiskUsed = true;
  expect(await settled(world)).toBe('source');
  const { migration } = world.worker('source').report(world.uid)!;
  expect(migration).toMatchObject({ state: 'Failed', message: 'Its disk is being copied for a snapshot' });
});

test.each([
  ['killed by order', 'source', kills('source')],
  ['killed by order', 'destination', kills('destination')],
  ['cut off by its fence', 'source', fences('source')],
  ['cut off by its fence', 'destination', fences('destination')],
] as const)(
  'it is %s at the %s, at any moment',
  async (_, host, strike) => {
    const outcomes = await atEach(strike, async (world) => await endedAt(world, host), isAfter);
    expect(new Set(outcomes).size).toBeGreaterThan(1);
  },
  120_000,
);

test('its guest crashes at the source, at any moment: it is started again there, or where it is by then', async () => {
  const crash: OnMoment = (world) => {
    const { hypervisor } = world.worker('source');
    if (world.domain('source')?.power === 'On') hypervisor.inject(world.uid, 'crash');
  };
  const outcomes = await atEach(crash, async (world) => await settled(world, [1, 2]), isAfter);
  expect(new Set(outcomes)).toEqual(new Set(['source', 'destination']));
}, 120_000);

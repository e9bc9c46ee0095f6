import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { DiskUse } from '../snapshots/disk-use.ts';
import { machineLaunch } from '../testing/world.ts';
import { type HostTools, perform } from './host.ts';
import { accepted, type HostEffect } from './state.ts';

/** Tools that write down in which order they are used. */
function recorded(disk: () => Promise<void>) {
  const calls: string[] = [];
  const call = (name: string, value?: unknown) => async () => {
    calls.push(name);
    return value;
  };
  const tools = {
    hypervisor: { define: call('define'), start: call('start') },
    devices: {
      ...{ backings: async () => [], attachNetworks: async () => [], volumes: { attach: call('volumes', []) } },
      makeDisks: call('disks', { rootDisk: '/r', seedDisk: '/s' }),
      requireOwnDisk: async (_: string, base: unknown) => {
        calls.push(`own disk ${JSON.stringify(base)}`);
        await disk();
      },
    },
    ...{
      root: '/root',
      images: { places: () => ['/store/x'], find: async () => '/store/x' },
      requireTime: () => undefined,
    },
    departures: { stop: async () => undefined, stayed: () => undefined },
    use: new DiskUse(),
  } as unknown as HostTools;
  return { calls, tools };
}

const state = accepted(machineLaunch(randomUUID()));
const { format } = state.launch.image;
const ownDisk = `own disk {"paths":["/store/x"],"format":"${format}"}`;
const ways: readonly [string, HostEffect | undefined][] = [
  ['right after its disk was made', 'provision'],
  ['again', undefined],
];

test.each(ways)('a machine that starts %s has its disk looked at after all else', async (_, before) => {
  const { calls, tools } = recorded(async () => undefined);
  await perform(tools, state, 'start', { event: { type: 'looked', domain: undefined }, before });
  expect(calls.slice(-2)).toEqual([ownDisk, 'start']);
});

test.each(ways)('a machine whose disk is not its own is not started %s', async (_, before) => {
  const { calls, tools } = recorded(() => Promise.reject(new Error('BadDisk')));
  const starting = perform(tools, state, 'start', { event: { type: 'looked', domain: undefined }, before });
  await expect(starting).rejects.toThrow('BadDisk');
  expect(calls).not.toContain('start');
});

test('nothing is done to a machine before whoever sends it to another host has stopped', async () => {
  const { calls, tools } = recorded(async () => undefined);
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  const moves = { end: async (_: string, taken: boolean) => void calls.push(`end ${taken}`) };
  const departures = { stop: async () => await stopped, stayed: () => void calls.push('stayed') };
  const hypervisor = { ...tools.hypervisor, get: async () => ({ uid: 'u', attempt: 1, power: 'On' }), moves };
  const sending = { ...tools, hypervisor, departures } as unknown as HostTools;
  const cause = { event: { type: 'looked', domain: undefined }, before: undefined } as const;
  const keeping = perform(sending, state, 'keep', cause);
  const starting = perform(sending, state, 'start', cause);
  await new Promise((later) => setImmediate(later));
  expect(calls).toEqual([]);
  resolve();
  await Promise.all([keeping, starting]);
  expect(calls).toEqual(expect.arrayContaining(['end false', 'stayed', 'start']));
});

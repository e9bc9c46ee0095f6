/** On a world of which only what is looked at is there. */
import { expect, test } from 'vitest';
import type { SchedulerMessage, Stray, StraysReport, VolumeOrderReport, VolumesReport } from '#lib/api/messages.ts';
import { annotations } from '#lib/api/names.ts';
import { timestamp } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { VolumeStrays } from './volume-strays.ts';
import type { World } from './world.ts';

const uid = (digit: string) => `${digit.repeat(8)}-0000-4000-8000-000000000000`;

function open() {
  const clock = new VirtualClock();
  const sent: (SchedulerMessage & { readonly host: string })[] = [];
  const state = {
    wanted: '',
    volumes: [] as string[],
    machines: [] as object[],
    hosts: new Map<string, VolumesReport>(),
  };
  const facts = () => [...state.hosts].map(([hostname, volumes]) => ({ hostname, heartbeat: { volumes } }));
  const world = {
    ...{ clock, cluster: 'lab', installation: 'i', log: silentLog },
    clusters: { get: () => ({ metadata: { annotations: { [annotations.removeVolumes]: state.wanted } } }) },
    volumes: {
      list: () =>
        state.volumes.map((one) => ({ metadata: { uid: one }, spec: { backend: { gluster: { volume: 'vm' } } } })),
    },
    machines: { list: () => state.machines },
    executors: { alive: facts, all: facts },
    tell: async (to: string, message: SchedulerMessage) => sent.push({ ...message, host: to }) > 0,
  };
  const host = (name: string, more: Partial<VolumesReport> = {}) =>
    state.hosts.set(name, { names: ['vm'], mounts: [], orders: [], lists: true, ...more });
  host('h1');
  const strays = new VolumeStrays(world as unknown as World);
  const answer = async (found: readonly Stray[], more: Partial<StraysReport> = {}) => {
    await strays.look();
    const { id = '' } = sent.at(-1) as { readonly id?: string };
    host('h1', { strays: [{ id, name: 'vm', count: found.length, strays: found, unmarked: 0, ...more }] });
    await strays.look();
  };
  return { ...{ clock, sent, state, host, strays, answer }, rows: () => strays.summary?.items };
}

const stray = (digit: string): Stray => ({ uid: uid(digit), type: 'Disk', bytes: 3 * 2 ** 20, madeMs: 0 });
const discards = (sent: readonly SchedulerMessage[]) =>
  sent.flatMap((message) => (message.type === 'volume' && message.order === 'discard' ? [message.volume.uid] : []));

test('one host for each Gluster volume is asked, told what is known, and asked again after a while', async () => {
  const { strays, sent, state, host, answer, clock, rows } = open();
  host('old', { lists: undefined as never });
  state.volumes = [uid('a')];
  expect(strays.summary).toBeUndefined();
  await answer([stray('b')], { count: 7, unmarked: 2 });
  expect(sent).toMatchObject([
    { host: 'h1', type: 'volume-list', glusterVolume: 'vm', installation: 'i', known: ['aaaaaaaa'] },
  ]);
  expect(strays.summary).toMatchObject({ count: 7, unmarked: 2 });
  expect(rows()).toEqual([
    { uid: uid('b'), glusterVolume: 'vm', type: 'Disk', used: '3Mi', made: timestamp(0), reason: 'NoVolume' },
  ]);
  await clock.advance(9 * 60_000);
  await strays.look();
  expect(sent).toHaveLength(1);
  await clock.advance(2 * 60_000);
  host('h2');
  await strays.look();
  expect(sent.at(-1)).toMatchObject({ host: 'h2', type: 'volume-list' });
  expect(rows()).toHaveLength(1);
  // One that does not answer, or is gone, does not keep it from being asked of another.
  state.hosts.delete('h2');
  await strays.look();
  expect(sent.at(-1)).toMatchObject({ host: 'h1', type: 'volume-list' });
  expect(discards(sent)).toEqual([]);
});

test('when a Volume is gone what it leaves is looked for at once', async () => {
  const { strays, sent, state, answer } = open();
  state.volumes = [uid('a'), uid('b')];
  await answer([]);
  state.volumes = [uid('a')];
  await strays.look();
  expect(sent).toMatchObject([{ known: ['aaaaaaaa', 'bbbbbbbb'] }, { type: 'volume-list', known: ['aaaaaaaa'] }]);
});

test('what goes while a host is asked is looked for once that has answered', async () => {
  const { strays, sent, state, answer } = open();
  state.volumes = [uid('a'), uid('b')];
  await strays.look();
  state.volumes = [uid('a')];
  await answer([]);
  await strays.look();
  const looks = sent.flatMap((message) => (message.type === 'volume-list' ? [message.known] : []));
  expect(looks.at(-1)).toEqual(['aaaaaaaa']);
  await answer([stray('b')]);
  expect(strays.summary).toMatchObject({ count: 1 });
});

test('a host that cannot look has found nothing out: another is asked soon, and what was seen still counts', async () => {
  const { strays, sent, host, answer, clock, rows } = open();
  await answer([stray('b')]);
  expect(rows()).toHaveLength(1);
  await clock.advance(11 * 60_000);
  await strays.look();
  host('h2');
  await answer([], { error: 'Hung' });
  expect(rows()).toHaveLength(1);
  const before = sent.length;
  await strays.look();
  expect(sent).toHaveLength(before);
  await clock.advance(61_000);
  await strays.look();
  expect(sent.slice(before)).toMatchObject([{ type: 'volume-list' }]);
});

test('what somebody has named is removed, and nothing else; what fails is tried again', async () => {
  const { strays, sent, state, host, answer, clock, rows } = open();
  state.wanted = `${uid('b')}, ${uid('c')},${uid('d')},${uid('e')}`;
  state.machines = [{ metadata: { namespace: 'n', name: 'web' }, status: { volumes: [{ uid: uid('d') }] } }];
  await answer([stray('b'), stray('c'), stray('d'), stray('f')]);
  expect(discards(sent)).toEqual([uid('b'), uid('c')]);
  expect(rows()?.map(({ reason }) => reason)).toEqual(['Removing', 'Removing', 'InUse', 'NoVolume']);
  const reports = (...states: readonly VolumeOrderReport['state'][]) =>
    sent
      .filter((message) => message.type === 'volume')
      .slice(-2)
      .map(({ id, volume }, index) => ({ id, uid: volume.uid, state: states[index]!, message: 'why' }));
  const { strays: known = [] } = state.hosts.get('h1')!;
  host('h1', { strays: known, orders: reports('Done', 'Failed') });
  await strays.look();
  expect(rows()?.map(({ uid: one }) => one)).toEqual([uid('c'), uid('d'), uid('f')]);
  expect(rows()?.[0]).toMatchObject({ reason: 'Removing', message: expect.stringContaining('Host h1: why') });
  const before = sent.length;
  await strays.look();
  expect(sent).toHaveLength(before);
  await clock.advance(61_000);
  await strays.look();
  expect(discards(sent.slice(before))).toEqual([uid('c')]);
});

test('what a host uses, or what has a Volume again, is not removed, whatever somebody has named', async () => {
  const { strays, sent, state, host, answer, rows } = open();
  state.wanted = `${uid('b')},${uid('c')}`;
  const mount = { name: 'vm', usable: true, reason: 'Healthy', message: '' };
  host('h2', { lists: undefined as never, mounts: [{ ...mount, used: { [uid('b')]: 1 } }] });
  state.volumes = [uid('c')];
  await answer([stray('b'), stray('c')]);
  expect(rows()).toMatchObject([{ uid: uid('b'), reason: 'InUse', message: 'Host h2 has it in use' }]);
  expect(discards(sent)).toEqual([]);
  state.volumes = [];
  state.hosts.delete('h2');
  await strays.look();
  expect(discards(sent)).toEqual([uid('b'), uid('c')]);
});

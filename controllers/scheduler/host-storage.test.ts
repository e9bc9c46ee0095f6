/** A host whose images cannot be used takes no new machines, says why, and does again when they can. */
import { afterEach, describe, expect, test } from 'vitest';
import { Host } from '#lib/api/generated/host.ts';
import type { MountReport, StorageReport } from '#lib/api/messages.ts';
import { storageFault, storageReady } from './host-storage.ts';
import { open, running, type Story, story, until } from './testing/story.ts';

afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each[Symbol.asyncDispose]();
});

const hung: StorageReport = { usable: false, reason: 'Hung', message: 'The mount of the images does not answer' };
const host = async ({ api }: Story) => (await api.get(Host, { name: 'lab-h1' })).status;
const condition = async (lab: Story, type: string) => (await host(lab))?.conditions?.find((each) => each.type === type);

test('nothing new starts there while it is so', async () => {
  const lab = await story();
  const h1 = lab.mesos.addHost('h1', 16, 65_536);
  lab.serve();
  await lab.want('a', 4);
  await running(lab, 'a');
  h1.storage = hung;
  lab.mesos.heartbeat(h1);
  await until(async () => expect(await host(lab)).toMatchObject({ displayStatus: 'StorageDown' }));
  const { usable: _, ...words } = hung;
  expect(await condition(lab, 'StorageReady')).toMatchObject({ status: 'False', ...words });
  expect((await condition(lab, 'Ready'))?.message).toContain(hung.message);
  await lab.want('b', 4);
  await until(async () => {
    const { status } = await lab.machine('b');
    expect(status?.conditions?.find(({ type }) => type === 'Scheduled')).toMatchObject({
      status: 'False',
      message: expect.stringContaining('1 whose images cannot be used'),
    });
  });
  h1.storage = { usable: true, reason: 'Answers', message: '' };
  lab.mesos.heartbeat(h1);
  await running(lab, 'b');
  await until(async () => expect(await condition(lab, 'StorageReady')).toMatchObject({ status: 'True' }));
});

describe('storageReady()', () => {
  const mount: MountReport = { name: 'vm', usable: true, reason: 'BrickDown', message: 'x' };

  test.each([
    ['nobody has spoken', undefined, 'Unknown', 'NothingOfOurs'],
    ['an older executor', {}, 'True', 'Usable'],
    ['all well', { storage: { ...hung, usable: true } }, 'True', 'Usable'],
    ['a volume with a brick less', { volumes: { names: [], mounts: [mount], orders: [] } }, 'True', 'Usable'],
    [
      'a volume that hangs',
      { volumes: { names: [], mounts: [{ ...mount, usable: false }], orders: [] } },
      'False',
      'VolumesUnusable',
    ],
  ] as const)('%s', (_, said, status, reason) => {
    expect(storageReady(said)).toMatchObject({ status, reason });
    expect(storageFault(said)).toBeUndefined();
  });
});

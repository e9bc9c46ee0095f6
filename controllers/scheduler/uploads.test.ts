import { describe, expect, test } from 'vitest';
import { Image } from '#lib/api/generated/image.ts';
import type { Heartbeat, UploadReport } from '#lib/api/messages.ts';
import { imageWorld } from './testing/image-world.ts';
import { api, story, until } from './testing/story.ts';
import { Uploads } from './uploads.ts';

const source = { upload: {} };
const console = { url: 'https://127.0.0.1:1', token: 't', certificateSha256: 'c' };
const uid = 'debian';
const report = (received: number, complete = false): UploadReport => ({ uid, received, size: 1000, complete });

function openWorld(row: object = { phase: 'WaitingForUpload' }) {
  const made = imageWorld();
  const uploads = new Uploads(made.world);
  made.image(uid, row, { source });
  const says = (hostname: string, reports: readonly UploadReport[] | undefined, more: Partial<Heartbeat> = {}) =>
    made.says(hostname, { heartbeat: { console, ...(reports && { uploads: reports }), ...more } });
  return { ...made, uploads, says, look: () => uploads.look() };
}

describe('Uploads', () => {
  test('an image that waits for its file has a host that takes it, and keeps it', async () => {
    const made = openWorld();
    await made.look();
    expect(made.row(uid)).toMatchObject({ phase: 'WaitingForUpload', message: expect.stringContaining('No host') });
    made.says('old', undefined);
    made.says('h1', []);
    await made.look();
    expect(made.row(uid)).toMatchObject({
      ...{ host: 'h1', message: 'Waits for its file: factoryctl upload image debian -n default --file FILE' },
    });
    for (const other of ['h2', 'h3', 'h4', 'h5']) made.says(other, []);
    const before = made.writes();
    await made.look();
    expect([made.row(uid).host, made.writes()]).toEqual(['h1', before]);
  });

  test('another host takes it when this one is silent, has ended, or has no store any more', async () => {
    const made = openWorld({ phase: 'WaitingForUpload', host: 'h1' });
    made.says('h2', []);
    await made.clock.advance(50_000);
    made.says('h2', []);
    await made.look();
    // It may speak for the first time since we listen.
    expect(made.row(uid).host).toBe('h1');
    await made.clock.advance(10_000);
    made.says('h2', []);
    await made.look();
    expect(made.row(uid).host).toBe('h2');
    const storage = { usable: false, reason: 'Hung', message: 'The mount hangs' } as const;
    made.says('h1', []);
    made.says('h2', [], { storage });
    await made.look();
    expect(made.row(uid).host).toBe('h1');
    made.world.executors.lost('h1', made.clock.monotonic());
    made.says('h2', []);
    await made.look();
    expect(made.row(uid).host).toBe('h2');
  });

  test('what has come is told seldom, and handed over once it is whole, whoever sees it', async () => {
    const made = openWorld({ phase: 'WaitingForUpload', attempts: 2 });
    made.says('h1', [report(1)]);
    await made.look();
    expect(made.row(uid)).toMatchObject({ bytesUploaded: 1, bytesTotal: 1000, progress: 0 });
    const before = made.writes();
    made.says('h1', [report(99)]);
    await made.look();
    expect(made.writes()).toBe(before);
    made.says('h1', [report(101)]);
    await made.look();
    expect(made.row(uid)).toMatchObject({ bytesUploaded: 101, progress: 10 });
    await made.clock.advance(15_000);
    made.says('h1', [report(102)]);
    await made.look();
    expect([made.row(uid).bytesUploaded, made.writes()]).toEqual([102, before + 2]);
    made.says('h1', [report(102)]);
    made.says('h2', [report(1000, true)]);
    await made.look();
    expect(made.row(uid)).toEqual({
      ...{ name: 'lab', phase: 'Pending', attempts: 2, bytesUploaded: 1000, bytesTotal: 1000 },
      message: 'Uploaded; waits for a host to import it',
    });
    const after = made.writes();
    await made.look();
    expect(made.writes()).toBe(after);
  });

  test('what was given up is not told any more', async () => {
    const made = openWorld();
    made.says('h1', [report(500)]);
    await made.look();
    for (let round = 0; round < 8; round++) {
      await made.clock.advance(10_000);
      made.says('h1', []);
      await made.look();
    }
    expect(made.row(uid)).not.toHaveProperty('bytesUploaded');
    expect(made.row(uid)).toMatchObject({ phase: 'WaitingForUpload', host: 'h1' });
  });

  test('what was uploaded for an image that is gone, was imported or failed, is removed by order', async () => {
    const made = openWorld({ phase: 'Converting' });
    made.says('h1', [report(1000, true)]);
    await made.look();
    expect(made.heard()).toEqual([]);
    const drop = { hostname: 'h1', message: { type: 'drop-uploads', version: 1, uids: [uid] } };
    for (const phase of ['Ready', 'Failed'] as const) {
      made.image(uid, { phase }, { source });
      await made.look();
      expect(made.heard()).toEqual([drop]);
    }
    made.remove(uid);
    await made.look();
    // It may be so new that we have not heard of it.
    expect(made.heard()).toEqual([]);
    await made.clock.advance(30_000);
    made.says('h1', [report(1000, true)]);
    await made.look();
    expect(made.heard()).toEqual([drop]);
  });

  test('an image that is fetched, or is being deleted, gets no host', async () => {
    const made = openWorld();
    made.says('h1', []);
    made.image(uid, { phase: 'WaitingForUpload' });
    made.image('other', { phase: 'WaitingForUpload' }, { source });
    const other = made.world.images.get('default/other') as { metadata: { deletionTimestamp?: string } } & Image;
    Object.assign(other.metadata, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    await made.look();
    expect([made.row(uid).host, made.row('other').host]).toEqual([undefined, undefined]);
  });
});

test('where no executor runs one is started for an image that waits for its file', async () => {
  const lab = await story();
  const hosts = ['h1', 'h2'].map((name) => lab.mesos.addHost(name, 8, 16_384));
  const metadata = { name: 'debian', namespace: 'default' };
  const image = await lab.api.create(Image, { apiVersion: api, kind: 'Image', metadata, spec: { source } as never });
  const row = { name: 'lab', phase: 'WaitingForUpload' } as const;
  await lab.api.updateStatus(Image, { ...image, status: { clusters: [row] } });
  lab.serve();
  const running = () => hosts.filter(({ executor }) => executor !== undefined);
  await until(() => expect(running()).toHaveLength(1));
  // What it was started with has ended, and was no import.
  await until(() => expect(running()[0]!.tasks.size).toBe(0));
  expect((await lab.api.get(Image, metadata)).status?.clusters).toMatchObject([{ phase: 'WaitingForUpload' }]);
}, 20_000);

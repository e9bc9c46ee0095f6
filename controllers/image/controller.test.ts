import { describe, expect, test } from 'vitest';
import { Cluster, Image, VirtualMachine } from '#lib/api/generated/index.ts';
import { annotations } from '#lib/api/names.ts';
import { settles, survivesEveryFailure } from '#test/proofs.ts';
import { story, type World } from '#test/story.ts';
import { imageController } from './controller.ts';
import type { Row } from './rows.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const namespace = 'default';
const at = { namespace, name: 'debian' };
const digest = 'a'.repeat(64);

async function world(clusters: readonly string[]): Promise<World> {
  const made = story([imageController]);
  for (const name of clusters) await addCluster(made, name);
  const spec = { source: { file: { path: 'debian.qcow2' } } };
  await made.api.create(Image, { apiVersion, kind: 'Image', metadata: at, spec });
  return made;
}

const addCluster = ({ api }: World, name: string) =>
  api.create(Cluster, {
    apiVersion,
    kind: 'Cluster',
    metadata: { name },
    spec: { masters: ['http://127.0.0.1:5050'] } as never,
  });

async function rest(made: World): Promise<void> {
  for (let round = 0; round < 2; round++) {
    await settles(made);
    await made.clock.advance(6_000);
  }
  await settles(made);
}

const image = ({ api }: World) => api.get(Image, at);
/** What a cluster server does: it writes its own row. */
async function setRow(made: World, name: string, row: Partial<Row>): Promise<void> {
  const found = await image(made);
  const clusters = (found.status?.clusters ?? []).map((one) => (one.name === name ? { ...one, ...row } : one));
  await made.api.updateStatus(Image, { ...found, status: { ...found.status, clusters } });
}
const holds = async (made: World, type: string) => {
  const found = (await image(made)).status?.conditions?.find((one) => one.type === type);
  return `${found?.status} ${found?.reason}`;
};

describe('imageController', () => {
  test('has a row for every cluster and sums them up', async () => {
    const made = await world(['b', 'a']);
    await rest(made);
    expect((await image(made)).status).toMatchObject({ phase: 'Pending', clusters: [{ name: 'a' }, { name: 'b' }] });
    await setRow(made, 'a', { phase: 'Ready', digest, format: 'qcow2', virtualSize: 10, size: 5 });
    await setRow(made, 'b', { phase: 'Downloading', progress: 40 });
    await rest(made);
    expect((await image(made)).status).toMatchObject({ phase: 'Downloading', digest, progress: '70% (1/2)' });
    expect(await holds(made, 'Ready')).toBe('False Downloading');
    await setRow(made, 'b', { phase: 'Ready', digest });
    await rest(made);
    expect((await image(made)).status).toMatchObject({ phase: 'Ready', digest, virtualSize: 10, progress: '100%' });
    expect(await holds(made, 'Ready')).toBe('True Imported');
    await addCluster(made, 'c');
    await rest(made);
    expect((await image(made)).status?.clusters).toHaveLength(3);
  });

  test('bytes that differ between clusters stall it; the digest never changes', async () => {
    const made = await world(['a', 'b']);
    await rest(made);
    await setRow(made, 'a', { phase: 'Ready', digest });
    await rest(made);
    await setRow(made, 'b', { phase: 'Ready', digest: 'b'.repeat(64) });
    await rest(made);
    expect((await image(made)).status?.digest).toBe(digest);
    expect(await holds(made, 'Stalled')).toBe('True ImportFailed');
    expect(made.events.map(({ reason }) => reason)).toEqual(['SourceChanged']);
  });

  test('other bytes at a second import are told by an event, once, and the first stay', async () => {
    const made = await world(['a', 'b']);
    await rest(made);
    await setRow(made, 'a', { phase: 'Ready', digest, etag: '"1"', resolvedURL: 'https://x/v1' });
    await setRow(made, 'b', { phase: 'Failed', terminal: true, reason: 'SourceChanged', message: 'Other bytes' });
    await rest(made);
    await setRow(made, 'b', { attempts: 7 });
    await rest(made);
    const { status } = await image(made);
    expect(status).toMatchObject({ phase: 'Failed', digest, etag: '"1"', resolvedURL: 'https://x/v1' });
    expect(made.events).toEqual([
      expect.objectContaining({ type: 'Warning', reason: 'SourceChanged', message: 'b: Other bytes' }),
    ]);
  });

  test('a file that is gone from a store makes it Lost until it is imported again, with the digest known', async () => {
    const made = await world(['a']);
    await rest(made);
    await setRow(made, 'a', { phase: 'Ready', digest });
    await rest(made);
    await setRow(made, 'a', { phase: 'Lost', message: 'Gone' });
    await rest(made);
    expect((await image(made)).status).toMatchObject({ phase: 'Lost', digest });
    expect(await holds(made, 'Ready')).toBe('False Lost');
    expect(await holds(made, 'Stalled')).toBe('False Progressing');
    expect(made.events.map(({ reason }) => reason)).toEqual(['ImageLost']);
    await setRow(made, 'a', { phase: 'Converting' });
    await rest(made);
    expect((await image(made)).status?.phase).toBe('Converting');
  });

  test('sums up on how many hosts it is, and what became of prefetching', async () => {
    const made = await world(['a', 'b', 'c']);
    await rest(made);
    expect((await image(made)).status).not.toHaveProperty('warmHosts');
    await setRow(made, 'a', { warmHosts: 3, prefetch: { wanted: 4, done: 3, failed: 1, examples: ['h9: Full'] } });
    await setRow(made, 'b', { warmHosts: 2, prefetch: { wanted: 2, done: 2, failed: 0 } });
    await rest(made);
    expect((await image(made)).status).toMatchObject({
      warmHosts: 5,
      prefetch: { wanted: 6, done: 5, failed: 1, examples: ['h9: Full'] },
    });
  });

  test('says of prefetching that was asked for how far it is, and of none otherwise', async () => {
    const made = await world(['a']);
    await rest(made);
    expect(await holds(made, 'Prefetched')).toBe('undefined undefined');
    await made.api.patch(Image, at, { spec: { prefetch: { copies: 2 } } });
    await rest(made);
    expect(await holds(made, 'Prefetched')).toBe('False Waiting');
    const steps = [
      [{ wanted: 0, done: 0, failed: 0 }, 'False NoHosts'],
      [{ wanted: 2, done: 1, failed: 0 }, 'False Copying'],
      [{ wanted: 2, done: 1, failed: 1 }, 'False Failed'],
      [{ wanted: 2, done: 2, failed: 0 }, 'True Copied'],
    ] as const;
    for (const [prefetch, expected] of steps) {
      await setRow(made, 'a', { phase: 'Ready', digest, prefetch });
      await rest(made);
      expect(await holds(made, 'Prefetched')).toBe(expected);
    }
    expect(await holds(made, 'Ready')).toBe('True Imported');
    await made.api.patch(Image, at, { spec: { prefetch: null } });
    await rest(made);
    expect(await holds(made, 'Prefetched')).toBe('True NotAsked');
  });

  test('a cluster that has lost it is no loss while another has it', async () => {
    const made = await world(['a', 'b']);
    await rest(made);
    await setRow(made, 'a', { phase: 'Ready', digest });
    await setRow(made, 'b', { phase: 'Lost', digest, message: 'Gone' });
    await rest(made);
    expect((await image(made)).status?.phase).toBe('Pending');
    expect((await image(made)).status?.conditions?.find(({ type }) => type === 'Ready')?.message).toContain('b: Gone');
  });

  test('restarted-at tries a failed import again, once', async () => {
    const made = await world(['a']);
    await rest(made);
    await setRow(made, 'a', { phase: 'Failed', terminal: true, message: '404', attempts: 3 });
    await rest(made);
    expect(await holds(made, 'Stalled')).toBe('True ImportFailed');
    await made.api.patch(Image, at, { metadata: { annotations: { [annotations.restartedAt]: 'now' } } });
    await rest(made);
    expect((await image(made)).status?.clusters).toEqual([{ name: 'a', phase: 'Pending', attempts: 3 }]);
    await setRow(made, 'a', { phase: 'Failed', terminal: true });
    await rest(made);
    expect((await image(made)).status?.clusters?.[0]?.phase).toBe('Failed');
  });

  test('one that is uploaded waits for its file, and again after a failure if somebody says so', async () => {
    const made = await world(['a', 'b']);
    const uploaded = { namespace, name: 'uploaded' };
    const spec = { source: { upload: {} } };
    await made.api.create(Image, { apiVersion, kind: 'Image', metadata: uploaded, spec });
    await rest(made);
    const status = async () => (await made.api.get(Image, uploaded)).status;
    expect(await status()).toMatchObject({ phase: 'WaitingForUpload', progress: '0% (0/2)' });
    const set = async (a: Partial<Row>, b: Partial<Row>) => {
      const found = await made.api.get(Image, uploaded);
      const clusters = [
        { name: 'a', ...a },
        { name: 'b', ...b },
      ];
      await made.api.updateStatus(Image, { ...found, status: { ...found.status, clusters } });
      await rest(made);
    };
    await set({ phase: 'Ready', digest }, { phase: 'WaitingForUpload', message: 'Waits for its file' });
    const ready = (await status())?.conditions?.find(({ type }) => type === 'Ready');
    expect(ready).toMatchObject({
      reason: 'WaitingForUpload',
      message: '1 of 2 clusters have it; b: Waits for its file',
    });
    await set({ phase: 'Lost', terminal: true, digest }, { phase: 'Failed', terminal: true, message: 'No disk' });
    const stalled = (await status())?.conditions?.find(({ type }) => type === 'Stalled');
    expect(stalled).toMatchObject({ status: 'True', message: expect.stringContaining('factoryctl upload image') });
    await made.api.patch(Image, uploaded, { metadata: { annotations: { [annotations.restartedAt]: 'now' } } });
    await rest(made);
    expect((await status())?.clusters).toEqual([
      { name: 'a', phase: 'WaitingForUpload', attempts: 0 },
      { name: 'b', phase: 'WaitingForUpload', attempts: 0 },
    ]);
    expect((await status())?.digest).toBe(digest);
  });

  test('stays while machines use it, and says which', async () => {
    const made = await world(['a']);
    const vm = { namespace, name: 'vm' };
    await made.api.create(VirtualMachine, {
      apiVersion,
      kind: 'VirtualMachine',
      metadata: vm,
      spec: { image: { name: 'debian' } },
    });
    await rest(made);
    expect((await image(made)).status?.users).toBe(1);
    await made.api.delete(Image, at);
    await rest(made);
    expect(await holds(made, 'DeletionBlocked')).toBe('True InUse');
    expect((await image(made)).status?.phase).toBe('Terminating');
    await made.api.delete(VirtualMachine, vm);
    await rest(made);
    await expect(image(made)).rejects.toMatchObject({ code: 'NotFound' });
  });

  test('is in use by the machines that it was chosen for from its family', async () => {
    const made = await world(['a']);
    const vm = { namespace, name: 'vm' };
    await made.api.patch(Image, at, { spec: { family: 'f' } });
    await made.api.create(VirtualMachine, {
      ...{ apiVersion, kind: 'VirtualMachine', metadata: vm },
      spec: { image: { family: 'f' } },
    });
    await rest(made);
    expect((await image(made)).status?.users).toBe(0);
    const chosen = { name: 'debian', namespace, family: 'f', digest };
    await made.api.patchStatus(VirtualMachine, vm, { status: { image: chosen } });
    await rest(made);
    expect((await image(made)).status?.users).toBe(1);
    await made.api.delete(Image, at);
    await rest(made);
    expect(await holds(made, 'DeletionBlocked')).toBe('True InUse');
  });

  test('survives the loss of every call', async () => {
    expect(await survivesEveryFailure(() => world(['a', 'b']), rest)).toBeGreaterThanOrEqual(4);
  });
});

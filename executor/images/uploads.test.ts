import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { expect, test, vi } from 'vitest';
import type { Clock } from '#lib/std/clock.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { openStore, sha256, type TestStore } from '../testing/image-store.ts';
import { uploadName } from './staging.ts';
import { imageStore as storeOf } from './store.ts';
import { type UploadPiece, Uploads } from './uploads.ts';

const bytes = randomBytes(100_000);
const uid = randomUUID();
const piece: UploadPiece = { uid, offset: 0, size: bytes.length, sha256: sha256(bytes), maxVirtualSize: 2 ** 30 };
const signal = new AbortController().signal;
const begin = () => undefined;

const open = (
  store: TestStore,
  more: { readonly clock?: Clock; readonly lookMs?: number; readonly atOnce?: number; readonly cluster?: string } = {},
) =>
  new Uploads({
    imageStore: store.imageStore,
    cluster: 'lab',
    changed: () => undefined,
    clock: systemClock,
    log: silentLog,
    ...more,
  });

const until = (check: () => unknown) => vi.waitFor(check, { timeout: 5_000, interval: 10 });

/** What has been sent and not ended. */
async function beginSending(uploads: Uploads, sent: Buffer, of: UploadPiece = piece) {
  const body = new PassThrough();
  const over = uploads.receive(of, body, { begin, signal });
  over.catch(() => undefined);
  body.write(sent);
  const { received } = uploads.report().find((each) => each.uid === of.uid) ?? { received: 0 };
  await until(() =>
    expect(uploads.report().find((each) => each.uid === of.uid)?.received).toBe(received + sent.length),
  );
  return { body, over };
}

test('a file comes in pieces, and an import of it finds it whole', async () => {
  await using store = await openStore();
  await using uploads = open(store, { lookMs: 20 });
  expect(await uploads.state(uid)).toEqual({ received: 0, complete: false, busy: false });
  const first = await beginSending(uploads, bytes.subarray(0, 30_000));
  expect(await uploads.state(uid)).toMatchObject({ busy: true });
  first.body.end();
  await expect(first.over).rejects.toMatchObject({
    kind: 'brokeOff',
    message: expect.stringContaining('30000 of 100000'),
  });
  const { size, sha256: digest } = piece;
  expect(await uploads.state(uid)).toEqual({ received: 30_000, size, sha256: digest, complete: false, busy: false });
  await until(() => expect(uploads.report()).toEqual([{ uid, received: 30_000, size, complete: false }]));
  const rest = Readable.from([bytes.subarray(30_000, 60_000), bytes.subarray(60_000)]);
  const whole = { received: size, size, sha256: digest, complete: true, busy: false };
  expect(await uploads.receive({ ...piece, offset: 30_000 }, rest, { begin, signal })).toEqual(whole);
  expect(uploads.report()).toEqual([{ uid, received: size, size, complete: true }]);
  const changes = { uid, taskId: `img-${uid}-1` };
  const result = await store.run({ upload: {} }, changes, { hypervisor: 'sim' });
  expect(result.virtualSize).toBe(100_352);
  expect([store.stored(), store.incoming()]).toEqual([[result.digest], []]);
  await until(() => expect(uploads.report()).toEqual([]));
});

test('one at a time: who comes meanwhile is told how far the other is', async () => {
  await using store = await openStore();
  await using uploads = open(store);
  const other = await beginSending(uploads, bytes.subarray(0, 10));
  const refused = uploads.receive(piece, Readable.from([bytes]), { begin, signal });
  await expect(refused).rejects.toMatchObject({
    kind: 'taken',
    message: 'Somebody else is uploading it: 10 of 100000 bytes are here, the last came 0 s ago',
  });
  other.body.end(bytes.subarray(10));
  expect(await other.over).toMatchObject({ complete: true });
});

test('it goes on where it ends, with the same file, and nowhere else; or from the beginning', async () => {
  await using store = await openStore();
  await using uploads = open(store);
  const first = await beginSending(uploads, bytes.subarray(0, 10));
  first.body.end();
  await expect(first.over).rejects.toMatchObject({ kind: 'brokeOff' });
  const asked = vi.fn();
  const receive = (more: Partial<UploadPiece>, body: Buffer) =>
    uploads.receive({ ...piece, ...more }, Readable.from([body]), { begin: asked, signal });
  await expect(receive({ offset: 9 }, bytes)).rejects.toMatchObject({
    ...{ kind: 'elsewhere', message: '10 bytes are here: go on there, not at 9' },
  });
  const other = randomBytes(50);
  const otherPiece = { size: 50, sha256: sha256(other) };
  await expect(receive({ ...otherPiece, offset: 10 }, other)).rejects.toMatchObject({
    kind: 'elsewhere',
    message: expect.stringContaining(`another file (sha256:${piece.sha256}, 100000 bytes)`),
  });
  expect(asked).not.toHaveBeenCalled();
  expect(await receive(otherPiece, other)).toMatchObject({ received: 50, complete: true });
  expect(readFileSync(join(store.imageStore, 'incoming', uploadName(uid, 'lab'), 'source')).equals(other)).toBe(true);
});

test('no more comes than was announced, or than the image may have, or on as many ways as there are', async () => {
  await using store = await openStore();
  await using uploads = open(store, { atOnce: 1 });
  const more = uploads.receive({ ...piece, size: 50_000 }, Readable.from([bytes]), { begin, signal });
  await expect(more).rejects.toMatchObject({ kind: 'mistaken', message: expect.stringContaining('50000 bytes') });
  const tooLarge = { ...piece, size: 2 ** 31, maxVirtualSize: 2 ** 20 };
  await expect(uploads.receive(tooLarge, Readable.from([bytes]), { begin, signal })).rejects.toMatchObject({
    kind: 'tooLarge',
    message: 'The file has more than 1048576 bytes (spec.limits.maxVirtualSize)',
  });
  const other = await beginSending(uploads, bytes.subarray(0, 1), { ...piece, uid: randomUUID() });
  await expect(uploads.receive(piece, Readable.from([bytes]), { begin, signal })).rejects.toMatchObject({
    ...{ kind: 'cannot', message: 'The host takes 1 other files now: go on in a moment' },
  });
  other.body.destroy();
  await expect(other.over).rejects.toMatchObject({ kind: 'brokeOff' });
});

test('who sends next to nothing for a minute is not waited for', async () => {
  await using store = await openStore();
  const clock = new VirtualClock();
  await using uploads = open(store, { clock });
  const slow = await beginSending(uploads, bytes.subarray(0, 10));
  const send = async (to: number) => {
    slow.body.write(bytes.subarray(uploads.report()[0]!.received, to));
    await until(() => expect(uploads.report()[0]?.received).toBe(to));
  };
  await clock.advance(50_000);
  await send(70_000);
  await clock.advance(50_000);
  await send(70_010);
  expect(await uploads.state(uid)).toMatchObject({ busy: true, received: 70_010 });
  await clock.advance(10_000);
  await expect(slow.over).rejects.toMatchObject({
    kind: 'brokeOff',
    message: expect.stringContaining('70010 of 100000'),
  });
  expect(await uploads.state(uid)).toMatchObject({ received: 70_010, busy: false });
});

test('a worker that is killed in the middle loses nothing that it has counted', async () => {
  await using store = await openStore();
  const large = randomBytes(40 * 2 ** 20);
  const whole = { ...piece, size: large.length, sha256: sha256(large) };
  const script = join(import.meta.dirname, '../testing/take-upload.ts');
  const taking = spawn(process.execPath, [script, store.imageStore, JSON.stringify(whole)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  taking.stdin.on('error', () => undefined);
  await once(taking.stdout, 'data');
  taking.stdin.write(large.subarray(0, 35 * 2 ** 20));
  await using uploads = open(store, { lookMs: 20 });
  await until(() => expect(uploads.report()[0]?.received).toBeGreaterThanOrEqual(16 * 2 ** 20));
  taking.kill('SIGKILL');
  await once(taking, 'exit');
  const { received, complete } = await uploads.state(uid);
  expect({ complete, isFar: received >= 16 * 2 ** 20 }).toEqual({ complete: false, isFar: true });
  const rest = Readable.from([large.subarray(received)]);
  expect(await uploads.receive({ ...whole, offset: received }, rest, { begin, signal })).toMatchObject({
    complete: true,
  });
  expect(sha256(readFileSync(join(store.imageStore, 'incoming', uploadName(uid, 'lab'), 'source')))).toBe(whole.sha256);
});

test('what is not in the file was not received, whatever was written down', async () => {
  await using store = await openStore();
  await using uploads = open(store);
  await uploads.receive(piece, Readable.from([bytes]), { begin, signal });
  truncateSync(join(store.imageStore, 'incoming', uploadName(uid, 'lab'), 'source'), 5);
  expect(await uploads.state(uid)).toEqual({ received: 0, complete: false, busy: false });
});

test('what nobody needs goes by order, also from under who sends; what is not uploaded, or for another cluster, stays', async () => {
  await using store = await openStore();
  await using uploads = open(store, { lookMs: 20 });
  const fetched = randomUUID();
  const incoming = join(store.imageStore, 'incoming');
  mkdirSync(join(incoming, fetched), { recursive: true });
  writeFileSync(join(incoming, fetched, 'state.json'), '{"received":0,"mismatches":0}');
  await using others = open(store, { cluster: 'other' });
  await others.receive(piece, Readable.from([bytes]), { begin, signal });
  const sending = await beginSending(uploads, bytes.subarray(0, 10));
  await uploads.drop([uid, fetched, '../../etc']);
  await expect(sending.over).rejects.toMatchObject({ kind: 'elsewhere' });
  expect(readdirSync(incoming).toSorted()).toEqual([fetched, uploadName(uid, 'other')].toSorted());
  expect(uploads.report()).toEqual([]);
});

test('halves of many files hide no file that is whole', async () => {
  await using store = await openStore();
  const name = (of: string) => join(store.imageStore, 'incoming', uploadName(of, 'lab'));
  const place = (of: string, received: number) => {
    mkdirSync(name(of), { recursive: true });
    writeFileSync(join(name(of), 'source'), 'ab');
    writeFileSync(join(name(of), 'state.json'), JSON.stringify({ received, total: 2, sha256: 'c', mismatches: 0 }));
  };
  for (let count = 0; count < 60; count++) place(randomUUID(), 1);
  const whole = [randomUUID(), randomUUID()];
  for (const each of whole) place(each, 2);
  await using uploads = open(store, { lookMs: 20 });
  await until(() => expect(uploads.report()).toHaveLength(32));
  const first = uploads.report().slice(0, 2);
  expect(first.map((each) => each.uid).toSorted()).toEqual(whole.toSorted());
});

test('what nobody goes on with is forgotten after a day', async () => {
  await using store = await openStore();
  await using uploads = open(store, { lookMs: 20 });
  const first = await beginSending(uploads, bytes.subarray(0, 10));
  first.body.end();
  await expect(first.over).rejects.toMatchObject({ kind: 'brokeOff' });
  const directory = join(store.imageStore, 'incoming', uploadName(uid, 'lab'));
  const tidy = () => storeOf(store.imageStore, systemClock).tidy();
  await tidy();
  expect(existsSync(directory)).toBe(true);
  const before = Date.now() / 1000 - 25 * 3600;
  for (const path of [directory, ...readdirSync(directory).map((name) => join(directory, name))])
    utimesSync(path, before, before);
  await tidy();
  expect(existsSync(directory)).toBe(false);
  await until(() => expect(uploads.report()).toEqual([]));
});

test('an import takes no half of a file, and no file of another sum than was announced', async () => {
  await using store = await openStore();
  await using uploads = open(store);
  const run = (more: object = {}) =>
    store.run({ upload: {} }, { uid, taskId: `img-${uid}-1`, ...more }, { hypervisor: 'sim' });
  await expect(run()).rejects.toMatchObject({ reason: 'UploadIncomplete', terminal: true });
  const first = await beginSending(uploads, bytes.subarray(0, 10));
  first.body.end();
  await expect(first.over).rejects.toMatchObject({ kind: 'brokeOff' });
  await expect(run()).rejects.toMatchObject({ reason: 'UploadIncomplete', terminal: true });
  await uploads.receive({ ...piece, sha256: 'a'.repeat(64) }, Readable.from([bytes]), { begin, signal });
  await expect(run()).rejects.toMatchObject({ reason: 'ChecksumMismatch', terminal: true });
  await uploads.receive(piece, Readable.from([bytes]), { begin, signal });
  await expect(run({ checksum: `sha256:${'b'.repeat(64)}` })).rejects.toMatchObject({
    ...{ reason: 'ChecksumMismatch', terminal: true, message: expect.stringContaining('upload the right one') },
  });
  expect([store.stored(), store.incoming()]).toEqual([[], []]);
});

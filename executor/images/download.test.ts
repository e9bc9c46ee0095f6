import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { openStore, serve, sha256, type TestStore } from '../testing/image-store.ts';
import { imageImport } from '../testing/world.ts';

const content = randomBytes(300_000);
const checksum = `sha256:${sha256(content)}`;
const uid = '0b0c0000-0000-4000-8000-000000000000';
const source = (url: string) => ({ http: { url } });
const attempt = (n: number) => ({ uid, attempt: n, taskId: `img-${uid}-${n}` });

interface Asked {
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
}

/**
 * Serves `file()` and honours ranges as RFC 9110 has it. `cut` of the answer's bytes are sent before the connection breaks off; undefined
 * sends all.
 */
function files(
  file: () => { readonly bytes: Buffer; readonly etag?: string },
  cut: (nth: number) => number | undefined,
) {
  const asked: Asked[] = [];
  const listener: RequestListener = (request, response) => {
    asked.push({ range: request.headers.range, ifRange: request.headers['if-range'] as string | undefined });
    const { bytes, etag } = file();
    const from = startOf(request, etag);
    const part = bytes.subarray(from);
    const range = from > 0 ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': part.length, ...(etag ? { etag } : {}), ...range });
    send(response, part, cut(asked.length));
  };
  return { asked, listener };
}

function startOf(request: IncomingMessage, etag: string | undefined): number {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  return etag !== undefined && request.headers['if-range'] === etag ? from : 0;
}

function send(response: ServerResponse, part: Buffer, cut: number | undefined): void {
  if (cut === undefined) response.end(part);
  else if (cut === 0) response.flushHeaders() ?? setImmediate(() => response.destroy());
  else response.write(part.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
}

const once100k = (nth: number) => (nth === 1 ? 100_000 : undefined);

describe.skipIf(whyNot(['qemu-img']) !== undefined)('a download', () => {
  test('that breaks off goes on where it was, each time it does', async () => {
    await using store = await openStore();
    const { asked, listener } = files(
      () => ({ bytes: content, etag: '"1"' }),
      (nth) => (nth < 3 ? 100_000 : undefined),
    );
    await using server = await serve(listener);
    const result = await store.run(source(server.url), { checksum });
    // Of what came just before the end some may be lost with the connection.
    expect(asked.length).toBeGreaterThanOrEqual(3);
    expect(asked[0]).toEqual({ range: undefined, ifRange: undefined });
    for (const { range, ifRange } of asked.slice(1)) {
      expect(ifRange).toBe('"1"');
      expect(range).toMatch(/^bytes=[1-9]\d*-$/);
    }
    expect(store.stored()).toEqual([result.digest]);
    expect(store.incoming()).toEqual([]);
  });

  test('that brings nothing more for a while is left to the next try, which goes on with it', async () => {
    await using store = await openStore();
    const { asked, listener } = files(
      () => ({ bytes: content, etag: '"1"' }),
      (nth) => [100_000, 0, 0, 0][nth - 1],
    );
    await using server = await serve(listener);
    const first = store.run(source(server.url), { checksum, ...attempt(1) });
    await expect(first).rejects.toMatchObject({ reason: 'SourceBroken', terminal: false });
    expect(store.incoming()).toEqual([uid]);
    await store.run(source(server.url), { checksum, ...attempt(2) });
    expect(asked.map(({ range }) => range)).toEqual([
      ...[undefined, 'bytes=100000-', 'bytes=100000-', 'bytes=100000-', 'bytes=100000-'],
    ]);
    expect(store.incoming()).toEqual([]);
  });

  test('starts over when the source is another meanwhile, and mixes nothing', async () => {
    await using store = await openStore();
    const other = randomBytes(50_000);
    let version = { bytes: content, etag: '"1"' };
    const { asked, listener } = files(
      () => version,
      (nth) => {
        version = { bytes: other, etag: '"2"' };
        return once100k(nth);
      },
    );
    await using server = await serve(listener);
    const result = await store.run(source(server.url));
    expect(asked).toHaveLength(2);
    writeFileSync(join(store.importDir, 'other'), other);
    expect(result).toMatchObject(await store.run({ file: { path: 'other' } }));
  });

  test.each([
    ['without an ETag', undefined],
    ['with a weak one', 'W/"1"'],
  ])('%s is not added to', async (_, etag) => {
    await using store = await openStore();
    const { asked, listener } = files(() => ({ bytes: content, ...(etag ? { etag } : {}) }), once100k);
    await using server = await serve(listener);
    const first = store.run(source(server.url), attempt(1));
    await expect(first).rejects.toMatchObject({ reason: 'SourceBroken', terminal: false });
    await store.run(source(server.url), { checksum, ...attempt(2) });
    expect(asked.map(({ range }) => range)).toEqual([undefined, undefined]);
  });

  test.each([
    ['another range', 206, { 'content-range': 'bytes 5-299999/300000' }],
    ['another size', 206, { 'content-range': 'bytes 100000-299999/300001' }],
    ['another file', 206, { 'content-range': 'bytes 100000-299999/300000', etag: '"2"' }],
    ['no range', 206, {}],
    ['that there is no more', 416, { 'content-range': 'bytes */300000' }],
  ])('that is answered with %s begins anew at the next try', async (_, status, headers) => {
    await using store = await openStore();
    const honest = files(() => ({ bytes: content, etag: '"1"' }), once100k);
    let lies = 0;
    await using server = await serve((request, response) => {
      if (request.headers.range === undefined) return honest.listener(request, response);
      lies++;
      response.writeHead(status, headers).end(content.subarray(100_000));
    });
    const first = store.run(source(server.url), { checksum, ...attempt(1) });
    await expect(first).rejects.toMatchObject({ reason: 'SourceBroken', terminal: false });
    await store.run(source(server.url), { checksum, ...attempt(2) });
    expect(lies).toBe(1);
    expect(store.stored()).toHaveLength(1);
  });

  test('survives kill -9 of its process', { timeout: 120_000 }, async () => {
    await using store = await openStore();
    const big = randomBytes(40 * 2 ** 20);
    const { asked, listener } = files(
      () => ({ bytes: big, etag: '"1"' }),
      () => undefined,
    );
    const stalled: ServerResponse[] = [];
    await using server = await serve((request, response) => {
      if (request.headers.range !== undefined) return listener(request, response);
      response.writeHead(200, { 'content-length': big.length, etag: '"1"' });
      response.write(big.subarray(0, 36 * 2 ** 20));
      stalled.push(response);
    });
    const child = importIn(store, server.url);
    const state = join(store.imageStore, 'incoming', attempt(1).taskId, 'state.json');
    const received = () => JSON.parse(readFileSync(state, 'utf8')).received as number;
    await expect.poll(() => received(), { timeout: 60_000 }).toBeGreaterThanOrEqual(32 * 2 ** 20);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const kept = received();
    await store.run(source(server.url), { ...attempt(1), checksum: `sha256:${sha256(big)}` });
    expect(asked).toEqual([{ range: `bytes=${kept}-`, ifRange: '"1"' }]);
    expect(store.incoming()).toEqual([]);
  });

  test('with another checksum is fetched again once, then refused', async () => {
    await using store = await openStore();
    const { asked, listener } = files(
      () => ({ bytes: content, etag: '"1"' }),
      () => undefined,
    );
    await using server = await serve(listener);
    const wrong = `sha256:${'0'.repeat(64)}`;
    const run = (n: number) => store.run(source(server.url), { checksum: wrong, ...attempt(n) });
    await expect(run(1)).rejects.toMatchObject({ reason: 'ChecksumMismatch', terminal: false });
    await expect(run(2)).rejects.toMatchObject({ reason: 'ChecksumMismatch', terminal: true });
    expect(asked.map(({ range }) => range)).toEqual([undefined, undefined]);
    expect([store.stored(), store.incoming()]).toEqual([[], []]);
  });

  test('with another checksum for once is stored the second time', async () => {
    await using store = await openStore();
    let served = 0;
    const { listener } = files(
      () => ({ bytes: served++ === 0 ? randomBytes(content.length) : content, etag: '"1"' }),
      () => undefined,
    );
    await using server = await serve(listener);
    const run = (n: number) => store.run(source(server.url), { checksum, ...attempt(n) });
    await expect(run(1)).rejects.toMatchObject({ reason: 'ChecksumMismatch', terminal: false });
    expect(await run(2)).toMatchObject({ format: 'qcow2' });
  });
});

describe('a server that answers', () => {
  test.each([
    [404, { reason: 'HTTP404', terminal: true }],
    [401, { reason: 'HTTP401', terminal: true }],
    [403, { reason: 'HTTP403', terminal: true }],
    [429, { reason: 'HTTP429', terminal: false }],
    [500, { reason: 'HTTP500', terminal: false }],
    [503, { reason: 'HTTP503', terminal: false }],
  ])('%i is taken for %o', async (status, expected) => {
    await using store = await openStore();
    await using server = await serve((_, response) => void response.writeHead(status).end());
    const url = `${server.url.replace('//', '//user:PASSWORD@')}/a?token=SECRET`;
    const error = await store.run(source(url), attempt(1)).catch((cause) => cause);
    expect(error).toMatchObject(expected);
    // What a URL has besides its place may be a secret.
    expect(error.message).toBe(`${server.url}/a answered ${status}`);
    expect(store.incoming()).toEqual(expected.terminal ? [] : [uid]);
  });

  test('nothing at all may be asked again', async () => {
    await using store = await openStore();
    const { url, ...server } = await serve(() => undefined);
    await server[Symbol.asyncDispose]();
    await expect(store.run(source(url))).rejects.toMatchObject({ reason: 'SourceUnreachable', terminal: false });
  });

  test('with a reset may be asked again', async () => {
    await using store = await openStore();
    await using server = await serve((request) => void request.socket.resetAndDestroy());
    await expect(store.run(source(server.url))).rejects.toMatchObject({ reason: 'SourceUnreachable', terminal: false });
  });

  test('too slowly ends with the reason of the signal, and what came is kept', async () => {
    await using store = await openStore();
    await using server = await serve((_, response) => {
      response.writeHead(200, { 'content-length': content.length, etag: '"1"' });
      response.write(content.subarray(0, 1000));
    });
    const abort = new AbortController();
    const onProgress = () => abort.abort('late');
    const run = store.run(source(server.url), attempt(1), { signal: abort.signal, onProgress });
    expect(await run.catch((reason) => reason)).toBe('late');
    expect(statSync(join(store.imageStore, 'incoming', uid, 'source')).size).toBe(1000);
  });

  test('without end is stopped at the limit', async () => {
    await using store = await openStore();
    await using server = await serve((_, response) => {
      const more = (): void => void response.write(Buffer.alloc(2 ** 20), () => response.destroyed || more());
      more();
    });
    const run = store.run(source(server.url), { maxVirtualSize: 1024 });
    await expect(run).rejects.toMatchObject({ reason: 'TooLarge', terminal: true });
    expect([store.stored(), store.incoming()]).toEqual([[], []]);
  });

  test('with more than the limit from the start is not read', async () => {
    await using store = await openStore();
    await using server = await serve(
      (_, response) => void response.writeHead(200, { 'content-length': 2 ** 40 }).flushHeaders(),
    );
    const run = store.run(source(server.url), { maxVirtualSize: 1024 });
    await expect(run).rejects.toMatchObject({ reason: 'TooLarge', terminal: true });
  });
});

describe.skipIf(whyNot(['mount', 'umount', 'qemu-img'], { root: true }) !== undefined)('a full store', () => {
  test.each([
    ['at the download', 2 ** 22, randomBytes(2 ** 23)],
    // Two files of 6 MiB have no room in 10.
    ['at the conversion', 10 * 2 ** 20, randomBytes(6 * 2 ** 20)],
  ])('%s is no fault of the image: it may be tried again', async (_, size, bytes) => {
    await using directory = await openStore();
    const mounted = join(directory.directory, 'small');
    mkdirSync(mounted);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', mounted]);
    using __ = { [Symbol.dispose]: () => void execFileSync('umount', ['-l', mounted]) };
    await using store = await openStore(mounted);
    writeFileSync(join(store.importDir, 'a'), bytes);
    const run = store.run({ file: { path: 'a' } }, { maxVirtualSize: 2 ** 24 });
    await expect(run).rejects.toMatchObject({ reason: 'StoreFull', terminal: false });
    expect(readdirSync(mounted)).toEqual(['incoming']);
  });
});

test.skipIf(whyNot(['mount', 'umount', 'qemu-img'], { root: true }) !== undefined)(
  'what a download has in the store already is no reason to call the store full',
  async () => {
    await using directory = await openStore();
    const mounted = join(directory.directory, 'small');
    mkdirSync(mounted);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${2 ** 23}`, 'none', mounted]);
    using __ = { [Symbol.dispose]: () => void execFileSync('umount', ['-l', mounted]) };
    await using store = await openStore(mounted);
    const bytes = gzipSync(randomBytes(5 * 2 ** 20), { level: 0 });
    const { asked, listener } = files(
      () => ({ bytes, etag: '"1"' }),
      (nth) => [4 * 2 ** 20, 0, 0, 0][nth - 1],
    );
    await using server = await serve(listener);
    const run = (n: number) => store.run(source(server.url), attempt(n));
    await expect(run(1)).rejects.toMatchObject({ reason: 'SourceBroken' });
    // The disk itself has no room any more; the download had.
    await expect(run(2)).rejects.toMatchObject({
      ...{ reason: 'StoreFull', message: expect.stringMatching(/^The (unpacked|converted) image/) },
    });
    expect(asked.at(-1)!.range).toMatch(/^bytes=[1-9]/);
  },
);

/** importImage() in a process of its own, to be killed. */
function importIn({ imageStore, importDir }: TestStore, url: string): ChildProcess {
  const script = `
    const [{ importImage }, { systemClock: clock }, { systemRandom: random }] = await Promise.all(process.argv.slice(1, 4).map((each) => import(each)));
    const [launch, options] = JSON.parse(process.argv[4]);
    await importImage(launch, { ...options, clock, random, signal: AbortSignal.timeout(60000), onProgress: () => undefined });
  `;
  const root = join(import.meta.dirname, '../..');
  const modules = ['executor/images/import.ts', 'lib/std/clock.ts', 'lib/std/random.ts'].map((name) =>
    join(root, name),
  );
  const options = { hypervisor: 'libvirt', imageStore, importDir, allowPrivateSources: ['127.0.0.0/8'] };
  const what = JSON.stringify([imageImport(uid, source(url)), options]);
  return spawn(process.execPath, ['--input-type=module', '-e', script, ...modules, what], { stdio: 'inherit' });
}

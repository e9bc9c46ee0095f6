import { execFileSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ImageImport } from '#lib/api/launch.ts';
import { whyNot } from '#test/requires.ts';
import { imageImport } from '../testing/world.ts';
import { importImage } from './import.ts';
import { detect } from './qcow2-header.ts';

const bytes = Buffer.alloc(4096, 'cf');
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
async function openStore() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const imageStore = join(directory.path, 'images');
  const importDir = join(directory.path, 'import');
  mkdirSync(imageStore);
  mkdirSync(importDir);
  writeFileSync(join(directory.path, 'secret'), 'CANARY');
  return {
    directory: directory.path,
    imageStore,
    importDir,
    run: async (source: ImageImport['source'], changes: Partial<ImageImport> = {}) =>
      await importImage(imageImport(randomUUID(), source, changes), {
        imageStore,
        importDir,
        signal: AbortSignal.timeout(20_000),
        onProgress: () => undefined,
      }),
    /** What is in the store besides the directory for what is on its way, which must be empty. */
    stored: () => {
      expect(readdirSync(join(imageStore, 'incoming'))).toEqual([]);
      return readdirSync(imageStore).filter((name) => name !== 'incoming');
    },
    [Symbol.asyncDispose]: async () => await directory.remove(),
  };
}

async function serve(listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('importImage()', () => {
  test('stores a file under its digest', async () => {
    await using store = await openStore();
    writeFileSync(join(store.importDir, 'a'), bytes);
    const checksum = `SHA256:${sha256(bytes).toUpperCase()}`;
    const result = await store.run({ file: { path: 'a' } }, { checksum });
    expect(result).toEqual({ digest: sha256(bytes), format: 'raw', size: 4096, virtualSize: 4096 });
    expect(store.stored()).toEqual([result.digest]);
    expect(readFileSync(join(store.imageStore, result.digest))).toEqual(bytes);
  });

  test('follows redirects to http and may be repeated', async () => {
    await using store = await openStore();
    await using server = await serve((request, response) => {
      if (request.url === '/a') response.writeHead(302, { location: '/b' }).end();
      else response.end(bytes);
    });
    const first = await store.run({ http: { url: `${server.url}/a` } });
    expect(await store.run({ http: { url: `${server.url}/a` } })).toEqual(first);
    expect(store.stored()).toEqual([sha256(bytes)]);
  });

  test.each([
    ['a redirect to a file', 'file:///etc/hostname', { reason: 'UnsupportedURL', terminal: true }],
    ['a redirect to itself', '/', { reason: 'TooManyRedirects', terminal: true }],
  ])('refuses %s', async (_, location, expected) => {
    await using store = await openStore();
    await using server = await serve((__, response) => void response.writeHead(302, { location }).end());
    await expect(store.run({ http: { url: server.url } })).rejects.toMatchObject(expected);
    expect(store.stored()).toEqual([]);
  });

  test.each([
    [404, { reason: 'HTTP404', terminal: true }],
    [403, { reason: 'HTTP403', terminal: true }],
    [503, { reason: 'HTTP503', terminal: false }],
  ])('takes status %i for %o', async (status, expected) => {
    await using store = await openStore();
    await using server = await serve((_, response) => void response.writeHead(status).end());
    await expect(store.run({ http: { url: server.url } })).rejects.toMatchObject(expected);
  });

  test('may try again when the source breaks off or is not there', async () => {
    await using store = await openStore();
    await using server = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 4096 });
      response.write(bytes.subarray(0, 100), () => response.destroy());
    });
    await expect(store.run({ http: { url: server.url } })).rejects.toMatchObject({ terminal: false });
    await expect(store.run({ http: { url: 'http://127.0.0.1:1/' } })).rejects.toMatchObject({
      reason: 'SourceUnreachable',
    });
    expect(store.stored()).toEqual([]);
  });

  test('stops a source that is larger than the limit and does not say so', async () => {
    await using store = await openStore();
    await using server = await serve((_, response) => {
      const more = (): void => void response.write(Buffer.alloc(1_048_576), () => response.destroyed || more());
      more();
    });
    await expect(store.run({ http: { url: server.url } }, { maxVirtualSize: 1024 })).rejects.toMatchObject({
      reason: 'TooLarge',
    });
    expect(store.stored()).toEqual([]);
  });

  test('refuses bytes of another checksum, and a checksum it cannot read', async () => {
    await using store = await openStore();
    writeFileSync(join(store.importDir, 'a'), bytes);
    const source = { file: { path: 'a' } };
    const run = async (checksum: string) => await store.run(source, { checksum });
    await expect(run(`sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({
      reason: 'ChecksumMismatch',
      terminal: false,
    });
    await expect(run('md5:00')).rejects.toMatchObject({ reason: 'BadChecksum', terminal: true });
    expect(store.stored()).toEqual([]);
  });

  test.each(['../secret', 'link', 'nothing', '.'])('refuses the path %s', async (path) => {
    await using store = await openStore();
    symlinkSync('../secret', join(store.importDir, 'link'));
    await expect(store.run({ file: { path } })).rejects.toMatchObject({ terminal: true });
    await expect(store.run({ file: { path: join(store.directory, 'secret') } })).rejects.toMatchObject({
      reason: 'SourceOutside',
    });
  });

  test('refuses another format than the spec says', async () => {
    await using store = await openStore();
    writeFileSync(join(store.importDir, 'a'), bytes);
    await expect(store.run({ file: { path: 'a' } }, { format: 'qcow2' })).rejects.toMatchObject({
      reason: 'WrongFormat',
    });
  });
});

describe.skipIf(whyNot(['qemu-img']))('importImage() of what qemu-img makes', () => {
  const make = (directory: string, ...options: string[]): void =>
    void execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...options], { cwd: directory });

  test('takes an honest qcow2', async () => {
    await using store = await openStore();
    make(store.importDir, 'a', '8M');
    expect(await store.run({ file: { path: 'a' } })).toMatchObject({ format: 'qcow2', virtualSize: 8_388_608 });
  });

  test.each([
    ['a backing file', ['-u', '-b', '/etc/hostname', '-F', 'raw', 'a', '64K'], 'BackingFile'],
    [
      'a backing file in JSON',
      [
        '-u',
        '-b',
        'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/hostname"}}',
        '-F',
        'raw',
        'a',
        '64K',
      ],
      'BackingFile',
    ],
    ['a backing file over the network', ['-u', '-b', 'nbd://127.0.0.1:9/x', '-F', 'raw', 'a', '64K'], 'BackingFile'],
    ['an external data file', ['-o', 'data_file=scratch,data_file_raw=on', 'a', '64K'], 'ExternalDataFile'],
    ['a virtual disk of a petabyte', ['-o', 'cluster_size=2M', 'a', '1P'], 'TooLarge'],
  ])('refuses %s', async (_, options, reason) => {
    await using store = await openStore();
    make(store.importDir, ...options);
    await expect(store.run({ file: { path: 'a' } })).rejects.toMatchObject({ reason, terminal: true });
    expect(store.stored()).toEqual([]);
  });
});

describe('detect()', () => {
  function header(change: (head: Buffer) => void): Buffer {
    const head = Buffer.alloc(512);
    head.write('QFI\xfb', 'latin1');
    head.writeUInt32BE(3, 4);
    head.writeUInt32BE(16, 20);
    head.writeBigUInt64BE(65_536n, 24);
    head.writeUInt32BE(104, 100);
    change(head);
    return head;
  }

  test('takes what is well formed', () => {
    expect(
      detect(
        header(() => undefined),
        512,
      ),
    ).toEqual({ format: 'qcow2', virtualSize: 65_536 });
    expect(detect(Buffer.from('anything'), 8)).toEqual({ format: 'raw', virtualSize: 8 });
  });

  const hostile: [string, (head: Buffer) => void][] = [
    ['version 4', (head) => head.writeUInt32BE(4, 4)],
    ['a backing file offset', (head) => head.writeBigUInt64BE(512n, 8)],
    ['a backing file length', (head) => head.writeUInt32BE(9, 16)],
    ['clusters of a gigabyte', (head) => head.writeUInt32BE(30, 20)],
    ['encryption', (head) => head.writeUInt32BE(2, 32)],
    ['a huge L1 table', (head) => head.writeUInt32BE(0xffffffff, 36)],
    ['snapshots', (head) => head.writeUInt32BE(1, 60)],
    ['the external data bit', (head) => head.writeBigUInt64BE(4n, 72)],
    ['an unknown incompatible bit', (head) => head.writeBigUInt64BE(1n << 40n, 72)],
    ['a header beyond its cluster', (head) => head.writeUInt32BE(1_000_000, 100)],
    ['an extension with a data file', (head) => head.writeUInt32BE(0x44415441, 104)],
    [
      'extensions without end',
      (head) => head.writeUInt32BE(0x12345678, 104).valueOf() && head.writeUInt32BE(0xffffff, 108),
    ],
    ['a virtual size of 0', (head) => head.writeBigUInt64BE(0n, 24)],
    ['a virtual size beyond numbers', (head) => head.writeBigUInt64BE(2n ** 63n, 24)],
  ];
  test.each(hostile)('refuses %s', (_, change) => {
    expect(() => detect(header(change), 512)).toThrow();
  });

  test('refuses a header that is cut anywhere', () => {
    const whole = header(() => undefined);
    for (let length = 4; length < 104; length++) expect(() => detect(whole.subarray(0, length), length)).toThrow();
  });
});

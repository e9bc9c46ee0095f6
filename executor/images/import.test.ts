import { execFile, execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { openStore, serve, sha256, type TestStore } from '../testing/image-store.ts';
import { imageImport } from '../testing/world.ts';

const bytes = Buffer.alloc(4096, 'cf');
const file = { file: { path: 'a' } };

/** `options`: after `qemu-img create -f FORMAT`. */
const make = (directory: string, format: string, ...options: string[]): void =>
  void execFileSync('qemu-img', ['create', '-q', '-f', format, ...options], { cwd: directory });

describe.skipIf(whyNot(['qemu-img', 'xz']) !== undefined)('importImage()', () => {
  const disk = Buffer.concat([Buffer.alloc(2 ** 20), randomBytes(300_000), Buffer.alloc(2 ** 20)]);
  // Whole cylinders, and whole mebibytes: the older formats round up.
  const virtualSize = 2 ** 23;

  const place = (store: TestStore) => {
    writeFileSync(join(store.importDir, 'raw'), disk);
    truncateSync(join(store.importDir, 'raw'), virtualSize);
    const convert = (format: string, name: string, ...options: string[]) =>
      execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', format, ...options, 'raw', name], {
        cwd: store.importDir,
      });
    for (const format of ['qcow2', 'vmdk', 'vhdx']) convert(format, format);
    convert('qcow2', 'qcow2-packed', '-c', '-o', 'cluster_size=2M');
    convert('vmdk', 'vmdk-stream', '-o', 'subformat=streamOptimized');
    convert('vpc', 'vhd', '-o', 'force_size=on');
    convert('vpc', 'vhd-fixed', '-o', 'subformat=fixed,force_size=on');
    const raw = readFileSync(join(store.importDir, 'raw'));
    writeFileSync(join(store.importDir, 'raw-gz'), gzipSync(raw));
    writeFileSync(join(store.importDir, 'raw-zst'), zstdCompressSync(raw));
    execFileSync('sh', ['-c', 'xz -0c vmdk > vmdk-xz'], { cwd: store.importDir });
  };

  test('stores the same disk as the same qcow2 file, in whatever format it comes', async () => {
    await using store = await openStore();
    place(store);
    const result = await store.run({ file: { path: 'raw' } }, { format: 'raw' });
    expect(result).toMatchObject({ format: 'qcow2', virtualSize });
    const stored = readFileSync(join(store.imageStore, result.digest));
    expect({ digest: sha256(stored), size: stored.length }).toEqual({ digest: result.digest, size: result.size });
    for (const path of ['qcow2', 'qcow2-packed', 'vmdk', 'vmdk-stream', 'vhd', 'vhd-fixed', 'vhdx']) {
      const format = path.split('-')[0] as 'qcow2';
      expect({ path, ...(await store.run({ file: { path } }, { format })) }).toEqual({ path, ...result });
    }
    for (const path of ['raw-gz', 'raw-zst', 'vmdk-xz'])
      expect({ path, ...(await store.run({ file: { path } })) }).toEqual({ path, ...result });
    expect(store.stored()).toEqual([result.digest]);
    expect(store.incoming()).toEqual([]);
    // What a later qemu-img would write into its header is not in it.
    expect(stored.subarray(4, 8).toString('hex') + stored.subarray(72, 80).toString('hex')).toBe(
      '00000002'.padEnd(24, '0'),
    );
    const back = join(store.directory, 'back');
    execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', join(store.imageStore, result.digest), back]);
    expect(readFileSync(back).subarray(0, disk.length).equals(disk)).toBe(true);
    expect(
      execFileSync('qemu-img', ['check', '-f', 'qcow2', join(store.imageStore, result.digest)]).toString(),
    ).toMatch(/No errors/);
  });

  test('refuses another format than the spec says', async () => {
    await using store = await openStore();
    place(store);
    const formats = ['qcow2', 'raw', 'vmdk', 'vhd', 'vhdx'] as const;
    for (const path of formats) {
      for (const format of formats.filter((each) => each !== path)) {
        const error = await store.run({ file: { path } }, { format }).catch((cause) => cause);
        expect({ path, format, reason: error.reason, terminal: error.terminal }).toEqual({
          ...{ path, format, reason: 'WrongFormat', terminal: true },
        });
      }
    }
    expect(store.incoming()).toEqual([]);
  });

  test('takes a checksum of the file as fetched, in any case', async () => {
    await using store = await openStore();
    writeFileSync(join(store.importDir, 'a'), gzipSync(bytes));
    const packed = readFileSync(join(store.importDir, 'a'));
    const sha512 = createHash('sha512').update(packed).digest('hex');
    const checksums = [`SHA256:${sha256(packed).toUpperCase()}`, `sha512:${sha512}`];
    for (const checksum of checksums) expect(await store.run(file, { checksum })).toMatchObject({ virtualSize: 4096 });
    await expect(store.run(file, { checksum: 'md5:00' })).rejects.toMatchObject({
      ...{ reason: 'BadChecksum', terminal: true },
    });
  });

  test('rounds a raw disk up to whole sectors, and a repeated import changes nothing', async () => {
    await using store = await openStore();
    writeFileSync(join(store.importDir, 'a'), bytes.subarray(0, 1000));
    const first = await store.run(file);
    expect(first).toMatchObject({ format: 'qcow2', virtualSize: 1024 });
    expect(await store.run(file)).toEqual(first);
    expect(store.stored()).toEqual([first.digest]);
  });

  test.each(['../secret', 'link', 'nothing', '.', 'pipe'])('refuses the path %s', async (path) => {
    await using store = await openStore();
    writeFileSync(join(store.directory, 'secret'), 'CANARY');
    symlinkSync('../secret', join(store.importDir, 'link'));
    execFileSync('mkfifo', [join(store.importDir, 'pipe')]);
    await expect(store.run({ file: { path } })).rejects.toMatchObject({ terminal: true });
    const outside = store.run({ file: { path: join(store.directory, 'secret') } });
    await expect(outside).rejects.toMatchObject({ reason: 'SourceOutside' });
    expect([store.stored(), store.incoming()]).toEqual([[], []]);
  });

  test.each([
    ['zeros packed by gzip', (zeros: Buffer) => gzipSync(zeros)],
    ['zeros packed by zstd', (zeros: Buffer) => zstdCompressSync(zeros)],
    ['zeros packed by xz', (zeros: Buffer) => execFileSync('xz', ['-0c'], { input: zeros, maxBuffer: 2 ** 28 })],
    ['zeros not packed', (zeros: Buffer) => zeros],
  ])('stops at the limit: %s', async (_, pack) => {
    await using store = await openStore();
    writeFileSync(join(store.importDir, 'a'), pack(Buffer.alloc(80 * 2 ** 20)));
    // Not by the size of the disk, when all of it was written.
    const message = expect.stringMatching(/^(a|The unpacked image) has more than 1048576 bytes/);
    await expect(store.run(file, { maxVirtualSize: 2 ** 20 })).rejects.toMatchObject({
      ...{ reason: 'TooLarge', terminal: true, message },
    });
    expect([store.stored(), store.incoming()]).toEqual([[], []]);
  });

  test.each(['qcow2', 'vmdk', 'vpc', 'vhdx'])('refuses a larger virtual disk than the limit: %s', async (format) => {
    await using store = await openStore();
    make(store.importDir, format, 'a', '1G');
    await expect(store.run(file, { maxVirtualSize: 2 ** 29 })).rejects.toMatchObject({
      ...{ reason: 'TooLarge', terminal: true },
    });
    expect(store.stored()).toEqual([]);
  });

  test.each([
    ['packed twice', gzipSync(gzipSync(bytes))],
    ['cut while packed', gzipSync(randomBytes(9000)).subarray(0, 5000)],
    ['a VDI image', Buffer.from('\x7f\x10\xda\xbe'.padStart(0x44), 'latin1')],
    ['an OVA', Buffer.from('ustar'.padStart(262).padEnd(1024), 'latin1')],
  ])('refuses what is %s', async (_, content) => {
    await using store = await openStore();
    writeFileSync(join(store.importDir, 'a'), content);
    await expect(store.run(file)).rejects.toMatchObject({ reason: 'UnsupportedFormat', terminal: true });
    expect([store.stored(), store.incoming()]).toEqual([[], []]);
  });

  test('removes what an import left that nobody came back for, and leaves the rest', async () => {
    await using store = await openStore();
    for (const name of ['old', 'img-0-1']) mkdirSync(join(store.imageStore, 'incoming', name), { recursive: true });
    execFileSync('touch', ['-d', '2 days ago', 'old'], { cwd: join(store.imageStore, 'incoming') });
    writeFileSync(join(store.importDir, 'a'), bytes);
    await store.run(file);
    expect(store.incoming()).toEqual(['img-0-1']);
  });
});

/** Runs importImage() alone in a process that has no program at all. */
const child = `
  const [{ importImage }, { systemClock: clock }, { systemRandom: random }] = await Promise.all(process.argv.slice(1, 4).map((each) => import(each)));
  const [launch, options] = JSON.parse(process.argv[4]);
  const say = (outcome) => console.log(JSON.stringify(outcome));
  const rest = { clock, random, signal: AbortSignal.timeout(20000), onProgress: () => undefined };
  await importImage(launch, { ...options, ...rest }).then(say, ({ reason, terminal }) => say({ reason, terminal }));
  // Node keeps the deadline of a program that it could not even start.
  process.exit();
`;
const root = join(import.meta.dirname, '../..');
const modules = ['executor/images/import.ts', 'lib/std/clock.ts', 'lib/std/random.ts'].map((name) => join(root, name));

describe.skipIf(whyNot(['unshare', 'mount'], { root: true }) !== undefined)('without qemu-img', () => {
  test.each([
    ['sim', { digest: sha256(bytes), format: 'raw', size: 4096, virtualSize: 4096 }],
    ['libvirt', { reason: 'NoQemuImg', terminal: false }],
  ])('a host of hypervisor %s answers %o', async (hypervisor, expected) => {
    await using store = await openStore();
    await using server = await serve((_, response) => void response.end(bytes));
    mkdirSync(join(store.directory, 'empty'));
    const { imageStore, importDir } = store;
    const options = { hypervisor, imageStore, importDir, allowPrivateSources: ['127.0.0.0/8'] };
    const launch = imageImport('0b0c0000-0000-4000-8000-000000000000', { http: { url: server.url } });
    const script = 'mount --bind "$0" /usr/bin && exec "$@"';
    const node = [process.execPath, '--input-type=module', '-e', child, ...modules];
    const said = await new Promise<string>((resolve, reject) =>
      execFile(
        'unshare',
        ['-m', 'sh', '-c', script, join(store.directory, 'empty'), ...node, JSON.stringify([launch, options])],
        (error, stdout) => (error ? reject(error) : resolve(stdout)),
      ),
    );
    expect(JSON.parse(said)).toMatchObject(expected);
  });
});

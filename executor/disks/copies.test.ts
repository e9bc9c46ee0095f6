/** Copies of disks that guests wrote, with the real qemu-img: what becomes of their bytes, and what is not opened on the way. */
import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import type { DiskCopy } from '../hypervisor.ts';
import { sha256 } from '../testing/image-store.ts';
import { diskCopies } from './copies.ts';
import { makeDisks } from './disks.ts';

const size = 4 * 2 ** 20;
const programs = ['qemu-img', 'qemu-io', 'strace', 'prlimit', 'unshare', 'setpriv'];

async function openWorld() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const root = directory.path;
  const content = randomBytes(65_536);
  const raw = join(root, 'raw');
  writeFileSync(raw, Buffer.concat([content, Buffer.alloc(size - content.length)]));
  const image = { path: join(root, 'image'), format: 'qcow2' } as const;
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image.path]);
  const uid = randomUUID();
  const copies = diskCopies(root);
  const { rootDisk } = await makeDisks(root, { uid, image, rootDiskBytes: size, seed: { label: 'cidata', files: {} } });
  const limits = { deadlineMs: 20_000, signal: AbortSignal.timeout(30_000) };
  return {
    ...{ root, uid, image, content, copies, rootDisk, limits },
    /** What a guest writes at the beginning of its disk. */
    guestWrites(bytes: Buffer) {
      const file = join(root, 'written');
      writeFileSync(file, bytes);
      execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -s ${file} 0 ${bytes.length}`, rootDisk]);
    },
    async flatten(snapshot = randomUUID(), whole = false): Promise<string> {
      const file = join(root, `flat-${snapshot}`);
      writeFileSync(file, '', { flag: 'wx' });
      await copies.flatten({ uid, snapshot, image, whole }, file, limits);
      return file;
    },
    [Symbol.asyncDispose]: async () => await directory.remove(),
  };
}

/** As a guest sees it. */
function contentOf(file: string): Buffer {
  execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', file, `${file}.raw`]);
  return readFileSync(`${file}.raw`);
}

/** flatten() alone in a process, and what that opens and starts. */
function watchFlatten(root: string, copy: DiskCopy): { readonly said: string; readonly trace: string } {
  const child = `
    const { diskCopies } = await import(process.argv[1]);
    const [root, copy, file] = JSON.parse(process.argv[2]);
    const limits = { deadlineMs: 20000, signal: AbortSignal.timeout(20000) };
    await diskCopies(root).flatten(copy, file, limits).then(() => console.log('done'), ({ message }) => console.log('refused: ' + message));
  `;
  const [trace, file] = [join(root, 'trace'), join(root, `flat-${copy.snapshot}`)];
  writeFileSync(file, '');
  const node = [process.execPath, '--input-type=module', '-e', child, join(import.meta.dirname, 'copies.ts')];
  const options = ['-f', '-o', trace, '-s', '4096', '-e', 'trace=open,openat,openat2,execve'];
  const said = execFileSync('strace', [...options, ...node, JSON.stringify([root, copy, file])], { encoding: 'utf8' });
  return { said, trace: readFileSync(trace, 'utf8') };
}

describe.skipIf(whyNot(programs, { root: true }) !== undefined)('a copy of a disk', { timeout: 60_000 }, () => {
  test('is all that the guest sees, on nothing; the disk and its image stay as they were', async () => {
    await using world = await openWorld();
    const { uid, copies, rootDisk, image, limits } = world;
    const mark = randomBytes(4096);
    world.guestWrites(mark);
    const before = [rootDisk, image.path].map((path) => sha256(readFileSync(path)));
    await copies.copy(uid, limits.signal);
    const flat = await world.flatten();
    expect(
      contentOf(flat).equals(Buffer.concat([mark, world.content.subarray(4096), Buffer.alloc(size - 65_536)])),
    ).toBe(true);
    const info = JSON.parse(
      execFileSync('qemu-img', ['info', '--output=json', '-f', 'qcow2', flat], { encoding: 'utf8' }),
    );
    expect(info).not.toHaveProperty('backing-filename');
    execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', flat]);
    expect([rootDisk, image.path].map((path) => sha256(readFileSync(path)))).toEqual(before);
    await copies.clear(uid);
    expect(existsSync(copies.fileFor(uid))).toBe(false);
  });

  test('is another file for each snapshot, and the same for the same one', async () => {
    await using world = await openWorld();
    await world.copies.copy(world.uid, world.limits.signal);
    const [one, two] = [await world.flatten(), await world.flatten()];
    expect(sha256(readFileSync(one))).not.toBe(sha256(readFileSync(two)));
    expect(contentOf(one).equals(contentOf(two))).toBe(true);
  });

  test('of a guest that wrote the header of a qcow2 file is what it wrote, and not what that names', async () => {
    await using world = await openWorld();
    const secret = join(world.root, 'secret');
    writeFileSync(secret, randomBytes(65_536));
    const evil = join(world.root, 'evil');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', secret, '-F', 'raw', evil]);
    const header = readFileSync(evil).subarray(0, 65_536);
    world.guestWrites(header);
    await world.copies.copy(world.uid, world.limits.signal);
    expect(
      contentOf(await world.flatten())
        .subarray(0, header.length)
        .equals(header),
    ).toBe(true);
  });

  test.each([
    ['another backing file', ['-b', 'CANARY', '-F', 'raw']],
    [
      'another backing file as JSON',
      ['-b', 'json:{"driver":"raw","file":{"driver":"file","filename":"CANARY"}}', '-F', 'raw'],
    ],
    ['its own backing file in another format', ['-b', 'IMAGE', '-F', 'raw']],
    ['its data in another file', ['-o', 'data_file=CANARY,data_file_raw=on']],
  ])('that has %s is refused, and that file not opened', async (_, options) => {
    await using world = await openWorld();
    const { uid, copies, image, root } = world;
    const canary = join(root, 'canary');
    const file = copies.fileFor(uid);
    const words = options.map((word) => word.replace('CANARY', canary).replace('IMAGE', image.path));
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', ...words, file, String(size)]);
    writeFileSync(canary, randomBytes(65_536));
    for (const whole of [false, true]) {
      const { said, trace } = watchFlatten(root, { uid, snapshot: randomUUID(), image, whole });
      expect(said).toMatch(/^refused: /);
      expect(trace).toContain(`"${file}"`);
      expect(trace).not.toContain(`"${canary}"`);
      expect(trace).not.toMatch(/execve\("[^"]*qemu-img"/);
    }
  });

  test('goes back as it was, and at least as large as the machine wants it', async () => {
    await using world = await openWorld();
    const { uid, copies, rootDisk, limits } = world;
    const mark = randomBytes(4096);
    world.guestWrites(mark);
    await copies.copy(uid, limits.signal);
    const flat = await world.flatten();
    world.guestWrites(randomBytes(4096));
    await copies.prepare(uid, flat, 2 * size, limits.signal);
    await copies.replace(uid);
    const content = contentOf(rootDisk);
    expect(content.subarray(0, 4096).equals(mark)).toBe(true);
    expect(content.length).toBe(2 * size);
    expect(statSync(rootDisk).mode & 0o777).toBe(0o600);
    // And it is its own: another snapshot of it stands on nothing.
    await copies.copy(uid, limits.signal);
    expect(
      contentOf(await world.flatten())
        .subarray(0, 4096)
        .equals(mark),
    ).toBe(true);
  });

  test('of a name that is no machine is refused', async () => {
    await using world = await openWorld();
    for (const uid of ['../x', 'a/b', '', '-rf', '.']) expect(() => world.copies.fileFor(uid)).toThrow(TypeError);
  });
});

test('a machine whose host has no room is not copied', async () => {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const uid = randomUUID();
  mkdirSync(join(directory.path, 'vms', uid), { recursive: true });
  const disk = join(directory.path, 'vms', uid, 'root.qcow2');
  execFileSync('truncate', ['-s', '15T', disk]);
  const copies = diskCopies(directory.path);
  await expect(copies.requireRoom(uid, { path: disk, format: 'raw' })).rejects.toThrow(/bytes to spare/);
  await directory.remove();
});

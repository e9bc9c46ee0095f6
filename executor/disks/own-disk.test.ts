/** Headers as a QEMU could write them that its guest has taken over. */
import { execFileSync } from 'node:child_process';
import { renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { readOwnDisk } from './own-disk.ts';

const mebibyte = 2 ** 20;

describe.skipIf(whyNot(['qemu-img']) !== undefined)('a disk', () => {
  async function openWorld() {
    const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
    const disk = join(directory.path, 'root.qcow2');
    const base = { paths: ['/cache/image', '/store/image'], format: 'qcow2' } as const;
    return {
      disk,
      create: (...options: readonly string[]) =>
        execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', ...options, disk, '1M']),
      read: async () => await readOwnDisk(disk, base),
      [Symbol.asyncDispose]: async () => await directory.remove(),
    };
  }

  test.each(['/cache/image', '/store/image'])('that stands on its image at %s is its own', async (image) => {
    await using world = await openWorld();
    world.create('-b', image, '-F', 'qcow2');
    expect(await world.read()).toEqual({ backing: image, virtualSize: mebibyte });
  });

  test('that was restored stands on nothing', async () => {
    await using world = await openWorld();
    world.create();
    expect(await world.read()).toEqual({ backing: undefined, virtualSize: mebibyte });
  });

  test.each<[string, readonly string[], string]>([
    ['stands on another file', ['-b', 'OTHER', '-F', 'qcow2'], 'not on the image'],
    [
      'stands on another file, said in JSON',
      ['-b', 'json:{"driver":"raw","file":{"driver":"file","filename":"OTHER"}}', '-F', 'raw'],
      'not on the image',
    ],
    ['stands on a server', ['-b', 'nbd://127.0.0.1:9/x', '-F', 'raw'], 'not on the image'],
    ['says another format of its image', ['-b', '/store/image', '-F', 'raw'], 'not on the image'],
    ['stands on a file beside its image', ['-b', '/store/image/../other', '-F', 'qcow2'], 'not on the image'],
    ['has its data in another file', ['-o', 'data_file=OTHER,data_file_raw=on'], 'another file'],
    [
      'has its data in another file beside its image',
      ['-b', '/store/image', '-F', 'qcow2', '-o', 'data_file=OTHER'],
      'another file',
    ],
  ])('that %s is not', async (_, options, why) => {
    await using world = await openWorld();
    world.create(...options.map((option) => option.replace('OTHER', join(world.disk, '../other'))));
    await expect(world.read()).rejects.toMatchObject({
      reason: 'BadDisk',
      cause: { message: expect.stringContaining(why) },
    });
  });

  test.each(['no qcow2 any more', '', 'QFI\xfb'])('of %j is not', async (content) => {
    await using world = await openWorld();
    writeFileSync(world.disk, content);
    await expect(world.read()).rejects.toMatchObject({ reason: 'BadDisk' });
  });

  test('of another machine, in whose place a link is, is not', async () => {
    await using world = await openWorld();
    world.create('-b', '/store/image', '-F', 'qcow2');
    renameSync(world.disk, `${world.disk}.other`);
    symlinkSync(`${world.disk}.other`, world.disk);
    await expect(world.read()).rejects.toMatchObject({ reason: 'BadDisk' });
  });

  test('that cannot be read is the fault of the host', async () => {
    await using world = await openWorld();
    await expect(world.read()).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

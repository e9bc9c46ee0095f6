/** What does not need Gluster: disks and removal, on any file system. The rest is in ../volumes.test.ts. */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { onVolume, type VolumeSpec } from '../layout.ts';
import { makeDirectory, makeDisk, removeVolume, requireVolume } from './directories.ts';

const spec: VolumeSpec = {
  ...{ uid: randomUUID(), glusterVolume: 'vm', type: 'Disk', bytes: 2 ** 20, installation: 'i' },
};

async function openRoot() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  return { root: directory.path, [Symbol.asyncDispose]: async () => await directory.remove() };
}

describe.skipIf(whyNot(['qemu-img', 'prlimit']) !== undefined)('a disk', () => {
  test('is used while it is as it was made, also with what a guest wrote to it', async () => {
    await using world = await openRoot();
    await makeDirectory(world.root, spec);
    await makeDisk(world.root, spec);
    await requireVolume(world.root, spec);
    const disk = join(world.root, onVolume.disk(spec.uid));
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 0 64K', disk]);
    await requireVolume(world.root, spec);
    // What is there is never made anew.
    await makeDisk(world.root, spec);
    expect(execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'read -P 7 0 64K', disk], { encoding: 'utf8' })).toContain(
      '65536/65536',
    );
  });

  test.each([
    ['stands on another file', ['-b', '/etc/hostname', '-F', 'raw']],
    ['stands on a server', ['-b', 'nbd://127.0.0.1:9/x', '-F', 'raw']],
    ['has its data in another file', ['-o', 'data_file=DATA,data_file_raw=on']],
  ])('that %s is not used, and says so', async (_, options) => {
    await using world = await openRoot();
    await makeDirectory(world.root, spec);
    await makeDisk(world.root, spec);
    const disk = join(world.root, onVolume.disk(spec.uid));
    rmSync(disk);
    const words = options.map((option) => option.replace('DATA', join(world.root, 'canary')));
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', ...words, disk, '1M']);
    await expect(requireVolume(world.root, spec)).rejects.toMatchObject({ reason: 'BadDisk' });
  });

  test.each(['', 'no qcow2'])('of %j is not used', async (content) => {
    await using world = await openRoot();
    await makeDirectory(world.root, spec);
    await makeDisk(world.root, spec);
    writeFileSync(join(world.root, onVolume.disk(spec.uid)), content);
    await expect(requireVolume(world.root, spec)).rejects.toMatchObject({ reason: 'BadDisk' });
  });

  test('that is not there was lost', async () => {
    await using world = await openRoot();
    await makeDirectory(world.root, spec);
    await makeDisk(world.root, spec);
    rmSync(join(world.root, onVolume.disk(spec.uid)));
    await expect(requireVolume(world.root, spec)).rejects.toMatchObject({ reason: 'NotProvisioned' });
  });
});

test('a directory goes with all that a guest made in it, and with nothing that its links name', async () => {
  await using world = await openRoot();
  const shared = { ...spec, type: 'SharedFilesystem' } as const;
  await makeDirectory(world.root, shared);
  const data = join(world.root, onVolume.data(shared.uid));
  const other = join(world.root, onVolume.data(randomUUID()));
  mkdirSync(join(other, 'deep'), { recursive: true });
  writeFileSync(join(other, 'deep/file'), 'of another');
  mkdirSync(join(data, 'a/b'), { recursive: true });
  for (const link of ['up', 'a/up', 'a/b/up']) symlinkSync(join(world.root, onVolume.all), join(data, link));
  await removeVolume(world.root, shared);
  await removeVolume(world.root, shared);
  expect(readdirSync(join(world.root, onVolume.all))).not.toContain(shared.uid);
  expect(readdirSync(join(other, 'deep'))).toEqual(['file']);
});

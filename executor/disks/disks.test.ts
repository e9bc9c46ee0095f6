import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtempDisposable, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { consolePaths } from '../console/paths.ts';
import { readBackingFile } from '../libvirt/backing-file.ts';
import { diskOwners, makeDisks, makeSeed, removeDisks } from './disks.ts';
import { requireAlone } from './own-disk.ts';

const run = promisify(execFile);
const mib = 2 ** 20;
const seed = (files: Record<string, string>) => ({ label: 'cidata', files });

test('a uid that would leave the directory is refused', async () => {
  await expect(removeDisks('/tmp', '../..')).rejects.toThrow('not a UUID');
});

describe.skipIf(whyNot(['qemu-img', 'genisoimage', 'prlimit']) !== undefined)('disks', () => {
  async function openWorld() {
    const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
    const image = join(directory.path, 'image');
    await run('qemu-img', ['create', '-q', '-f', 'raw', image, '1M']);
    const machine = { uid: randomUUID(), image: { path: image, format: 'raw' as const }, rootDiskBytes: 8 * mib };
    return { root: directory.path, machine, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
  }

  test('the overlay has the asked size and says what it stands on, format included', async () => {
    await using world = await openWorld();
    const { rootDisk } = await makeDisks(world.root, { ...world.machine, seed: seed({}) });
    expect(await readBackingFile(rootDisk)).toEqual(world.machine.image);
    const { stdout } = await run('qemu-img', ['info', '--output=json', '-f', 'qcow2', rootDisk]);
    expect(JSON.parse(stdout)).toMatchObject({ 'virtual-size': 8 * mib, 'backing-filename-format': 'raw' });
  });

  test('nobody but root and the one whom libvirt makes the owner can read them', async () => {
    await using world = await openWorld();
    const { rootDisk, seedDisk } = await makeDisks(world.root, {
      ...world.machine,
      seed: seed({ 'user-data': 'secret' }),
    });
    for (const file of [rootDisk, seedDisk]) expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  test('again: the overlay stays, the seed is new, what a kill left half made is gone', async () => {
    await using world = await openWorld();
    const { rootDisk, seedDisk } = await makeDisks(world.root, {
      ...world.machine,
      seed: seed({ 'meta-data': 'first' }),
    });
    await writeFile(rootDisk, 'data of the machine');
    await writeFile(`${rootDisk}.x.tmp`, 'half');
    await makeDisks(world.root, { ...world.machine, seed: seed({ 'meta-data': 'second' }) });
    expect(await readFile(rootDisk, 'utf8')).toBe('data of the machine');
    expect(await readFile(seedDisk, 'latin1')).toMatch(/cidata[\s\S]*second/);
    expect((await readdir(join(world.root, 'vms', world.machine.uid))).sort()).toEqual(['root.qcow2', 'seed.iso']);
    expect(await diskOwners(world.root)).toEqual([world.machine.uid]);
    const { consoleSocket, vncSocket } = consolePaths(world.root, world.machine.uid);
    await writeFile(consoleSocket, '');
    // A QEMU that was taken over can make anything there.
    await mkdir(join(vncSocket, 'deep'), { recursive: true });
    await symlink(world.root, join(vncSocket, 'link'));
    await removeDisks(world.root, world.machine.uid);
    for (const socket of [consoleSocket, vncSocket]) expect(await readdir(dirname(socket))).toEqual([]);
    expect(await diskOwners(world.root)).toEqual([]);
  });

  test('a seed that was made before stays when no other is given; where there is none the disks are not made', async () => {
    await using world = await openWorld();
    const { uid } = world.machine;
    await expect(makeDisks(world.root, world.machine)).rejects.toThrow('its secrets are not here');
    await makeSeed(world.root, uid, seed({ 'user-data': 'first' }));
    await makeSeed(world.root, uid, seed({ 'user-data': 'second' }));
    const { seedDisk } = await makeDisks(world.root, world.machine);
    expect(await readFile(seedDisk, 'latin1')).toMatch(/cidata[\s\S]*second/);
    expect((await stat(seedDisk)).mode & 0o777).toBe(0o600);
  });

  test('data disks are of the asked size, are all in their own files, and stay as they are the next time', async () => {
    await using world = await openWorld();
    const limits = { bytesPerSecond: mib };
    const disks = [
      { name: 'data', bytes: 3 * mib, limits },
      { name: 'root', bytes: mib },
    ];
    const make = async () => await makeDisks(world.root, { ...world.machine, disks, seed: seed({}) });
    const { rootDisk, dataDisks } = await make();
    const own = (name: string) => join(dirname(rootDisk), name);
    expect(dataDisks).toEqual([
      { name: 'data', path: own('disk-data.qcow2'), limits },
      { name: 'root', path: own('disk-root.qcow2') },
    ]);
    const [data] = dataDisks;
    const { stdout } = await run('qemu-img', ['info', '--output=json', '-f', 'qcow2', data!.path]);
    expect(JSON.parse(stdout)).toMatchObject({ 'virtual-size': 3 * mib });
    expect((await stat(data!.path)).mode & 0o777).toBe(0o600);
    for (const disk of dataDisks) await requireAlone(disk);
    await writeFile(data!.path, 'data of the machine');
    await writeFile(`${data!.path}.x.tmp`, 'half');
    await make();
    expect(await readFile(data!.path, 'utf8')).toBe('data of the machine');
    const names = ['disk-data.qcow2', 'disk-root.qcow2', 'root.qcow2', 'seed.iso'];
    expect((await readdir(dirname(rootDisk))).sort()).toEqual(names);
    const climbing = { ...world.machine, disks: [{ name: '../x', bytes: mib }], seed: seed({}) };
    await expect(makeDisks(world.root, climbing)).rejects.toThrow(TypeError);
    await removeDisks(world.root, world.machine.uid);
    expect(await diskOwners(world.root)).toEqual([]);
  });

  test.each([
    ['a backing file', ['-b', 'CANARY', '-F', 'raw']],
    ['one as JSON', ['-b', 'json:{"driver":"raw","file":{"driver":"file","filename":"CANARY"}}', '-F', 'raw']],
    ['another file for its data', ['-o', 'data_file=CANARY,data_file_raw=on']],
  ])('a data disk whose header names %s is refused', async (_, options) => {
    await using world = await openWorld();
    const path = join(world.root, 'disk-data.qcow2');
    const canary = join(world.root, 'canary');
    const words = options.map((word) => word.replace('CANARY', canary));
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', ...words, path, '1M']);
    await expect(requireAlone({ name: 'data', path })).rejects.toMatchObject({
      name: 'TerminalError',
      reason: 'BadDisk',
    });
  });

  test('an image that is missing and a file that is no seed fail with what is wrong', async () => {
    await using world = await openWorld();
    const gone = { ...world.machine, image: { path: '/nowhere/image', format: 'raw' as const }, seed: seed({}) };
    await expect(makeDisks(world.root, gone)).rejects.toThrow('/nowhere/image');
    await expect(makeDisks(world.root, { ...world.machine, seed: seed({ '../x': '' }) })).rejects.toThrow(
      'into a seed',
    );
  });
});

import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { backingsOf } from './backings.ts';

const digest = 'b'.repeat(64);

describe.skipIf(whyNot(['qemu-img']) !== undefined)('backingsOf()', () => {
  async function open() {
    const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
    const uid = randomUUID();
    const own = join(directory.path, 'vms', uid);
    mkdirSync(own, { recursive: true });
    const create = (name: string, ...options: string[]) =>
      execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...options, name, '1M'], { cwd: own });
    return {
      ...{ root: directory.path, uid, own, create },
      [Symbol.asyncDispose]: async () => await directory.remove(),
    };
  }

  test('follows every chain to its image, which need not be there', async () => {
    await using world = await open();
    const image = `/nowhere/${digest}`;
    world.create('first.qcow2', '-u', '-b', image, '-F', 'qcow2');
    world.create('root.qcow2', '-u', '-b', join(world.own, 'first.qcow2'), '-F', 'qcow2');
    world.create('alone', '-u', '-b', '/elsewhere/raw', '-F', 'raw');
    writeFileSync(join(world.own, 'seed.iso'), 'a seed');
    const found = await backingsOf(world.root, [world.uid]);
    expect(found.toSorted()).toEqual([image, join(world.own, 'first.qcow2'), '/elsewhere/raw'].toSorted());
  });

  test('opens nothing that a header names outside of the directory', async () => {
    await using world = await open();
    const pipe = join(world.root, 'pipe');
    execFileSync('mkfifo', [pipe]);
    // Who opens it to read waits for a writer for ever.
    world.create('root.qcow2', '-u', '-b', pipe, '-F', 'qcow2');
    expect(await backingsOf(world.root, [world.uid])).toEqual([pipe]);
  });

  test('of a machine without disks there are none; nor is a disk that is being made looked at', async () => {
    await using world = await open();
    writeFileSync(join(world.own, 'root.qcow2.x.tmp'), 'half');
    expect(await backingsOf(world.root, [world.uid, randomUUID()])).toEqual([]);
  });

  test('a disk that does not tell is an error, not a disk that stands on nothing', async () => {
    await using world = await open();
    writeFileSync(join(world.own, 'root.qcow2'), 'no qcow2 any more');
    await expect(backingsOf(world.root, [world.uid])).rejects.toThrow('not a qcow2 file');
  });
});

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { removeTree } from './remove-tree.ts';

/** A directory to remove, and one beside it that a link may lead to. */
async function openWorld() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const [outside, tree] = ['outside', 'tree'].map((name) => join(directory.path, name)) as [string, string];
  mkdirSync(join(outside, 'deep'), { recursive: true });
  const kept = Array.from({ length: 20 }, (_, index) => `f${index}`);
  for (const name of kept) {
    writeFileSync(join(outside, name), 'kept');
    writeFileSync(join(outside, 'deep', name), 'kept');
  }
  mkdirSync(tree);
  return {
    ...{ root: directory.path, outside, tree },
    isWhole: () =>
      [outside, join(outside, 'deep')].every((path) => kept.every((name) => readdirSync(path).includes(name))),
    [Symbol.asyncDispose]: async () => await directory.remove(),
  };
}

const runNode = (code: string, ...args: readonly string[]) => execFileSync(process.execPath, ['-e', code, ...args]);

test('files, directories, links and names that are no text go, and what links lead to stays', async () => {
  await using world = await openWorld();
  const { root, outside, tree } = world;
  mkdirSync(join(tree, 'a/b/c'), { recursive: true });
  for (let index = 0; index < 50; index++) writeFileSync(join(tree, 'a/b', String(index)), '');
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe, 0x0a])]), '');
  for (const link of ['l', 'a/l', 'a/b/c/l']) symlinkSync(outside, join(tree, link));
  execFileSync('mkfifo', [join(tree, 'pipe')]);
  await removeTree(root, 'tree');
  expect(readdirSync(root)).toEqual(['outside']);
  expect(world.isWhole()).toBe(true);
  await removeTree(root, 'tree');
  await removeTree(root, 'nothing', 'here');
  await removeTree(join(root, 'nothing'), 'here');
});

test('a link, or a file, in its place is removed itself', async () => {
  await using world = await openWorld();
  symlinkSync(world.outside, join(world.tree, 'link'));
  writeFileSync(join(world.tree, 'file'), '');
  for (const name of ['link', 'file']) await removeTree(world.root, 'tree', name);
  expect(readdirSync(world.tree)).toEqual([]);
  expect(world.isWhole()).toBe(true);
});

test('a link on the way there is not followed', async () => {
  await using world = await openWorld();
  symlinkSync(world.outside, join(world.tree, 'link'));
  await removeTree(world.root, 'tree', 'link', 'deep');
  expect(world.isWhole()).toBe(true);
});

test('more levels than a path has bytes, and than a process has files', async () => {
  await using world = await openWorld();
  runNode(
    `process.chdir(process.argv[1]);
     for (let level = 0; level < 5000; level++) { fs.mkdirSync('d'); fs.writeFileSync('f', ''); process.chdir('d'); }`,
    world.tree,
  );
  await removeTree(world.root, 'tree');
  expect(existsSync(world.tree)).toBe(false);
});

test.each(['', '.', '..', 'a/b', 'a\0', '/'])('%j is not the name of a file', async (name) => {
  await using world = await openWorld();
  await expect(removeTree(world.root, 'tree', name)).rejects.toThrow(TypeError);
  await expect(removeTree(world.root, name, 'f0')).rejects.toThrow(TypeError);
  expect(world.isWhole()).toBe(true);
});

test.skipIf(whyNot(['mount', 'umount', 'unshare'], { root: true }) !== undefined)(
  'another file system that is mounted in it is not entered, and removal says so',
  async () => {
    await using world = await openWorld();
    mkdirSync(join(world.tree, 'mnt'));
    const code = `const { removeTree } = await import(process.argv[1]);
      await removeTree(process.argv[2], 'tree').catch(({ message }) => console.log(message));`;
    const script =
      'mount -t tmpfs none "$1/tree/mnt" && : >"$1/tree/mnt/f" && "$2" --input-type=module -e "$3" "$4" "$1" && ls "$1/tree/mnt"';
    const module = join(import.meta.dirname, 'remove-tree.ts');
    const args = ['--mount', 'sh', '-c', script, 'sh', world.root, process.execPath, code, module];
    expect(execFileSync('unshare', args, { encoding: 'utf8' })).toMatch(
      /^Cannot remove mnt: another file system.*\nf\n$/,
    );
  },
);

/** Puts a link in the place of each directory, and the directory back, as fast as it can; makes anew what was removed. */
const swap = `
  const [tree, outside] = process.argv.slice(1);
  const attempt = (work) => { try { work(); } catch {} };
  process.stdout.write('swapping');
  for (let turn = 0; ; turn++) {
    const path = tree + '/d' + (turn % 8);
    attempt(() => fs.mkdirSync(path + '/deep', { recursive: true }));
    attempt(() => fs.writeFileSync(path + '/f0', ''));
    attempt(() => fs.renameSync(path, path + '.aside'));
    attempt(() => fs.symlinkSync(outside, path));
    attempt(() => fs.unlinkSync(path));
    attempt(() => fs.renameSync(path + '.aside', path));
  }`;

test('while somebody swaps directories for links nothing is removed where the links lead', {
  timeout: 60_000,
}, async () => {
  await using world = await openWorld();
  const swapper = spawn(process.execPath, ['-e', swap, world.tree, world.outside], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(swapper.stdout, 'data');
    for (let turn = 0; turn < 300; turn++) {
      await removeTree(world.root, 'tree').catch((error) => expect(error.message).toMatch(/goes on to write/));
      mkdirSync(world.tree, { recursive: true });
      expect(world.isWhole(), `turn ${turn}`).toBe(true);
    }
  } finally {
    swapper.kill('SIGKILL');
    await once(swapper, 'exit');
  }
  await removeTree(world.root, 'tree');
  expect(existsSync(world.tree)).toBe(false);
});

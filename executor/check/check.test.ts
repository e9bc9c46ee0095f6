import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseConfig } from '../config.ts';
import { type Check, ok, runChecks, warning } from './check.ts';
import { checksOf } from './checks.ts';
import { imageCache } from './image-cache.ts';
import { missingPrograms, packageOf } from './programs.ts';

const config = (root: string) =>
  parseConfig({ hypervisor: 'sim', root: join(root, 'a'), imageStore: join(root, 'b'), importDir: join(root, 'c') });

async function said(checks: readonly Check[], root = '/nowhere') {
  const lines: string[] = [];
  const good = await runChecks(checks, config(root), (line) => lines.push(line));
  return { good, lines };
}

test('every finding is a line, lined up; a warning is no failure', async () => {
  const checks: readonly Check[] = [
    { name: 'one', look: async () => [ok('fine')] },
    { name: 'another', look: async () => [ok('fine'), warning('less than fine')] },
  ];
  expect(await said(checks)).toEqual({
    good: true,
    lines: ['ok        one       fine', 'ok        another   fine', 'warning   another   less than fine'],
  });
});

test('what a check throws is a failure in one line, and the others are still made', async () => {
  const look = async () => {
    throw new Error('not\nthere');
  };
  const checks: readonly Check[] = [
    { name: 'one', look },
    { name: 'two', look: async () => [ok('fine')] },
  ];
  expect(await said(checks)).toEqual({ good: false, lines: ['failed    one   not there', 'ok        two   fine'] });
});

test('an imitated host needs its directories, which are made', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'cf-check-'));
  const { good, lines } = await said(checksOf(config(directory.path)), directory.path);
  expect(good).toBe(true);
  expect(lines).toHaveLength(3);
  expect(lines[1]).toContain('is a directory of this host alone');
});

test('a cache of images has a directory of its own on a disk of the host that is large enough', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'cf-check-'));
  const cache = join(directory.path, 'cache');
  const look = async (sizeGiB: number) => {
    const value = {
      ...config(directory.path),
      imageCache: { directory: cache, bytes: sizeGiB * 2 ** 30, bytesPerSecond: 1 },
    };
    return await imageCache.look(value);
  };
  expect(await look(0.5)).toEqual([
    { state: 'ok', text: expect.stringContaining(`${cache}, up to 0.5 GiB on a disk`) },
  ]);
  expect(await look(2 ** 30)).toEqual([{ state: 'warning', text: expect.stringContaining('not so large') }]);
  writeFileSync(join(cache, 'owner'), '/another');
  expect(await look(1)).toEqual([
    { state: 'failed', text: expect.stringContaining('belongs to the executor of /another') },
  ]);
  expect(await imageCache.look(config(directory.path))).toEqual([]);
});

test('a directory that cannot be made is a failure that names it', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'cf-check-'));
  writeFileSync(join(directory.path, 'b'), '');
  const { good, lines } = await said(checksOf(config(directory.path)), directory.path);
  expect(good).toBe(false);
  expect(lines[1]).toMatch(new RegExp(`^failed    imageStore   .*${directory.path}/b`));
});

test('a program is missing that is in no folder, or may not be run', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'cf-check-'));
  const folders = ['one', 'two'].map((name) => join(directory.path, name));
  for (const folder of folders) mkdirSync(folder);
  Object.keys(packageOf).forEach((program, index) => {
    writeFileSync(join(folders[index % 2]!, program), '');
    if (program !== 'nft') chmodSync(join(folders[index % 2]!, program), 0o755);
  });
  expect(missingPrograms(folders)).toEqual(['nft']);
});

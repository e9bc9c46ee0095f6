/** Tokens as files of any file system; on real Gluster in ../volumes.test.ts. */
import { mkdirSync, readdirSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { onVolume } from '../layout.ts';
import { claimWriter } from './writers.ts';

const uid = '0f8fad5b-d9cb-469f-a165-70867728950e';
const held = { reason: 'WriterHeld' };

async function openDisk() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const writers = join(directory.path, onVolume.writers(uid));
  mkdirSync(writers, { recursive: true });
  return {
    claim: async (grant: number, attempt = 1, machine = `m${grant}`) =>
      await claimWriter(directory.path, { uid, token: { machine, grant, attempt } }),
    row: () => readdirSync(writers),
    [Symbol.asyncDispose]: async () => await directory.remove(),
  };
}

test('a later token takes the disk, an earlier one never gets it back, the same one as often as it asks', async () => {
  await using disk = await openDisk();
  for (const attempt of [1, 1, 9, 10]) await disk.claim(1, attempt);
  await expect(disk.claim(1, 9)).rejects.toMatchObject(held);
  await disk.claim(2, 1);
  for (const [grant, attempt] of [
    [1, 10],
    [1, 11],
    [0, 99],
  ] as const)
    await expect(disk.claim(grant, attempt)).rejects.toMatchObject(held);
  await disk.claim(2, 1);
  expect(disk.row()).toEqual(['2.1']);
});

test('one token for two machines lets one of them in', async () => {
  await using disk = await openDisk();
  const outcomes = await Promise.allSettled([disk.claim(3, 1, 'a'), disk.claim(3, 1, 'b')]);
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
});

test('of many at once the latest gets it, and afterwards nobody else', async () => {
  await using disk = await openDisk();
  for (let round = 0; round < 20; round++) {
    const grants = Array.from({ length: 6 }, (_, index) => round * 6 + index + 1);
    const outcomes = await Promise.allSettled(grants.map(async (grant) => await disk.claim(grant)));
    expect(outcomes.at(-1)!.status).toBe('fulfilled');
    for (const grant of grants.slice(0, -1)) await expect(disk.claim(grant)).rejects.toMatchObject(held);
    await disk.claim(grants.at(-1)!);
  }
  expect(disk.row()).toEqual(['120.1']);
});

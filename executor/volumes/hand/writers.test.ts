/** The row of writers as files of any file system; on real Gluster in ../volumes.test.ts. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { onVolume } from '../layout.ts';
import { claimWriter, releaseWriter } from './writers.ts';

const uid = '0f8fad5b-d9cb-469f-a165-70867728950e';
const token = (machine: string, attempt = 1) => ({ machine, attempt, bootId: 'b' });

async function openDisk() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const writers = join(directory.path, onVolume.writers(uid));
  mkdirSync(writers, { recursive: true });
  return {
    claim: async (by: ReturnType<typeof token>, gone?: ReturnType<typeof token>) =>
      await claimWriter(directory.path, { uid, token: by, ...(gone ? { gone } : {}) }),
    release: async (by: ReturnType<typeof token>) => await releaseWriter(directory.path, { uid, token: by }),
    row: () => readdirSync(writers),
    put: (number: number, by?: ReturnType<typeof token>) =>
      writeFileSync(join(writers, String(number)), JSON.stringify({ number, ...(by ? { token: by } : {}) })),
    [Symbol.asyncDispose]: async () => await directory.remove(),
  };
}

test('of many that claim at once one gets it, again and again', async () => {
  await using disk = await openDisk();
  let holder: ReturnType<typeof token> | undefined;
  for (let round = 1; round <= 20; round++) {
    const tokens = Array.from({ length: 6 }, (_, index) => token(`m${index}`, round));
    const outcomes = await Promise.allSettled(tokens.map(async (one) => await disk.claim(one, holder)));
    const won = tokens.filter((_, index) => outcomes[index]!.status === 'fulfilled');
    expect(won).toHaveLength(1);
    holder = won[0]!;
    await disk.claim(holder);
    expect(disk.row()).toHaveLength(1);
  }
});

test('another attempt or boot of the same machine is another writer', async () => {
  await using disk = await openDisk();
  await disk.claim(token('a'));
  await expect(disk.claim(token('a', 2))).rejects.toMatchObject({ reason: 'WriterHeld' });
  await expect(disk.claim({ ...token('a'), bootId: 'c' })).rejects.toMatchObject({ reason: 'WriterHeld' });
  await disk.claim(token('a', 2), token('a'));
});

test('who was replaced frees nothing; who released is nobody', async () => {
  await using disk = await openDisk();
  await disk.claim(token('a'));
  await disk.claim(token('b'), token('a'));
  await disk.release(token('a'));
  await expect(disk.claim(token('c'))).rejects.toMatchObject({ reason: 'WriterHeld' });
  await disk.release(token('b'));
  await disk.release(token('b'));
  await disk.claim(token('c'), token('x'));
});

test('a claim that slept while others came and went does not win', async () => {
  await using disk = await openDisk();
  // It read number 1, whose file is gone; the row stands at 5.
  disk.put(5, token('now'));
  disk.put(2, token('late'));
  await expect(disk.claim(token('late'))).rejects.toMatchObject({ reason: 'WriterHeld' });
});

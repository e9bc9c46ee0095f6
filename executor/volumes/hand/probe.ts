import { open, readdir, readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Probe } from '../health.ts';
import { onVolume } from '../layout.ts';
import { usageOf } from './directories.ts';

/**
 * Writes to the disks of the bricks, as a guest would: what is read may come from a cache. All hosts do this, and at once, also while bricks
 * come and go: what two of them made under one name then may be another thing on each brick, a directory with all that is in it. So each
 * has a file of its own beside what is made once, in the root, which nobody makes. Which bricks the client reaches it tells itself, in a
 * directory that it makes up. `host`: unlike all other hosts'; `uids`: of the Volumes that are used here.
 */
export async function probe(
  root: string,
  { host, uids }: { readonly host: string; readonly uids: readonly string[] },
): Promise<Probe> {
  await using file = await open(join(root, onVolume.host(host)), 'w');
  await file.writeFile('1');
  await file.sync();
  const { blocks, bavail, bsize } = await statfs(root);
  return {
    ...(await readBricks(root)),
    used: await usageOf(root, uids),
    totalBytes: blocks * bsize,
    freeBytes: bavail * bsize,
  };
}

async function readBricks(root: string): Promise<Pick<Probe, 'replicas' | 'single'>> {
  const graph = join(root, '.meta/graphs/active');
  const names = await readdir(graph);
  const replicas = await Promise.all(
    names
      .filter((name) => /-replicate-\d+$/.test(name))
      .map(async (name) => parseReplica(await readFile(join(graph, name, 'private'), 'utf8'))),
  );
  const bricks = names.filter((name) => /-client-\d+$/.test(name)).length;
  return { replicas, single: bricks - replicas.reduce((sum, { up }) => sum + up.length, 0) };
}

export function parseReplica(text: string): Probe['replicas'][number] {
  return {
    up: [...text.matchAll(/^child_up\[\d+\] = (-?\d+)$/gm)].map(([, up]) => up === '1'),
    quorum: /^quorum-type = (\S+)$/m.exec(text)?.[1] ?? 'none',
  };
}

/**
 * The disks of a machine on a base image of 10 MiB and on one of 2 GiB, in pairs, each removed again: an overlay costs the same on both, and
 * takes none of the image's bytes. All bytes of the images are on the disk: a copy would be seen. Then the same through the host's cache of
 * images, which has both.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backingsOf } from '#executor/disks/backings.ts';
import { diskOwners, machineDirectory, makeDisks, removeDisks } from '#executor/disks/disks.ts';
import { ImageCache } from '#executor/images/cache.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { must, run } from '#test/e2e/local-cluster.ts';
import { comparisonOf, interleaved, median, ratioInWords } from '../compare.ts';

const pairs = 21;
const mib = 2 ** 20;
const [small, large] = [10, 2048];

interface Made {
  readonly ms: number;
  /** What the machine's files take of the disk. */
  readonly kib: number;
}

export async function disk(): Promise<readonly string[]> {
  const root = mkdtempSync(join(tmpdir(), 'cf-bench-'));
  try {
    return await measure(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function measure(root: string): Promise<readonly string[]> {
  const digests = new Map<string, string>();
  for (const size of [small, large]) {
    const path = join(root, `base-${size}`);
    await must(run('fallocate', ['-l', `${size}M`, path]));
    digests.set(await sha256Of(path), path);
  }
  const [onSmall, onLarge] = [...digests.values()];
  const direct = await compare('disk', [
    () => make(root, async () => onSmall!),
    () => make(root, async () => onLarge!),
  ]);
  await using cache = await ImageCache.open({
    ...{ directory: join(root, 'cache'), bytes: 8192 * mib, bytesPerSecond: 8192 * mib, patienceMs: 600_000 },
    ...{ owner: root, clock: systemClock, log: silentLog },
    source: async (digest) => digests.get(digest)!,
    backings: async () => await backingsOf(root, await diskOwners(root)),
  });
  const [first, second] = [...digests.keys()].map((digest) => () => make(root, () => cache.find(digest)));
  await Promise.all([...digests.keys()].map((digest) => cache.find(digest)));
  return [direct, await compare('disk-cached', [first!, second!])];
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: mib })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function compare(name: string, [onSmall, onLarge]: readonly [() => Promise<Made>, () => Promise<Made>]) {
  const made = await interleaved(pairs, onLarge, onSmall);
  const of = (side: 0 | 1, what: keyof Made) => median(made.map((pair) => pair[side][what])).toFixed(0);
  const ratio = ratioInWords(comparisonOf(made.map(([a, b]) => [a.ms, b.ms])));
  return `P9 ${name} imageMiB=${large}/${small} ${ratio} goal=1.2 ms=${of(0, 'ms')}/${of(1, 'ms')} diskKiB=${of(0, 'kib')}/${of(1, 'kib')} pairs=${pairs}`;
}

async function make(root: string, find: () => Promise<string>): Promise<Made> {
  const uid = randomUUID();
  const files = { 'meta-data': `instance-id: ${uid}\n`, 'user-data': '#cloud-config\n' };
  const started = systemClock.monotonic();
  await makeDisks(root, {
    uid,
    image: { path: await find(), format: 'raw' },
    rootDiskBytes: 4096 * mib,
    seed: { label: 'cidata', files },
  });
  const ms = systemClock.monotonic() - started;
  const directory = machineDirectory(root, uid);
  const blocks = readdirSync(directory).map((name) => statSync(join(directory, name)).blocks);
  await removeDisks(root, uid);
  return { ms, kib: blocks.reduce((sum, count) => sum + count, 0) / 2 };
}

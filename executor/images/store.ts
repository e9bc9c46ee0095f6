/**
 * The images that the hosts of a cluster share, each a file named by its digest. Imports put them there (import.ts). What is to go is first
 * put aside into `removed/`, for a day: whoever needs it after all puts it back, so that nothing is lost by a word that came late.
 */
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestPattern } from '#lib/api/image-digests.ts';
import type { Clock } from '#lib/std/clock.ts';
import { isThere } from '#lib/std/files.ts';
import type { ImageCache } from './cache.ts';
import { removeForgotten } from './staging.ts';

export interface ImageStore {
  /** The path of an image. Throws Error if it is not there. */
  find(digest: string): Promise<string>;
  /** Puts it back if it was put aside. Throws Error if it is not in the store itself then. */
  restore(digest: string): Promise<void>;
  /** Where the image is if it is anywhere: in the store, and in the host's own cache. */
  places(digest: string): readonly string[];
  /** Digests that are in the store for something else than an Image: the files in its `snapshots/` name one each. Rejects if that cannot be read. */
  kept(): Promise<readonly string[]>;
  /** Undefined if the store cannot be read. */
  digests(): Promise<readonly string[] | undefined>;
  /** Says in the store that the hosts of this cluster use it. Repeatable. */
  claim(cluster: string): Promise<void>;
  /**
   * Takes an image out of the store that no disk of any host stands on; the caller knows that. Nothing if it is not there, or came a moment
   * ago. Throws Error if other clusters use the store.
   */
  discard(digest: string, cluster: string): Promise<void>;
  /** Removes for good what was put aside long ago, and what imports left behind. */
  tidy(): Promise<void>;
  /** Copies on the host itself; undefined if it keeps none. */
  readonly cache?: ImageCache;
}

/** An import puts its file there before anybody can have heard of it. */
const youngMs = 10 * 60_000;
const asideMs = 24 * 3_600_000;

export function imageStore(directory: string, clock: Clock): ImageStore {
  const aside = join(directory, 'removed');
  const claims = join(directory, 'clusters');
  const find = async (digest: string): Promise<string> => {
    const path = join(directory, digest);
    if (!(await isThere(path)) && !(await putBack(join(aside, digest), path)))
      throw new Error(`The image ${digest} is not in the store ${directory}`);
    return path;
  };
  return {
    find,
    restore: async (digest) => void (await find(digest)),
    places: (digest) => [join(directory, digest)],
    kept: async () => await namesIn(join(directory, 'snapshots')),
    async digests() {
      const files = await readdir(directory).catch(() => undefined);
      return files?.filter((name) => digestPattern.test(name));
    },
    async claim(cluster) {
      if (await isThere(join(claims, cluster))) return;
      await mkdir(claims, { recursive: true, mode: 0o755 });
      await writeFile(join(claims, cluster), '');
    },
    async discard(digest, cluster) {
      const others = (await readdir(claims)).filter((name) => name !== cluster);
      if (others.length > 0)
        throw new Error(
          `Nothing is removed from the store ${directory}: clusters with other frameworks use it (${others.join(', ')}, files in ${claims})`,
        );
      await putAside(join(directory, digest), aside, digest, clock.now());
    },
    async tidy() {
      await removeForgotten(join(directory, 'incoming'), clock.now());
      for (const name of await readdir(aside).catch(() => [])) {
        const path = join(aside, name);
        const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
        if (mtimeMs < clock.now() - asideMs) await rm(path, { force: true });
      }
    },
  };
}

/** What the files of a directory say that is a digest; nothing if there is none. */
async function namesIn(directory: string): Promise<readonly string[]> {
  const unlessGone = (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  };
  const files = (await readdir(directory).catch(unlessGone)) ?? [];
  const texts = await Promise.all(files.map((name) => readFile(join(directory, name), 'utf8').catch(unlessGone)));
  return texts.flatMap((text) => (text !== undefined && digestPattern.test(text.trim()) ? [text.trim()] : []));
}

/** Another host may do the same meanwhile. */
async function putBack(from: string, path: string): Promise<boolean> {
  await rename(from, path).catch(() => undefined);
  return await isThere(path);
}

/** An import may put the same bytes there at any moment: what came since it was looked at goes back. */
async function putAside(path: string, aside: string, digest: string, nowMs: number): Promise<void> {
  const before = await stat(path).catch(() => undefined);
  if (!before || before.ctimeMs > nowMs - youngMs) return;
  await mkdir(aside, { recursive: true, mode: 0o700 });
  const away = join(aside, digest);
  await rename(path, away);
  await using file = await open(away, 'r');
  const { ino } = await file.stat();
  if (ino !== before.ino) await rename(away, path);
  // From now on a day is counted.
  else await utimes(away, nowMs / 1000, nowMs / 1000);
}

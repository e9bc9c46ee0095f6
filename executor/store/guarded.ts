/**
 * The images of a mount that may hang: nothing is asked of one that is known not to answer, and what is asked often is asked by a program with
 * a deadline, so that the executor goes on whatever becomes of it.
 */
import { join } from 'node:path';
import { digestPattern } from '#lib/api/image-digests.ts';
import type { StorageReport } from '#lib/api/messages.ts';
import type { ImageStore } from '../images/store.ts';
import { type Abandonable, startAbandonable } from '../volumes/abandon.ts';
import type { StoreWatch } from './watch.ts';

const answerMs = 10_000;

/** `plain` serves where the images are on the host's own disk. */
export function guardedStore(directory: string, plain: ImageStore, watches: readonly StoreWatch[]): ImageStore {
  let stuck: Abandonable | undefined;
  // All else answers for itself, and sooner than the next look knows.
  const report = (): StorageReport | undefined =>
    watches.map((watch) => watch.report).find(({ reason }) => reason === 'Hung' || reason === 'MountFailed');
  const isRemote = () => watches.some((watch) => watch.isRemote);

  /** Its standard output; undefined if it failed. Throws if the store does not answer. */
  async function ask(program: string, ...args: readonly string[]): Promise<string | undefined> {
    const silent = () => new Error(`The store of images ${directory} does not answer`);
    if (stuck && !stuck.isOver()) throw silent();
    const asked = startAbandonable(program, args, { deadlineMs: answerMs });
    const ended = await asked.ended;
    if (ended === undefined) stuck = asked;
    if (ended === undefined) throw silent();
    return ended.status === 0 ? ended.stdout : undefined;
  }

  function requireUsable(): void {
    const bad = report();
    if (bad) throw new Error(bad.message);
  }

  /** Throws unless the store answers at this moment. What follows is seldom done, and may be lost with the mount. */
  async function requireAnswer(): Promise<void> {
    requireUsable();
    if (isRemote()) await ask('stat', '--format=%i', directory);
  }

  return {
    ...plain,
    async find(digest) {
      requireUsable();
      const path = join(directory, digest);
      if (isRemote() && (await ask('stat', '--format=%s', path)) !== undefined) return path;
      return await plain.find(digest);
    },
    async restore(digest) {
      await requireAnswer();
      await plain.restore(digest);
    },
    async kept() {
      await requireAnswer();
      return await plain.kept();
    },
    async digests() {
      if (report()) return undefined;
      if (!isRemote()) return await plain.digests();
      const names = await ask('ls', '--almost-all', '-U', directory).catch(() => undefined);
      return names?.split('\n').filter((name) => digestPattern.test(name));
    },
    async claim(cluster) {
      await requireAnswer();
      await plain.claim(cluster);
    },
    async discard(digest, cluster) {
      await requireAnswer();
      await plain.discard(digest, cluster);
    },
    async tidy() {
      await requireAnswer();
      await plain.tidy();
    },
  };
}

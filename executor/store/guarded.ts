/**
 * The images of a mount that may hang: nothing is asked of one that is known not to answer, and what is asked is asked by a program with a
 * deadline, so that the executor goes on whatever becomes of it.
 */
import { join } from 'node:path';
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

  return {
    async find(digest) {
      const bad = report();
      if (bad) throw new Error(bad.message);
      if (!isRemote()) return await plain.find(digest);
      const path = join(directory, digest);
      if ((await ask('stat', '--format=%s', path)) !== undefined) return path;
      throw new Error(`The image ${digest} is not in the store ${directory}`);
    },
    async digests() {
      if (report()) return [];
      if (!isRemote()) return await plain.digests();
      const names = await ask('ls', '--almost-all', '-U', directory).catch(() => undefined);
      return (names ?? '').split('\n').filter((name) => /^[0-9a-f]{64}$/.test(name));
    },
  };
}

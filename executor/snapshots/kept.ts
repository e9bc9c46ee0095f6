/**
 * What snapshots leave in the image store: the file under its digest, on which machines stand as on any image, and `snapshots/<uid>` with that
 * digest in it, which is there first. By it everything of a snapshot is found, wherever a worker was killed; and since the uid is written into
 * the file, no image and no other snapshot ever has the same digest.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '#lib/std/files.ts';

const digestPattern = /^[0-9a-f]{64}$/;

export interface Staged {
  /** Exists, and is empty. */
  readonly file: string;
  /** Puts the file into the store. */
  publish(signal: AbortSignal): Promise<{ readonly digest: string; readonly size: number }>;
}

/** Whatever an earlier try left is removed. */
export async function stage(imageStore: string, snapshot: string): Promise<Staged> {
  await discard(imageStore, snapshot);
  const directory = stagingOf(imageStore, snapshot);
  await mkdir(join(imageStore, 'incoming'), { recursive: true, mode: 0o700 });
  await mkdir(directory);
  const file = join(directory, 'canonical');
  // As images are: QEMU's user reads them.
  await (await open(file, 'wx', 0o644)).close();
  return { file, publish: (signal) => publish(imageStore, snapshot, file, signal) };
}

async function publish(imageStore: string, snapshot: string, file: string, signal: AbortSignal) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { signal, highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  const digest = hash.digest('hex');
  const { size } = await stat(file);
  await mkdir(join(imageStore, 'snapshots'), { recursive: true, mode: 0o700 });
  signal.throwIfAborted();
  writeFileAtomic(markOf(imageStore, snapshot), digest);
  await rename(file, join(imageStore, digest));
  // A snapshot that is Ready must not vanish with a power cut.
  await using directory = await open(imageStore, 'r');
  await directory.sync();
  await rm(stagingOf(imageStore, snapshot), { recursive: true, force: true });
  return { digest, size };
}

/** Removes all that there is of it; nothing if there is nothing. The mark last: it is what the rest is found by. */
export async function discard(imageStore: string, snapshot: string): Promise<void> {
  await rm(stagingOf(imageStore, snapshot), { recursive: true, force: true });
  const mark = markOf(imageStore, snapshot);
  const digest = await readFile(mark, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  if (digestPattern.test(digest)) await rm(join(imageStore, digest), { force: true });
  await rm(mark, { force: true });
}

function stagingOf(imageStore: string, snapshot: string): string {
  return join(imageStore, 'incoming', `snapshot-${requireUuid(snapshot)}`);
}

function markOf(imageStore: string, snapshot: string): string {
  return join(imageStore, 'snapshots', requireUuid(snapshot));
}

/** It becomes the name of a file. */
function requireUuid(uid: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uid))
    throw new TypeError(`Cannot keep a snapshot named ${JSON.stringify(uid)}: not a UUID`);
  return uid;
}

/**
 * Where an import's files are before its image is in the store: `incoming/<task>/` while a task works on it, `incoming/<uid>/` between
 * two tries (`incoming/<uid>-<cluster>/` if they are uploaded). The next try goes on with what the last one fetched, on whichever host of the cluster; only one can take it over.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageImport } from '#lib/api/launch.ts';
import { writeFileAtomic } from '#lib/std/files.ts';

/** Of an import whose host is gone nobody comes back for the rest. */
const forgottenMs = 24 * 3_600_000;

/** What is known of the part that was fetched. */
export interface Progress {
  /** These first bytes of the file are on the disk. */
  readonly received: number;
  /** The server's strong validator for them; without it nothing can be added to them. */
  readonly etag?: string;
  readonly total?: number;
  /** Where they came from after all redirects, without what may be a secret. */
  readonly url?: string;
  /** So often the whole source had another checksum than the image's. */
  readonly mismatches: number;
  /** They were uploaded (uploads.ts): the sha256 of the whole file, as whoever sends it has announced it. Then `total` is known as well. */
  readonly sha256?: string;
}

const nothing: Progress = { received: 0, mismatches: 0 };

/** Directory of what is fetched, or sent, for images that are not in the store yet. */
export const incomingIn = (imageStore: string): string => join(imageStore, 'incoming');
/** Name of the directory of what is uploaded for an Image. Of one cluster: if others have the store too, each is sent the file by itself. */
export function uploadName(uid: string, cluster: string): string {
  return `${uid}-${createHash('sha256').update(cluster).digest('hex').slice(0, 8)}`;
}

export const sourceIn = (directory: string): string => join(directory, 'source');
const stateIn = (directory: string): string => join(directory, 'state.json');

/** What is known of the files in `directory`, which need not be there. */
export async function readProgress(directory: string): Promise<Progress> {
  const text = await readFile(stateIn(directory), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return text === undefined ? nothing : (JSON.parse(text) as Progress);
}

export function writeProgress(directory: string, progress: Progress): void {
  writeFileAtomic(stateIn(directory), JSON.stringify(progress));
}

export interface Staging {
  /** The bytes as fetched. */
  readonly source: string;
  /** The disk that was packed in them. */
  readonly unpacked: string;
  /** As it will be in the store. */
  readonly canonical: string;
  progress(): Promise<Progress>;
  /** To be called when the bytes are on the disk. */
  keep(progress: Progress): void;
  /** Leaves what was fetched to the next try. */
  park(): Promise<void>;
  remove(): Promise<void>;
}

export interface StagingOptions {
  readonly imageStore: string;
  /** What tells this cluster from others that have the store too. */
  readonly cluster: string;
  readonly nowMs: number;
}

/** Takes over what an earlier try of the same image left, or what was uploaded, and removes what nobody has touched for a day. */
export async function openStaging(
  launch: ImageImport,
  { imageStore, cluster, nowMs }: StagingOptions,
): Promise<Staging> {
  const incoming = incomingIn(imageStore);
  // The bytes of all tenants pass here.
  await mkdir(incoming, { recursive: true, mode: 0o700 });
  await removeForgotten(incoming, nowMs);
  const own = join(incoming, launch.taskId);
  const parked = join(incoming, launch.source.upload ? uploadName(launch.uid, cluster) : launch.uid);
  if (!(await takeOver(parked, own))) await mkdir(own, { recursive: true });
  const inOwn = (name: string): string => join(own, name);
  return {
    source: sourceIn(own),
    unpacked: inOwn('unpacked'),
    canonical: inOwn('canonical'),
    progress: async () => await readProgress(own),
    keep: (progress) => writeProgress(own, progress),
    async park() {
      await Promise.all(['unpacked', 'canonical'].map((name) => rm(inOwn(name), { force: true })));
      await rm(parked, { recursive: true, force: true });
      await rename(own, parked);
    },
    remove: () => rm(own, { recursive: true, force: true }),
  };
}

/** False if there is nothing, or this task has files of its own: its worker was killed. */
async function takeOver(parked: string, own: string): Promise<boolean> {
  try {
    await rename(parked, own);
    return true;
  } catch (error) {
    if (['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

/** Removes what nobody has touched for a day. */
export async function removeForgotten(incoming: string, nowMs: number): Promise<void> {
  for (const name of await readdir(incoming).catch(() => [])) {
    const path = join(incoming, name);
    const files = await readdir(path).catch(() => []);
    const times = await Promise.all([path, ...files.map((file) => join(path, file))].map(touchedMs));
    if (Math.max(...times) < nowMs - forgottenMs) await rm(path, { recursive: true, force: true });
  }
}

/** What vanishes meanwhile is somebody's who works on it. */
async function touchedMs(path: string): Promise<number> {
  return await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => Number.POSITIVE_INFINITY,
  );
}

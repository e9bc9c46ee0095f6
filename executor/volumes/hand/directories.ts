/** The directory of a Volume. Every step is safe to repeat after a kill anywhere between two; the marker is written last. */
import { randomUUID } from 'node:crypto';
import { access, type FileHandle, link, mkdir, open, readFile, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, TerminalError } from '#lib/std/errors.ts';
import { requireAlone } from '../../disks/header.ts';
import { createDisk } from '../../images/qemu-img.ts';
import { VolumeError } from '../errors.ts';
import { onVolume, type VolumeSpec } from '../layout.ts';

type Marker = Pick<VolumeSpec, 'uid' | 'installation' | 'type'>;

/** The directory without its marker: quota is set on it before anybody may use it. */
export async function makeDirectory(root: string, { uid, type }: VolumeSpec): Promise<void> {
  await mkdir(join(root, type === 'Disk' ? onVolume.writers(uid) : onVolume.data(uid)), { recursive: true });
}

/** The disk, and with it or, for a shared directory, once its quota is in force, the marker. */
export async function makeDisk(root: string, spec: VolumeSpec): Promise<void> {
  const { uid, installation, type, bytes } = spec;
  if (type === 'Disk') await makeImage(join(root, onVolume.disk(uid)), bytes);
  else await requireQuota(join(root, onVolume.directory(uid)), bytes);
  const marker = JSON.stringify({ uid, installation, type } satisfies Marker);
  await makeOnce(join(root, onVolume.marker(uid)), async (file) => await file.writeFile(marker));
}

/** Throws VolumeError unless this is the Volume's own directory, complete. */
export async function requireVolume(root: string, spec: VolumeSpec): Promise<void> {
  const { uid, installation, type, bytes } = spec;
  const marker = JSON.parse(await readFile(join(root, onVolume.marker(uid)), 'utf8').catch(absent(uid))) as Marker;
  if (marker.uid !== uid || marker.installation !== installation || marker.type !== type)
    throw new VolumeError(
      'NotProvisioned',
      `The directory of the Volume ${uid} belongs to another: ${JSON.stringify(marker)}`,
    );
  if (type === 'SharedFilesystem') await requireQuota(join(root, onVolume.data(uid)), bytes);
  else await requireOwnFile(join(root, onVolume.disk(uid)), uid).catch(absent(uid));
}

/** A guest that had it may have written another file's name into its header. */
async function requireOwnFile(path: string, uid: string): Promise<void> {
  try {
    await requireAlone({ name: uid, path });
  } catch (error) {
    if (!(error instanceof TerminalError)) throw error;
    const message = `The disk of the Volume ${uid} was not opened: ${messageOf(error.cause)}. A machine that had it has changed its header`;
    throw new VolumeError('VolumeFailed', message, { cause: error });
  }
}

/** Bytes that each of these takes; without those that are not there. */
export async function usageOf(root: string, uids: readonly string[]): Promise<Readonly<Record<string, number>>> {
  const entries = await Promise.all(
    uids.map(async (uid) => {
      const used = (await usedOfDisk(join(root, onVolume.disk(uid)))) ?? (await usedOf(join(root, onVolume.data(uid))));
      return used === undefined ? [] : [[uid, used] as const];
    }),
  );
  return Object.fromEntries(entries.flat());
}

async function usedOfDisk(path: string): Promise<number | undefined> {
  return await stat(path).then(({ blocks }) => blocks * 512, unlessThere);
}

async function usedOf(directory: string): Promise<number | undefined> {
  return await statfs(directory).then(({ blocks, bsize, bfree }) => (blocks - bfree) * bsize, unlessThere);
}

function unlessThere(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

function absent(uid: string): (cause: NodeJS.ErrnoException) => never {
  return (cause) => {
    if (cause.code !== 'ENOENT') throw cause;
    throw new VolumeError(
      'NotProvisioned',
      `The Volume ${uid} is not on the Gluster volume: it was never made there, or is lost`,
      {
        cause,
      },
    );
  };
}

/** Everything of it, for good. The marker goes first, so that what is half removed is no Volume. */
export async function removeVolume(root: string, { uid }: { readonly uid: string }): Promise<void> {
  await rm(join(root, onVolume.marker(uid)), { force: true });
  await rm(join(root, onVolume.directory(uid)), { recursive: true, force: true });
}

/** Gluster tells of a directory with a quota as of a file system of that size. */
async function requireQuota(directory: string, bytes: number): Promise<void> {
  const { blocks, bsize } = await statfs(directory);
  if (Math.abs(blocks * bsize - bytes) > bsize)
    throw new VolumeError('QuotaFailed', `Gluster enforces ${blocks * bsize} bytes on the volume, not ${bytes}`);
}

async function makeImage(path: string, bytes: number): Promise<void> {
  await makeOnce(path, async (file) => await createDisk(file, bytes));
}

/**
 * Two hosts may be at it: each makes a file of its own, and the first to give it the name has made it. What is there is never replaced: who
 * has it open on another host would lose it.
 */
async function makeOnce(path: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
  if (await isThere(path)) return;
  const draft = `${path}.${randomUUID()}`;
  try {
    await using file = await open(draft, 'wx', 0o600);
    await fill(file);
    await file.sync();
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

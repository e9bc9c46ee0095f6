/** The directory of a Volume. Every step is safe to repeat after a kill anywhere between two; the marker is written last. */
import { randomUUID } from 'node:crypto';
import { access, type FileHandle, link, mkdir, open, readdir, readFile, rm, stat, statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { messageOf } from '#lib/std/errors.ts';
import { checkQcow2, headAt } from '../../images/qcow2-header.ts';
import { createDisk, resizeQcow2 } from '../../images/qemu-img.ts';
import { removeTree } from '../../remove-tree.ts';
import { VolumeError } from '../errors.ts';
import { onVolume, type VolumeSpec } from '../layout.ts';

type Marker = Pick<VolumeSpec, 'uid' | 'installation' | 'type'>;

/** The directory without its marker: quota is set on it before anybody may use it. */
export async function makeDirectory(root: string, { uid, type }: VolumeSpec): Promise<void> {
  await mkdir(join(root, type === 'Disk' ? onVolume.writers(uid) : onVolume.data(uid)), { recursive: true });
}

/** Before a quota is set: what is wanted. The largest size that was ever wanted, which is what is to be set. */
export async function wantSize(root: string, { uid, bytes }: VolumeSpec): Promise<number> {
  await mkdir(join(root, onVolume.sizes(uid)), { recursive: true });
  await makeOnce(join(root, onVolume.size(uid, bytes)), async () => {});
  return (await sizeWanted(root, uid)) ?? bytes;
}

/** undefined: of a directory that was made before it could grow. */
async function sizeWanted(root: string, uid: string): Promise<number | undefined> {
  const names = (await readdir(join(root, onVolume.sizes(uid))).catch(unlessThere)) ?? [];
  const sizes = names.filter((name) => /^\d+$/.test(name)).map(Number);
  return sizes.length > 0 ? Math.max(...sizes) : undefined;
}

/** The disk, and with it or, for a shared directory, once its quota is in force, the marker. Its size then. */
export async function makeDisk(root: string, spec: VolumeSpec): Promise<number> {
  const { uid, installation, type, bytes } = spec;
  if (type === 'Disk') await makeImage(join(root, onVolume.disk(uid)), bytes);
  else await requireQuota(join(root, onVolume.directory(uid)), (await sizeWanted(root, uid)) ?? bytes);
  const marker = JSON.stringify({ uid, installation, type } satisfies Marker);
  await makeOnce(join(root, onVolume.marker(uid)), async (file) => await file.writeFile(marker));
  return type === 'Disk' ? await growUnused(root, spec) : (await requireVolume(root, spec)).bytes;
}

/** A disk that a machine ever had stays as it is: that may have it open, on any host. */
async function growUnused(root: string, { uid }: VolumeSpec): Promise<number> {
  if ((await readdir(join(root, onVolume.writers(uid)))).length === 0) await growDisk(root, { uid });
  return await soundSize(uid, join(root, onVolume.disk(uid)));
}

/**
 * Throws VolumeError unless this is the Volume's own directory, complete. Its size, which may be another than `spec` has: a machine was told the
 * one of its launch, and the Volume may have grown since. `wanted` is more for a disk that is to grow when it is started next.
 */
export async function requireVolume(
  root: string,
  spec: VolumeSpec,
): Promise<{ readonly bytes: number; readonly wanted: number }> {
  const { uid, installation, type, bytes } = spec;
  const marker = JSON.parse(await readFile(join(root, onVolume.marker(uid)), 'utf8').catch(absent(uid))) as Marker;
  if (marker.uid !== uid || marker.installation !== installation || marker.type !== type)
    throw new VolumeError(
      'NotProvisioned',
      `The directory of the Volume ${uid} belongs to another: ${JSON.stringify(marker)}`,
    );
  const wanted = await sizeWanted(root, uid);
  if (type === 'Disk') {
    const there = await soundSize(uid, join(root, onVolume.disk(uid)));
    return { bytes: there, wanted: wanted ?? there };
  }
  const there = wanted ?? bytes;
  await requireQuota(join(root, onVolume.data(uid)), there);
  return { bytes: there, wanted: there };
}

/**
 * Makes a disk as large as is wanted. Nobody may have it open: to be called by who has its token, or before anybody had one. What a machine sees
 * of it changes with its next QEMU.
 */
export async function growDisk(root: string, { uid }: { readonly uid: string }): Promise<void> {
  const path = join(root, onVolume.disk(uid));
  const wanted = await sizeWanted(root, uid);
  if (wanted === undefined || (await soundSize(uid, path)) >= wanted) return;
  await using file = await open(path, 'r+');
  await resizeQcow2(file, wanted);
  await file.sync();
}

/**
 * The size of a disk as guests see it. A QEMU that its guest had taken over could have written the header, and the next one would open what that
 * names.
 */
async function soundSize(uid: string, path: string): Promise<number> {
  const head = await headAt(path).catch(absent(uid));
  try {
    return checkQcow2(head);
  } catch (cause) {
    throw new VolumeError(
      'BadDisk',
      `The disk of the Volume ${uid} is not used, for something in a machine changed what only hosts write (${messageOf(cause)})`,
      { cause },
    );
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

/**
 * Everything of it, for good. The marker goes first, so that what is half removed is no Volume. A guest on a host that nobody reaches may still
 * write into its directory.
 */
export async function removeVolume(root: string, { uid }: { readonly uid: string }): Promise<void> {
  await rm(join(root, onVolume.marker(uid)), { force: true });
  for (const path of [onVolume.directory(uid), onVolume.sizes(uid)])
    await removeTree(join(root, onVolume.all), basename(path));
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

export async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

/**
 * Copies of a machine's root disk, in its own directory. What is copied was written by a guest, and perhaps by a QEMU that a guest had taken
 * over: what a copy stands on is read from its header by us and compared with what the machine was made of, before a program of QEMU's sees
 * it; and that program gets open files, and neither a name nor a format to guess.
 */
import { constants, createReadStream, createWriteStream } from 'node:fs';
import { copyFile, open, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { DiskCopies, DiskCopy, MachineDisks } from '../hypervisor.ts';
import { checkQcow2, headOf } from '../images/qcow2-header.ts';
import { flattenQcow2, resizeQcow2 } from '../images/qemu-img.ts';
import { roomFor } from '../images/room.ts';
import { machineDirectory, rootDiskOf } from './disks.ts';
import { readOwnDisk } from './own-disk.ts';

const copyName = 'snapshot.qcow2';
const restoreName = 'restore.qcow2';
/** Beyond header and extensions of version 2, before the first cluster of tables: nothing of qcow2's is there. */
const markAt = 32_768;
/** Of the host's disk, for the guests that run on it. */
const spareShare = 0.05;
const tablesBytes = 64 * 2 ** 20;

export function diskCopies(root: string): DiskCopies {
  const inDirectory = (uid: string, name: string): string => join(machineDirectory(root, uid), name);
  const disk = (uid: string): string => rootDiskOf(root, uid);
  const copyOf = (uid: string): string => inDirectory(uid, copyName);
  return {
    fileFor: copyOf,
    requireRoom: async (uid, image) => await requireRoom(disk(uid), image),
    async copy(uid, signal) {
      await rm(copyOf(uid), { force: true });
      await copyAs(disk(uid), copyOf(uid), signal);
    },
    flatten: async (copy, file, limits) => await flatten(copyOf(copy.uid), copy, file, limits),
    async prepare(uid, source, bytes, signal) {
      const file = inDirectory(uid, restoreName);
      await rm(file, { force: true });
      await requireFree(dirname(file), (await stat(source)).size);
      await copyAs(source, file, signal);
      await using handle = await open(file, 'r+');
      if (checkQcow2(await headOf(handle)) < bytes) await resizeQcow2(handle, bytes);
      await handle.sync();
    },
    async replace(uid) {
      await rename(inDirectory(uid, restoreName), disk(uid));
      await using directory = await open(dirname(disk(uid)), 'r');
      await directory.sync();
    },
    async clear(uid) {
      for (const name of [copyName, restoreName]) await rm(inDirectory(uid, name), { force: true });
    },
  };
}

/** A copy takes at most what the disk and its image take. A guest that found its host's disk full would stop. */
async function requireRoom(disk: string, image: MachineDisks['image']): Promise<void> {
  const [own, below] = await Promise.all([stat(disk), stat(image.path)]);
  await requireFree(dirname(disk), own.size + below.size + tablesBytes);
}

async function requireFree(directory: string, needed: number): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(directory);
  const free = Math.floor((bavail - blocks * spareShare) * bsize);
  if (free < needed)
    throw new Error(`The host has ${free} bytes to spare for a copy of the disk, which may need ${needed}`);
}

/** Readable by root alone from the first byte. In no time where the file system shares blocks. */
async function copyAs(source: string, file: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  try {
    await copyFile(source, file, constants.COPYFILE_FICLONE_FORCE);
    await using handle = await open(file, 'r+');
    await handle.chmod(0o600);
    return;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EINVAL', 'ENOTTY'].includes(code)) throw error;
    await rm(file, { force: true });
  }
  const chunk = { highWaterMark: 2 ** 20 };
  await pipeline(createReadStream(source, chunk), createWriteStream(file, { flags: 'wx', mode: 0o600 }), { signal });
}

async function flatten(
  path: string,
  { snapshot, image, whole }: DiskCopy,
  file: string,
  { deadlineMs, signal }: { readonly deadlineMs: number; readonly signal: AbortSignal },
): Promise<number> {
  await using source = await open(path, 'r');
  const { backing, virtualSize } = whole
    ? { backing: undefined, virtualSize: checkQcow2(await headOf(source)) }
    : await readOwnDisk(path, { paths: [image.path], format: image.format });
  await using base = backing === undefined ? undefined : await open(backing, 'r');
  const room = await roomFor(dirname(file), virtualSize);
  await using output = await open(file, 'r+');
  await flattenQcow2(
    { source, ...(base ? { base: { file: base, format: image.format } } : {}), output },
    { room, deadlineMs, signal },
  );
  const made = checkQcow2(await headOf(output));
  if (made !== virtualSize) throw new Error(`qemu-img made a disk of ${made} bytes of one of ${virtualSize}`);
  await output.write(snapshot, markAt);
  await output.sync();
  return virtualSize;
}

/** Copies of imitated disks: small files of JSON, handled as the real ones are. */
import { constants } from 'node:fs';
import { copyFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { notAlone } from '../disks/own-disk.ts';
import type { DataDisk, DiskCopies } from '../hypervisor.ts';

export interface SimDisk {
  readonly backing?: { readonly path: string };
  readonly virtualSize: number;
}

export function simCopies(directoryOf: (uid: string) => string): DiskCopies {
  const file = (uid: string, name: string): string => join(directoryOf(uid), name);
  const copyOf = (uid: string): string => file(uid, 'snapshot.qcow2');
  const restored = (uid: string): string => file(uid, 'restore.qcow2');
  const disk = (uid: string): string => file(uid, 'root.qcow2');
  return {
    fileFor: copyOf,
    requireRoom: async () => undefined,
    async copy(uid, signal) {
      signal.throwIfAborted();
      await copyFile(disk(uid), copyOf(uid));
    },
    async flatten({ uid, snapshot }, into) {
      const { backing: _, ...own } = JSON.parse(await readFile(copyOf(uid), 'utf8')) as SimDisk;
      await writeFile(into, JSON.stringify({ ...own, snapshot }));
      return own.virtualSize;
    },
    async prepare(uid, source, bytes) {
      const own = JSON.parse(await readFile(source, 'utf8')) as SimDisk;
      await writeFile(restored(uid), JSON.stringify({ ...own, virtualSize: Math.max(own.virtualSize, bytes) }));
    },
    replace: async (uid) => await rename(restored(uid), disk(uid)),
    async clear(uid) {
      for (const path of [copyOf(uid), restored(uid)]) await rm(path, { force: true });
    },
  };
}

/** As disks/own-disk.ts of a real one. */
export async function requireSimAlone({ name, path }: DataDisk): Promise<void> {
  const { backing } = JSON.parse(await readFile(path, 'utf8')) as SimDisk;
  if (backing) throw notAlone(name, `it stands on ${backing.path}`);
}

/** What the imitated hypervisor does for `copyDisk`. */
export async function copySimDisk(disk: string, into: string): Promise<void> {
  await copyFile(disk, into, constants.COPYFILE_EXCL);
}

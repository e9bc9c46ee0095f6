/**
 * What the disks of machines really stand on: read from the header of each qcow2 file in their directories with a strict reader of our own.
 * Nobody's records are asked. A chain is followed through the directory only: elsewhere nothing is opened that a header names, since a
 * guest that has taken over its QEMU could write into it what it likes.
 */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readBackingFile } from '../libvirt/backing-file.ts';
import { machineDirectory } from './disks.ts';

const magic = Buffer.from('QFI\xfb', 'latin1');

/** Throws if a file cannot be read. */
export async function backingsOf(root: string, uids: readonly string[]): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const uid of uids) {
    const directory = machineDirectory(root, uid);
    for (const name of await qcow2Files(directory)) {
      const backing = await unlessGone(readBackingFile(join(directory, name)));
      if (backing) found.add(backing.path);
    }
  }
  return [...found];
}

/** What is being made has another name, and stands on nothing yet that it could not do without. */
async function qcow2Files(directory: string): Promise<readonly string[]> {
  const entries = await unlessGone(readdir(directory, { withFileTypes: true }));
  const names = (entries ?? []).filter((entry) => entry.isFile() && !entry.name.endsWith('.tmp'));
  const kept = await Promise.all(
    names.map(async ({ name }) => (name === 'root.qcow2' || (await isQcow2(join(directory, name))) ? [name] : [])),
  );
  return kept.flat();
}

async function isQcow2(path: string): Promise<boolean> {
  const handle = await unlessGone(open(path, 'r'));
  if (!handle) return false;
  await using file = handle;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(magic.length), 0, magic.length, 0);
  return bytesRead === magic.length && buffer.equals(magic);
}

/** A machine may go while it is looked at. */
async function unlessGone<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

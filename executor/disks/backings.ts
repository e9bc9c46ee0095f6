/**
 * What the disks of machines really stand on: read from the headers of all qcow2 files in their directories, down to the bottom of each
 * chain, with a strict reader of our own. Nobody's records are asked.
 */
import { open, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { digestPattern } from '#lib/api/image-digests.ts';
import { readBackingFile } from '../libvirt/backing-file.ts';
import { machineDirectory } from './disks.ts';

const magic = Buffer.from('QFI\xfb', 'latin1');
/** Ours have a few. One that goes on has been tampered with. */
const chainMax = 64;

/** Throws if a file cannot be read. */
export async function backingsOf(root: string, uids: readonly string[]): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const uid of uids) {
    const directory = machineDirectory(root, uid);
    for (const name of await qcow2Files(directory)) await follow(join(directory, name), found);
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

async function follow(disk: string, found: Set<string>): Promise<void> {
  let path = disk;
  for (let depth = 0; depth < chainMax; depth++) {
    const backing = await unlessGone(readBackingFile(path));
    if (!backing || found.has(backing.path)) return;
    found.add(backing.path);
    // An image stands on nothing, and may lie on a mount that does not answer.
    if (backing.format === 'raw' || digestPattern.test(basename(backing.path))) return;
    path = backing.path;
  }
  throw new Error(`The chain of files under ${disk} has no end`);
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

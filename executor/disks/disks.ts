/**
 * A machine's disks in its own directory: `root.qcow2`, an overlay on the image, `disk-<name>.qcow2`, its data disks, and `seed.iso`, its seed. Each file is made
 * under another name and renamed when it is whole: what has the right name is complete, whenever the executor was killed.
 */
import { randomUUID } from 'node:crypto';
import { access, mkdir, open, readdir, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { consolePaths } from '../console/paths.ts';
import type { DataDisk, MachineDisks, MadeDisks } from '../hypervisor.ts';
import { checkQcow2, headAt } from '../images/qcow2-header.ts';
import { createDisk, createOverlay } from '../images/qemu-img.ts';
import { readBackingFile } from '../libvirt/backing-file.ts';
import { runCommand } from '../libvirt/command.ts';
import { removeTree } from '../remove-tree.ts';
import { makeIso } from '../seed/iso.ts';
import type { Seed } from '../seed/seed.ts';

const seedName = 'seed.iso';
const diskMs = 5_000;
const uidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Throws a TypeError for what is no UUID: it becomes the name of a directory. */
export function machineDirectory(root: string, uid: string): string {
  if (!uidPattern.test(uid))
    throw new TypeError(`Cannot make a directory for the machine ${JSON.stringify(uid)}: not a UUID`);
  return join(root, 'vms', uid);
}

export function rootDiskOf(root: string, uid: string): string {
  return join(machineDirectory(root, uid), 'root.qcow2');
}

/**
 * Makes what is missing. A disk that exists is kept as it is, also in its size: it holds the machine's data. The seed is made anew if it is
 * given; else it must be there, and throws if it is not.
 */
export async function makeDisks(root: string, machine: MachineDisks): Promise<MadeDisks> {
  const directory = await openDirectory(root, machine.uid);
  // libvirt makes the console's socket, but not its folder.
  await mkdir(dirname(consolePaths(root, machine.uid).consoleSocket), { recursive: true, mode: 0o755 });
  const rootDisk = rootDiskOf(root, machine.uid);
  if (!(await exists(rootDisk))) await whole(rootDisk, (file) => makeOverlay(file, machine));
  const dataDisks: DataDisk[] = [];
  for (const { bytes, ...disk } of machine.disks ?? []) {
    const path = join(directory, dataDiskName(disk.name));
    if (!(await exists(path))) await whole(path, (file) => makeDataDisk(file, bytes));
    dataDisks.push({ ...disk, path });
  }
  if (machine.seed) await makeSeed(root, machine.uid, machine.seed);
  const seedDisk = join(directory, seedName);
  await access(seedDisk).catch((cause) => {
    throw new Error(`The seed of machine ${machine.uid} is gone, and its secrets are not here to make it anew`, {
      cause,
    });
  });
  return { rootDisk, dataDisks, seedDisk };
}

/** Throws a TypeError for what would be another file. */
function dataDiskName(name: string): string {
  if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name))
    throw new TypeError(`Cannot make a data disk named ${JSON.stringify(name)}`);
  return `disk-${name}.qcow2`;
}

/** What it held before is replaced. */
export async function makeSeed(root: string, uid: string, seed: Seed): Promise<void> {
  const directory = await openDirectory(root, uid);
  await whole(join(directory, seedName), (file) => makeIso(file, seed));
}

async function openDirectory(root: string, uid: string): Promise<string> {
  const directory = machineDirectory(root, uid);
  await mkdir(directory, { recursive: true, mode: 0o755 });
  await removeUnfinished(directory);
  return directory;
}

/** Throws if the machine's disk, or the image below it, cannot be looked at: what it stands on does not answer. */
export async function requireDisk(root: string, uid: string): Promise<void> {
  const disk = rootDiskOf(root, uid);
  // By a program, which can be given up.
  const look = async (file: string) => await runCommand('stat', ['--cached=never', file], { deadlineMs: diskMs });
  await look(disk);
  const image = await readBackingFile(disk);
  if (image) await look(image.path);
}

/** Removes everything of the machine, its console's log and socket included. Nothing if there is nothing. */
export async function removeDisks(root: string, uid: string): Promise<void> {
  const directory = machineDirectory(root, uid);
  const { consoleSocket, vncSocket } = consolePaths(root, uid);
  // QEMU makes one of the sockets itself, and could have made anything else there.
  for (const path of [consoleSocket, vncSocket, directory]) await removeTree(dirname(path), basename(path));
}

/** uids that have a directory here. */
export async function diskOwners(root: string): Promise<readonly string[]> {
  return (await namesIn(join(root, 'vms'))).filter((name) => uidPattern.test(name));
}

/**
 * The format of the image is said, never guessed: a raw image may begin with bytes that look like another format. What the image was when it was
 * imported it must still be: hosts of others write to the store, too.
 */
async function makeOverlay(file: string, { image, rootDiskBytes }: MachineDisks): Promise<void> {
  await access(image.path).catch((cause) => {
    throw new Error(`Cannot make a disk on the image ${image.path}: it is not there`, { cause });
  });
  if (image.format === 'qcow2') checkQcow2(await headAt(image.path));
  await createOverlay(file, image, rootDiskBytes);
}

async function makeDataDisk(path: string, bytes: number): Promise<void> {
  await using file = await open(path, 'r+');
  await createDisk(file, bytes);
}

async function whole(file: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${file}.${randomUUID()}.tmp`;
  // Disks hold other people's work and seeds their secrets: readable by root from the first byte, and by QEMU's user once libvirt
  // hands them over at the start of the domain. The tools write into the file that is there.
  await writeFile(temporary, '', { mode: 0o600, flag: 'wx' });
  await make(temporary);
  await rename(temporary, file);
}

async function removeUnfinished(directory: string): Promise<void> {
  const unfinished = (await namesIn(directory)).filter((name) => name.endsWith('.tmp'));
  await Promise.all(unfinished.map((name) => removeTree(directory, name)));
}

async function exists(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

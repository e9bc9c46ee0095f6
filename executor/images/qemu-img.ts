/**
 * The only place that runs qemu-img. It never guesses a format, never opens a file by its name (a name with a colon would be read as a
 * protocol), never follows a backing file, and runs behind walls (../confine.ts).
 */
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { changesUser, confinedUser, runConfined } from '../confine.ts';
import { ImportError } from './errors.ts';

const deadlineMs = 30_000;
/** Of a new overlay or disk: its header and tables. */
const overlayBytesMax = 2 ** 26;

export type DiskFormat = 'qcow2' | 'raw';

/** The virtual size as qemu-img sees it; undefined on a host without qemu-img. Throws ImportError if it refuses the file. */
export async function qemuImgSize(path: string, format: DiskFormat, signal?: AbortSignal): Promise<number | undefined> {
  await using file = await open(path, 'r');
  const aborted = signal ? { signal } : {};
  const args = ['info', '--output=json', '-f', format, descriptor(3, format)];
  const info = await qemuImg(args, { files: [file], fileBytes: 0, ...aborted });
  if (info === undefined) return undefined;
  if ('refusal' in info) throw ImportError.refused('UnsupportedFormat', `qemu-img refuses the image: ${info.refusal}`);
  const seen = JSON.parse(info.stdout) as { format?: string; 'virtual-size'?: number; 'backing-filename'?: string };
  if (seen.format !== format || seen['backing-filename'] !== undefined || typeof seen['virtual-size'] !== 'number')
    throw ImportError.refused('UnsupportedFormat', 'qemu-img sees another image in the file than its header says');
  return seen['virtual-size'];
}

/**
 * Makes `file`, which exists and is empty, an overlay on `image` without opening the image: what is in it was checked when it was
 * imported. Throws Error.
 */
export async function createOverlay(
  file: string,
  image: { readonly path: string; readonly format: DiskFormat },
  virtualBytes: number,
): Promise<void> {
  // What begins with a slash is never read as a protocol, by QEMU neither when it opens the overlay.
  if (!isAbsolute(image.path)) throw new TypeError(`Cannot make an overlay on ${image.path}: not an absolute path`);
  await using output = await open(file, 'r+');
  const args = ['-u', '-b', image.path, '-F', image.format];
  await create(output, args, virtualBytes, `the overlay ${file} on ${image.path}`);
}

/** Makes `file`, which is open for writing and empty, a qcow2 disk of zeros. Throws Error. */
export async function createDisk(file: FileHandle, virtualBytes: number): Promise<void> {
  await create(file, [], virtualBytes, `a disk of ${virtualBytes} bytes`);
}

async function create(
  output: FileHandle,
  options: readonly string[],
  virtualBytes: number,
  what: string,
): Promise<void> {
  const owner = await output.stat();
  const other = await changesUser();
  if (other) await output.chown(confinedUser, confinedUser);
  const args = ['-q', '-f', 'qcow2', ...options, '/dev/fd/3', String(virtualBytes)];
  const made = await qemuImg(['create', ...args], { files: [output], fileBytes: overlayBytesMax });
  if (other) await output.chown(owner.uid, owner.gid);
  if (made === undefined) throw new Error(`Cannot make ${what}: the host has no qemu-img`);
  if ('refusal' in made) throw new Error(`Cannot make ${what}: ${made.refusal}`);
}

/** How qemu-img is told of an open descriptor. */
function descriptor(fd: number, format: DiskFormat): string {
  const file = { driver: 'file', filename: `/dev/fd/${fd}` };
  return `json:${JSON.stringify({ driver: format, backing: null, file })}`;
}

/** undefined on a host without qemu-img. */
async function qemuImg(
  args: readonly string[],
  options: { readonly files: readonly FileHandle[]; readonly fileBytes: number; readonly signal?: AbortSignal },
): Promise<{ stdout: string } | { refusal: string } | undefined> {
  const { status, stdout, stderr } = await runConfined('qemu-img', args, { ...options, deadlineMs }).catch((error) => {
    if (error?.code === 'ENOENT') return { status: 127, stdout: '', stderr: '' };
    throw error;
  });
  if (status === 0) return { stdout };
  if (status === 127) return undefined;
  if (status === undefined)
    return { refusal: `it used more time, memory or space than it may ${stderr.trim()}`.trim() };
  return { refusal: stderr.trim().slice(0, 500) };
}

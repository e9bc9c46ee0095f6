/**
 * The only place that runs qemu-img. It never guesses a format, never opens a file by its name (a name with a colon would be read as a
 * protocol), never follows a backing file, and runs behind walls (../confine.ts).
 */
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { type ConfinedOptions, changesUser, confinedUser, runConfined } from '../confine.ts';
import { ImportError } from './errors.ts';
import type { DiskFormat } from './formats.ts';
import type { Room } from './room.ts';

const deadlineMs = 30_000;
/** Of a new overlay or disk: its header and tables. */
const overlayBytesMax = 2 ** 26;

/** What QEMU calls them. */
const drivers: Readonly<Record<DiskFormat, string>> = {
  ...{ qcow2: 'qcow2', raw: 'raw', vmdk: 'vmdk', vhd: 'vpc', vhdx: 'vhdx' },
};

interface Info {
  readonly format?: string;
  readonly 'virtual-size'?: number;
  readonly 'backing-filename'?: string;
  readonly encrypted?: boolean;
}

/** The virtual size as qemu-img sees it; undefined on a host without qemu-img. Throws ImportError if it refuses the file. */
export async function qemuImgSize(path: string, format: DiskFormat, signal?: AbortSignal): Promise<number | undefined> {
  await using file = await open(path, 'r');
  const args = ['info', '--output=json', '-f', drivers[format], descriptor(3, format)];
  const info = await qemuImg(args, { files: [file], fileBytes: 0, deadlineMs, ...(signal ? { signal } : {}) });
  if (info === undefined) return undefined;
  if ('refusal' in info) throw ImportError.refused('UnsupportedFormat', `qemu-img refuses the image: ${info.refusal}`);
  const seen = JSON.parse(info.stdout) as Info;
  const size = seen['virtual-size'];
  if (seen.encrypted) throw ImportError.refused('Encrypted', 'The image is encrypted; decrypt it first');
  if (seen.format !== drivers[format] || seen['backing-filename'] !== undefined || typeof size !== 'number')
    throw ImportError.refused('UnsupportedFormat', 'qemu-img sees another image in the file than its header says');
  return size;
}

export interface ConvertOptions {
  readonly room: Room;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/**
 * Writes the disk in `source` into `file`, which exists and is empty, in the canonical form: the same bytes whatever format it came in,
 * so that hosts which fetched the same disk agree on its digest. Hence one request at a time, and version 2 of qcow2, whose header lists
 * nothing that a later qemu-img adds to. False on a host without qemu-img. Throws ImportError, or the signal's reason.
 */
export async function convertToQcow2(
  source: { readonly path: string; readonly format: DiskFormat },
  file: string,
  options: ConvertOptions,
): Promise<boolean> {
  await using input = await open(source.path, 'r');
  await using output = await open(file, 'r+');
  const args = [
    'convert',
    '-q',
    ...canonicalForm,
    '-f',
    drivers[source.format],
    descriptor(3, source.format),
    '/dev/fd/4',
  ];
  const { room, deadlineMs: withinMs, signal } = options;
  const limits = { fileBytes: room.bytes, deadlineMs: withinMs, signal };
  const done = await lent(output, () => qemuImg(args, { ...limits, files: [input, output] }));
  signal.throwIfAborted();
  if (done === undefined) return false;
  if (!('refusal' in done)) return true;
  if (room.isReached((await output.stat()).size)) throw room.tooLarge('The converted image');
  ImportError.throwIfFull(done.refusal);
  throw ImportError.refused('UnsupportedFormat', `qemu-img cannot convert the image: ${done.refusal}`);
}

/** In version 2 of qcow2: as images are. */
const canonicalForm = ['-m', '1', '-O', 'qcow2', '-o', 'compat=0.10,cluster_size=65536'];

/**
 * Writes what `source` shows of itself and of `base` into `output`, in the canonical form of images. Their headers are not asked what they
 * stand on. All are files that nobody else opens or writes meanwhile, but the base. Throws ImportError, or the signal's reason.
 */
export async function flattenQcow2(
  {
    source,
    base,
    output,
  }: {
    readonly source: FileHandle;
    readonly base?: { readonly file: FileHandle; readonly format: 'qcow2' | 'raw' };
    readonly output: FileHandle;
  },
  { room, deadlineMs: withinMs, signal }: ConvertOptions,
): Promise<void> {
  const below =
    base === undefined
      ? null
      : { driver: base.format, ...(base.format === 'qcow2' && { backing: null }), file: descriptorNode(5) };
  const disk = `json:${JSON.stringify({ driver: 'qcow2', backing: below, file: descriptorNode(3, true) })}`;
  const files = base === undefined ? [source, output] : [source, output, base.file];
  const args = ['convert', '-q', ...canonicalForm, disk, '/dev/fd/4'];
  const limits = { fileBytes: room.bytes, deadlineMs: withinMs, signal };
  const done = await lent(source, () => lent(output, () => qemuImg(args, { ...limits, files })));
  signal.throwIfAborted();
  if (done === undefined) throw new Error('The host has no qemu-img: install qemu-utils on it');
  if (!('refusal' in done)) return;
  if (room.isReached((await output.stat()).size)) throw room.tooLarge('The snapshot');
  ImportError.throwIfFull(done.refusal);
  throw new Error(`qemu-img cannot read the disk: ${done.refusal}`);
}

export interface FillLimits {
  /** The largest file that may come of it. */
  readonly fileBytes: number;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/**
 * Writes what `source` shows of itself into `output`, which is empty, as a qcow2 disk that stands on nothing. A source that hosts alone write
 * (an image) is not locked; of others QEMU's lock says whether somebody writes to it, and keeps them from it. The caller has read its header.
 * What qemu-img says if it refuses; undefined if it is done. Throws the signal's reason, or Error on a host without qemu-img.
 */
export async function copyToDisk(
  source: { readonly file: FileHandle; readonly format: 'qcow2' | 'raw'; readonly isImage: boolean },
  output: FileHandle,
  limits: FillLimits,
): Promise<string | undefined> {
  const below = source.format === 'qcow2' ? { backing: null } : {};
  const disk = { driver: source.format, ...below, file: descriptorNode(3, !source.isImage) };
  const args = ['convert', '-q', '-O', 'qcow2', `json:${JSON.stringify(disk)}`, '/dev/fd/4'];
  const copy = async () => await lent(output, () => qemuImg(args, { ...limits, files: [source.file, output] }));
  const done = source.isImage ? await copy() : await lent(source.file, copy);
  if (done === undefined) throw new Error('The host has no qemu-img: install qemu-utils on it');
  return 'refusal' in done ? done.refusal : undefined;
}

/** Makes the disk larger as the guest sees it. It stands on nothing. Throws Error. */
export async function resizeQcow2(file: FileHandle, virtualBytes: number): Promise<void> {
  const { size } = await file.stat();
  const args = ['resize', '-q', descriptor(3, 'qcow2'), String(virtualBytes)];
  const limits = { files: [file], fileBytes: size + overlayBytesMax, deadlineMs };
  const done = await lent(file, () => qemuImg(args, limits));
  if (done === undefined) throw new Error('The host has no qemu-img: install qemu-utils on it');
  if ('refusal' in done) throw new Error(`Cannot make the disk ${virtualBytes} bytes large: ${done.refusal}`);
}

/** Images are read by many at once, and nobody is to be kept from starting by us; a copy that somebody writes is not whole. */
function descriptorNode(fd: number, isOurs = false) {
  return { driver: 'file', filename: `/dev/fd/${fd}`, locking: isOurs ? 'auto' : 'off' } as const;
}

/** qemu-img opens what it writes once more, as who it is then. */
async function lent<T>(output: FileHandle, work: () => Promise<T>): Promise<T> {
  if (!(await changesUser())) return await work();
  const { uid, gid } = await output.stat();
  await output.chown(confinedUser, confinedUser);
  try {
    return await work();
  } finally {
    await output.chown(uid, gid);
  }
}

/**
 * Makes `file`, which exists and is empty, an overlay on `image` without opening the image: what is in it was checked when it was
 * imported. Throws Error.
 */
export async function createOverlay(
  file: string,
  image: { readonly path: string; readonly format: 'qcow2' | 'raw' },
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
  const args = ['-q', '-f', 'qcow2', ...options, '/dev/fd/3', String(virtualBytes)];
  const limits = { fileBytes: overlayBytesMax, deadlineMs };
  const made = await lent(output, () => qemuImg(['create', ...args], { ...limits, files: [output] }));
  if (made === undefined) throw new Error(`Cannot make ${what}: the host has no qemu-img`);
  if ('refusal' in made) throw new Error(`Cannot make ${what}: ${made.refusal}`);
}

/** How qemu-img is told of an open descriptor. */
function descriptor(fd: number, format: DiskFormat): string {
  const file = { driver: 'file', filename: `/dev/fd/${fd}` };
  return `json:${JSON.stringify({ driver: drivers[format], backing: null, file })}`;
}

/** undefined on a host without qemu-img. */
async function qemuImg(
  args: readonly string[],
  options: ConfinedOptions,
): Promise<{ stdout: string } | { refusal: string } | undefined> {
  const { status, stdout, stderr } = await runConfined('qemu-img', args, options).catch((error) => {
    if (error?.code === 'ENOENT') return { status: 127, stdout: '', stderr: '' };
    throw error;
  });
  if (status === 0) return { stdout };
  if (status === 127) return undefined;
  if (status === undefined)
    return { refusal: `it used more time, memory or space than it may ${stderr.trim()}`.trim() };
  return { refusal: stderr.trim().slice(0, 500) };
}

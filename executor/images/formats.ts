/**
 * Finds out what a file is by its own bytes, before any program of QEMU's sees it, and refuses what would make such a program open other
 * files or sockets of the host. From then on the format is told to every program, and never guessed.
 */
import type { FileHandle } from 'node:fs/promises';
import type { ImageImport } from '#lib/api/launch.ts';
import { ImportError } from './errors.ts';
import { checkQcow2 } from './qcow2-header.ts';

export type DiskFormat = NonNullable<ImageImport['format']>;
export type Packing = 'gz' | 'xz' | 'zst';

export interface Detected {
  readonly format: DiskFormat;
  /** Undefined where only qemu-img tells. */
  readonly virtualSize?: number;
}

/** Both ends of a file: what it is stands there. */
export interface Ends {
  /** Long enough for any header that we accept, with all it says. */
  readonly head: Buffer;
  readonly tail: Buffer;
  readonly size: number;
}

const headBytes = 65_536;
const tailBytes = 512;

export async function readEnds(file: FileHandle): Promise<Ends> {
  const { size } = await file.stat();
  const read = async (at: number, length: number): Promise<Buffer> => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
    return buffer.subarray(0, bytesRead);
  };
  return { head: await read(0, headBytes), tail: await read(Math.max(0, size - tailBytes), tailBytes), size };
}

const packings: readonly (readonly [Packing, Buffer])[] = [
  ['gz', Buffer.from('1f8b', 'hex')],
  ['xz', Buffer.from('fd377a585a00', 'hex')],
  ['zst', Buffer.from('28b52ffd', 'hex')],
];

export function packingOf({ head }: Pick<Ends, 'head'>): Packing | undefined {
  return packings.find(([, magic]) => startsWith(head, magic))?.[0];
}

/** What else people have that is no disk by itself: taken for a raw disk it would only fail to boot. */
const unsupported: readonly (readonly [offset: number, magic: string, what: string])[] = [
  [0, 'QED\0', 'a QED image'],
  [0, 'COWD', 'a VMDK of the old kind (COWD)'],
  [0, 'WithoutFreeSpace', 'a Parallels image'],
  [0, 'WithouFreSpacExt', 'a Parallels image'],
  [0x40, '\x7f\x10\xda\xbe', 'a VDI image'],
  [0, 'BZh', 'compressed with bzip2'],
  [0, 'PK\x03\x04', 'a ZIP archive'],
  [0, '7z\xbc\xaf\x27\x1c', 'a 7z archive'],
  [257, 'ustar', 'a tar archive, perhaps an OVA'],
];

/** Throws ImportError for a file that is no image we take. */
export function detect({ head, tail, size }: Ends): Detected {
  const begins = (text: string, at = 0) => startsWith(head.subarray(at), Buffer.from(text, 'latin1'));
  if (size === 0) throw ImportError.refused('Empty', 'The source has no bytes');
  if (begins('QFI\xfb')) return { format: 'qcow2', virtualSize: checkQcow2(head) };
  if (begins('KDMV')) return checkVmdk(head);
  if (begins('# Disk DescriptorFile'))
    throw ImportError.refused('ExternalDataFile', 'The VMDK keeps its data in other files; make it one file first');
  if (begins('vhdxfile')) return { format: 'vhdx' };
  const footer = [head, tail].find(isVhdFooter);
  if (footer) return checkVhd(footer);
  if (begins('LUKS\xba\xbe')) throw ImportError.refused('Encrypted', 'The image is encrypted (LUKS); decrypt it first');
  const other = unsupported.find(([at, magic]) => begins(magic, at));
  if (other)
    throw ImportError.refused(
      'UnsupportedFormat',
      `The source is ${other[2]}; it must be qcow2, raw, vmdk, vhd or vhdx, perhaps packed by gz, xz or zst`,
    );
  // As every program of QEMU's sees it: whole sectors.
  return { format: 'raw', virtualSize: Math.ceil(size / 512) * 512 };
}

function startsWith(bytes: Buffer, magic: Buffer): boolean {
  return bytes.length >= magic.length && bytes.compare(magic, 0, magic.length, 0, magic.length) === 0;
}

/** A sparse VMDK with its description in itself. The description can name a parent; without a capacity it names every file of the disk. */
function checkVmdk(head: Buffer): Detected {
  const refuse = (message: string) =>
    ImportError.refused('UnsupportedFormat', `The VMDK header is not acceptable: ${message}`);
  if (head.length < 512) throw refuse('the file ends within it');
  if (head.readBigUInt64LE(12) === 0n)
    throw ImportError.refused('ExternalDataFile', 'The VMDK keeps its data in other files; make it one file first');
  const end = head.readBigUInt64LE(28) + head.readBigUInt64LE(36);
  if (end * 512n > BigInt(headBytes)) throw refuse('its description is not at its beginning');
  if (head.includes('parentFileNameHint'))
    throw ImportError.refused('BackingFile', 'The VMDK stands on a parent; make it one file first');
  return { format: 'vmdk' };
}

/** With the right sum: the cookie alone may stand at the end of any disk. */
function isVhdFooter(sector: Buffer): boolean {
  if (sector.length < tailBytes || !startsWith(sector, Buffer.from('conectix'))) return false;
  const bytes = sector.subarray(0, tailBytes);
  const sum = bytes.reduce((total, byte, at) => (at >= 64 && at < 68 ? total : total + byte), 0);
  return bytes.readUInt32BE(64) === ~sum >>> 0;
}

const [fixedVhd, dynamicVhd, differencingVhd] = [2, 3, 4];

function checkVhd(footer: Buffer): Detected {
  const type = footer.readUInt32BE(60);
  if (type === differencingVhd)
    throw ImportError.refused('BackingFile', 'The VHD stands on a parent; make it one file first');
  if (type !== fixedVhd && type !== dynamicVhd)
    throw ImportError.refused('UnsupportedFormat', `The VHD is of type ${type}; it must be fixed or dynamic`);
  return { format: 'vhd' };
}

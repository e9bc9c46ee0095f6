/** What a qcow2 file says it stands on, from its header alone: nothing is opened but the file itself. */
import { open } from 'node:fs/promises';
import { TerminalError } from '#lib/std/errors.ts';
import { headOf } from '../images/qcow2-header.ts';

export interface BackingFile {
  readonly path: string;
  readonly format: 'qcow2' | 'raw';
}

const magic = 0x514649fb; // "QFI\xfb"
const backingFormatExtension = 0xe2792aca;

/**
 * undefined if the file stands on nothing. Throws a TerminalError if it is no qcow2 file, or names a backing file without its format:
 * QEMU would guess it from content that a guest may have written.
 */
export async function readBackingFile(path: string): Promise<BackingFile | undefined> {
  await using file = await open(path, 'r');
  return backingFileIn(await headOf(file), path);
}

/** Likewise, of its first 64 KiB. `path` is for messages. */
export function backingFileIn(header: Buffer, path: string): BackingFile | undefined {
  if (header.length < 104 || header.readUInt32BE(0) !== magic)
    throw new TerminalError('BadDisk', `${path} is not a qcow2 file`);
  const offset = Number(header.readBigUInt64BE(8));
  if (offset === 0) return undefined;
  const backing = header.subarray(offset, offset + header.readUInt32BE(16)).toString('utf8');
  const format = readExtension(header, backingFormatExtension);
  if (format !== 'qcow2' && format !== 'raw') {
    throw new TerminalError(
      'BadDisk',
      `${path} names the backing file ${backing} with format ${format ?? 'unknown'}; it must be qcow2 or raw`,
    );
  }
  return { path: backing, format };
}

/** Header extensions follow the header: type, length, data padded to eight bytes; type 0 ends them. */
function readExtension(header: Buffer, wanted: number): string | undefined {
  let at = header.readUInt32BE(4) === 2 ? 72 : header.readUInt32BE(100);
  while (at + 8 <= header.length) {
    const [type, length] = [header.readUInt32BE(at), header.readUInt32BE(at + 4)];
    if (type === 0) return undefined;
    if (type === wanted) return header.subarray(at + 8, at + 8 + length).toString('utf8');
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return undefined;
}

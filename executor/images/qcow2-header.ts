/**
 * A strict reader of qcow2 headers (QEMU's docs/interop/qcow2.txt, versions 2 and 3). It runs before any program of QEMU's sees the file:
 * a backing file, an external data file or an encryption secret would make those open other files or sockets of the host.
 */
import { constants, type FileHandle, open } from 'node:fs/promises';
import { ImportError } from './errors.ts';

/** Corrupt, dirty and compression-type bits may be set; external data, extended L2 and unknown ones not. */
const allowedIncompatible = 0b1011n;
const dataFileExtension = 0x44415441;
const encryptionExtension = 0x0537be77;
const backingFormatExtension = 0xe2792aca;
/** An L1 table may take 32 MiB; a snapshot table has no business in an image that machines are made of. */
const maxL1Entries = 4_194_304;

const magic = 0x514649fb; // "QFI\xfb"

/** What there is of a header is in these. */
const headBytes = 65_536;

/** The first 64 KiB of a file, or all of it. */
export async function headOf(file: FileHandle): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
  return buffer.subarray(0, bytesRead);
}

/** Likewise of the file of this name. Throws for a link: what it leads to is somebody else's. */
export async function headAt(path: string): Promise<Buffer> {
  // Nor is waited for whoever would write to a pipe.
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  return await headOf(file);
}

/** The virtual size that a file with qcow2's magic says it has. `head`: its first 64 KiB. Throws ImportError. */
export function checkQcow2(head: Buffer): number {
  return check(head, false);
}

/** Likewise of one that may stand on a backing file: whether on the right one is for the caller to see. */
export function checkOverlay(head: Buffer): number {
  return check(head, true);
}

function check(head: Buffer, mayHaveBacking: boolean): number {
  const refuse = (message: string) =>
    ImportError.refused('UnsupportedFormat', `The qcow2 header is not acceptable: ${message}`);
  if (head.length < 72) throw refuse('the file ends within it');
  if (head.readUInt32BE(0) !== magic) throw refuse('it does not begin as one');
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw refuse(`version ${version}`);
  if (!mayHaveBacking && (head.readBigUInt64BE(8) !== 0n || head.readUInt32BE(16) !== 0))
    throw ImportError.refused('BackingFile', 'The image has a backing file; flatten it first (qemu-img convert)');
  const clusterBits = head.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw refuse(`cluster bits ${clusterBits}`);
  if (head.readUInt32BE(32) !== 0) throw ImportError.refused('Encrypted', 'The image is encrypted; decrypt it first');
  const l1Size = head.readUInt32BE(36);
  if (l1Size > maxL1Entries) throw refuse(`an L1 table of ${l1Size} entries`);
  if (head.readUInt32BE(60) !== 0) throw refuse('it holds internal snapshots; convert it to an image without them');
  if (version === 3) checkVersion3(head, refuse);
  checkExtensions(head, version === 3 ? head.readUInt32BE(100) : 72, mayHaveBacking, refuse);
  const size = head.readBigUInt64BE(24);
  if (size === 0n || size > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse(`a virtual size of ${size} bytes`);
  return Number(size);
}

function checkVersion3(head: Buffer, refuse: (message: string) => ImportError): void {
  if (head.length < 104) throw refuse('the file ends within it');
  const incompatible = head.readBigUInt64BE(72);
  if ((incompatible & 4n) !== 0n)
    throw ImportError.refused('ExternalDataFile', 'The image keeps its data in another file; flatten it first');
  if ((incompatible & ~allowedIncompatible) !== 0n)
    throw refuse(`incompatible features 0x${incompatible.toString(16)}`);
  const length = head.readUInt32BE(100);
  if (length < 104 || length % 8 !== 0 || length > 4096) throw refuse(`a header length of ${length}`);
}

/** Extensions are told apart by type only; those that name another file or a key must not be there even if no feature bit asks for them. */
function checkExtensions(
  head: Buffer,
  start: number,
  mayHaveBacking: boolean,
  refuse: (message: string) => ImportError,
): void {
  let offset = start;
  while (offset + 8 <= head.length) {
    const type = head.readUInt32BE(offset);
    const length = head.readUInt32BE(offset + 4);
    if (type === 0) return;
    if (type === dataFileExtension)
      throw ImportError.refused('ExternalDataFile', 'The image names another file for its data; flatten it first');
    if (type === encryptionExtension)
      throw ImportError.refused('Encrypted', 'The image is encrypted; decrypt it first');
    if (type === backingFormatExtension && !mayHaveBacking)
      throw ImportError.refused('BackingFile', 'The image names the format of a backing file; flatten it first');
    offset += 8 + Math.ceil(length / 8) * 8;
  }
  throw refuse('its extensions do not end');
}

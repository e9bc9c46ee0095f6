/**
 * The headers of disks before QEMU sees them. A guest, once it has taken over its QEMU, could have written into one the name of another file of
 * the host, which the next QEMU would open as if it were a part of the disk: as what the disk stands on, or as where its data is.
 */
import { open } from 'node:fs/promises';
import { messageOf, TerminalError } from '#lib/std/errors.ts';
import type { DataDisk } from '../hypervisor.ts';
import { checkOverlay, checkQcow2 } from '../images/qcow2-header.ts';

const headBytes = 65_536;

/** Throws a TerminalError unless the disk is all in its own file. Nothing else is opened. */
export async function requireAlone({ name, path }: DataDisk): Promise<void> {
  await asChecked(path, checkQcow2, (why) => unopened(name, why));
}

/** Likewise, but for what it stands on, which libvirt is told. */
export async function requireOwnData(path: string): Promise<void> {
  await asChecked(path, checkOverlay, (why) => unopened('root', why));
}

/** In words for the user of the machine. */
export function unopened(name: string, why: string): string {
  return (
    `The disk "${name}" is not what it was made as, and was not opened: ${why}. ` +
    'Something in the machine has changed its header. The next launch of the machine makes it anew'
  );
}

async function asChecked(
  path: string,
  check: (head: Buffer) => unknown,
  words: (why: string) => string,
): Promise<void> {
  await using file = await open(path, 'r');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
  try {
    check(buffer.subarray(0, bytesRead));
  } catch (error) {
    throw new TerminalError('BadDisk', words(messageOf(error)), { cause: error });
  }
}

/**
 * Whether a machine's disk is still what its host made. Its guest writes into it, and a QEMU that its guest has taken over can write its
 * header, too: one that names another machine's disk to stand on, or a file of the host to keep its data in, would have the next QEMU open that.
 * So before a program of QEMU's opens a disk its header is read by us, in the format that it was made in and no other.
 */
import { messageOf, TerminalError } from '#lib/std/errors.ts';
import type { DataDisk } from '../hypervisor.ts';
import { checkOverlay, checkQcow2, headAt } from '../images/qcow2-header.ts';
import { backingFileIn } from '../libvirt/backing-file.ts';

const whatToDo =
  "The machine's disk is not used. If the host's imageStore was changed, change it back; else something in the machine changed what only its host writes: restore the disk from a snapshot, or make the machine anew";

/** Files of the image that a machine was made of, any of which its disk may stand on. */
export interface DiskBase {
  readonly paths: readonly string[];
  readonly format: 'qcow2' | 'raw';
}

export interface OwnDisk {
  /** undefined for a disk that was restored in place, and stands on nothing. */
  readonly backing: string | undefined;
  readonly virtualSize: number;
}

/** Of a root disk that nobody writes to meanwhile. Throws a TerminalError that says what is wrong with it. */
export async function readOwnDisk(path: string, { paths, format }: DiskBase): Promise<OwnDisk> {
  try {
    const head = await headAt(path);
    const backing = backingFileIn(head, path);
    if (backing !== undefined && (!paths.includes(backing.path) || backing.format !== format))
      throw new Error(`It stands on ${backing.path} (${backing.format}), not on the image that it was made of`);
    return { backing: backing?.path, virtualSize: backing === undefined ? checkQcow2(head) : checkOverlay(head) };
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    if (code !== '' && code !== 'ELOOP') throw cause;
    throw new TerminalError('BadDisk', whatToDo, { cause });
  }
}

/** Throws a TerminalError unless the data disk, which nobody writes to meanwhile, is all in its own file. Nothing else is opened. */
export async function requireAlone({ name, path }: DataDisk): Promise<void> {
  const head = await headAt(path);
  try {
    checkQcow2(head);
  } catch (cause) {
    throw notAlone(name, messageOf(cause), cause);
  }
}

/** In words for the user of the machine. */
export function notAlone(name: string, why: string, cause?: unknown): TerminalError {
  const message =
    `The data disk "${name}" is not used: ${why}. Something in the machine changed what only its host writes. ` +
    'The next launch of the machine makes the disk anew';
  return new TerminalError('BadDisk', message, { cause });
}

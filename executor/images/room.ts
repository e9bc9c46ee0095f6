/** How many bytes an import may write. */
import { statfs } from 'node:fs/promises';
import { ImportError } from './errors.ts';

/** A file is at most so much larger than the disk it describes: tables and alignment. */
const slackBytes = 64 * 1024 * 1024;
const slackShare = 1 / 1024;
/** Of the store, for those who come after. */
const spareShare = 0.02;
const writeBytesMax = 4 * 1024 * 1024;

export interface Room {
  readonly bytes: number;
  /** A file that could not be written became so large that this was why: programs write up to so much at once. */
  isReached(size: number): boolean;
  /** What to say of a file that would be larger. */
  tooLarge(what: string): ImportError;
}

/** The image's limit, or what the store has left, whichever is less. `heldBytes` of the file are in the store already. */
export async function roomFor(imageStore: string, maxVirtualSize: number, heldBytes = 0): Promise<Room> {
  const { bavail, blocks, bsize } = await statfs(imageStore);
  const limit = Math.ceil(maxVirtualSize * (1 + slackShare)) + slackBytes;
  const free = Math.max(0, heldBytes + Math.floor((bavail - blocks * spareShare) * bsize));
  const bytes = Math.min(limit, free);
  const tooLarge = (what: string): ImportError =>
    limit <= free
      ? ImportError.refused('TooLarge', `${what} has more than ${maxVirtualSize} bytes (spec.limits.maxVirtualSize)`)
      : ImportError.retry('StoreFull', `${what} needs more than the ${free} bytes that the image store can spare`);
  return { bytes, tooLarge, isReached: (size) => size > bytes - writeBytesMax };
}

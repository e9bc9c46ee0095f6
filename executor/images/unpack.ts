/** Unpacks a source that is packed by gz, xz or zst: in a process behind walls, and never into more bytes than there is room for. */
import { open, rm } from 'node:fs/promises';
import { runConfined } from '../confine.ts';
import { ImportError } from './errors.ts';
import { type Packing, packingOf, readEnds } from './formats.ts';
import type { Room } from './room.ts';

/** Memory for what the packer chose as window is bounded by the programs themselves, and by the walls. */
const programs: Readonly<Record<Packing, readonly [string, ...string[]]>> = {
  gz: ['gzip', '-dc'],
  xz: ['xz', '-dcq', '--no-sparse', '--memlimit-decompress=512MiB'],
  zst: ['zstd', '-dcq', '--no-sparse'],
};
const packages: Readonly<Record<Packing, string>> = { gz: 'gzip', xz: 'xz-utils', zst: 'zstd' };

export interface UnpackOptions {
  readonly room: Room;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** The path of the disk: `source` itself if it is not packed, else `target`. Throws ImportError, or the signal's reason. */
export async function unpack(source: string, target: string, options: UnpackOptions): Promise<string> {
  await using input = await open(source, 'r');
  const packing = packingOf(await readEnds(input));
  if (packing === undefined) return source;
  await rm(target, { force: true });
  await using output = await open(target, 'wx+', 0o644);
  await run(packing, input, output, options);
  if (packingOf(await readEnds(output)) !== undefined)
    throw ImportError.refused(
      'UnsupportedFormat',
      `The image is packed twice, the outer time by ${packing}; once will do`,
    );
  return target;
}

type Handle = Awaited<ReturnType<typeof open>>;

async function run(packing: Packing, stdin: Handle, stdout: Handle, options: UnpackOptions): Promise<void> {
  const { room, deadlineMs, signal } = options;
  const [program, ...args] = programs[packing];
  const confined = { files: [], stdin, stdout, deadlineMs, fileBytes: room.bytes, signal };
  const { status, stderr } = await runConfined(program, args, confined);
  if (status === 0) return;
  signal.throwIfAborted();
  const { size } = await stdout.stat();
  if (room.isReached(size)) throw room.tooLarge('The unpacked image');
  if (status === 127)
    throw ImportError.retry('NoUnpacker', `The host has no ${program}: install ${packages[packing]} on it`);
  ImportError.throwIfFull(stderr);
  const why = status === undefined ? 'it used more time or memory than it may' : stderr.trim().slice(0, 500);
  throw ImportError.refused('UnsupportedFormat', `Cannot unpack the image with ${program}: ${why}`);
}

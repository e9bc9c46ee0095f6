/**
 * What a machine has printed on its serial console: the last of it, out of the files that virtlogd writes. When a file is full virtlogd
 * renames it to `<file>.0`, that one to `<file>.1` and so on, and begins anew; so what is kept is bounded on disk, and goes on over restarts
 * of the guest, of libvirt and of the worker. Files are told apart by their inodes: they may be renamed while they are read.
 */
import { constants } from 'node:fs';
import { access, type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '#lib/std/clock.ts';

/** What is promised to be kept (virtlogd keeps more). */
export const keptBytes = 2 ** 20;
/** virtlogd's own number of renamed files, and one more in case it was told to keep more. */
const renamedMax = 4;
const chunkBytes = 65_536;
const lookEveryMs = 250;
const newline = 0x0a;

export interface LogOptions {
  /** Only so many of the last lines; all that is kept unless told. A last line that has not ended counts as one. */
  readonly tailLines?: number | undefined;
  /** Ends after so many bytes. */
  readonly limitBytes?: number | undefined;
  /** Goes on with what is printed later, until the machine is removed or the signal aborts. */
  readonly follow?: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** The last `bytes` that were printed. Empty for a guest that has not printed anything. */
export async function lastPrinted(file: string, bytes: number): Promise<Buffer> {
  await using files = await openAll(file);
  return await tailOf(files.all, bytes);
}

/** What was printed, oldest first. Who reads more slowly than the guest prints misses what is no longer kept. */
export async function* printed(file: string, options: LogOptions): AsyncGenerator<Buffer> {
  const { tailLines, limitBytes = Number.POSITIVE_INFINITY, follow = false } = options;
  let left = limitBytes;
  for await (const chunk of follow ? followed(file, options) : past(file, tailLines)) {
    if (chunk.length === 0) continue;
    const part = chunk.subarray(0, left);
    left -= part.length;
    yield part;
    if (left <= 0) return;
  }
}

async function* past(file: string, tailLines: number | undefined): AsyncGenerator<Buffer> {
  yield lastLines(await lastPrinted(file, keptBytes), tailLines);
}

async function* followed(file: string, { tailLines, clock, signal }: LogOptions): AsyncGenerator<Buffer> {
  let current: OpenFile | undefined;
  try {
    {
      await using files = await openAll(file);
      yield lastLines(await tailOf(files.all, keptBytes), tailLines);
      current = files.keepNewest();
    }
    while (!signal.aborted) {
      if (current) yield* newBytes(current);
      // Looked for after the old one was read to its end: what virtlogd renamed it does not write to any more.
      const next = await openIfThere(file);
      if (next && next.inode !== current?.inode) {
        if (current) yield* newBytes(current);
        await current?.handle.close();
        current = next;
        continue;
      }
      await next?.handle.close();
      if (!next && !(await exists(dirname(file)))) return;
      await clock.sleep(lookEveryMs, signal).catch(() => undefined); // aborted: the loop sees it
    }
  } finally {
    await current?.handle.close();
  }
}

/** The end of `text` that has so many lines. */
export function lastLines(text: Buffer, lines: number | undefined): Buffer {
  if (lines === undefined) return text;
  if (lines === 0) return Buffer.alloc(0);
  // The newline at the very end ends the last line, it does not begin another.
  let at = text.length - 1;
  for (let found = 0; found < lines; found++) {
    at = at <= 0 ? -1 : text.lastIndexOf(newline, at - 1);
    if (at < 0) return text;
  }
  return text.subarray(at + 1);
}

interface OpenFile {
  readonly handle: FileHandle;
  readonly inode: number;
  /** Read so far, if it is followed. */
  at: number;
}

async function openIfThere(file: string): Promise<OpenFile | undefined> {
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    return { handle, inode: (await handle.stat()).ino, at: 0 };
  } catch (error) {
    // A guest that has not printed yet has no log.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Newest first. One that is renamed in between would be met twice, and is taken once. */
async function openAll(file: string) {
  const all: OpenFile[] = [];
  let keep: OpenFile | undefined;
  for (const name of [file, ...Array.from({ length: renamedMax }, (_, index) => `${file}.${index}`)]) {
    const opened = await openIfThere(name);
    if (opened && all.some(({ inode }) => inode === opened.inode)) await opened.handle.close();
    else if (opened) all.push(opened);
  }
  return {
    all,
    keepNewest: () => {
      keep = all[0];
      return keep;
    },
    async [Symbol.asyncDispose]() {
      for (const each of all) if (each !== keep) await each.handle.close();
    },
  };
}

/** Notes of each file how far it was read. */
async function tailOf(files: readonly OpenFile[], bytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let left = bytes;
  for (const file of files) {
    const { size } = await file.handle.stat();
    const length = Math.min(size, left);
    const { buffer, bytesRead } = await file.handle.read(Buffer.alloc(length), 0, length, size - length);
    file.at = size - length + bytesRead;
    parts.unshift(buffer.subarray(0, bytesRead));
    left -= bytesRead;
  }
  return Buffer.concat(parts);
}

async function* newBytes(file: OpenFile): AsyncGenerator<Buffer> {
  // virtlogd that keeps no renamed files empties the one that there is.
  if ((await file.handle.stat()).size < file.at) file.at = 0;
  for (;;) {
    const { buffer, bytesRead } = await file.handle.read(Buffer.alloc(chunkBytes), 0, chunkBytes, file.at);
    if (bytesRead === 0) return;
    file.at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

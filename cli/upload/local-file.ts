/** The file that is sent: opened once, so that what is read is of one file, whatever becomes of its name. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { messageOf } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';

const chunkBytes = 2 ** 20;

export interface LocalFile extends AsyncDisposable {
  readonly path: string;
  readonly size: number;
  /** From `offset` to the end. */
  bytes(offset: number): AsyncGenerator<Buffer>;
  /** sha256, 64 hex digits. Reads all of it. */
  digest(told: (bytes: number) => void): Promise<string>;
}

/** Throws UsageError for what is no file that can be read. */
export async function openLocalFile(path: string): Promise<LocalFile> {
  // A pipe would be waited for.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause) => {
    throw new UsageError(`Cannot read ${path}: ${messageOf(cause)}`, { cause });
  });
  const stats = await handle.stat();
  const { size } = stats;
  if (!stats.isFile() || size === 0) {
    await handle.close();
    throw new UsageError(`${path} is ${stats.isFile() ? 'empty' : 'not a file'}: name the file of a disk image.`);
  }
  async function* bytes(offset: number): AsyncGenerator<Buffer> {
    for (let at = offset; at < size; ) {
      const length = Math.min(chunkBytes, size - at);
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(length), 0, length, at);
      if (bytesRead === 0)
        throw new UsageError(`${path} became shorter while it was read: leave it alone, and begin anew.`);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }
  return {
    ...{ path, size, bytes },
    async digest(told) {
      const hash = createHash('sha256');
      let read = 0;
      for await (const chunk of bytes(0)) {
        hash.update(chunk);
        read += chunk.length;
        told(read);
      }
      return hash.digest('hex');
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

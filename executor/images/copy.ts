/** Copies a file and tells its sha256: at a bounded rate, leaving holes where there are only zeros. */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { Clock } from '#lib/std/clock.ts';

const chunkBytes = 2 ** 20;
/** Shorter runs of zeros are written. */
const holeBytes = 2 ** 16;
const zeros = Buffer.alloc(holeBytes);

/** So many bytes in a second, whoever copies. */
export class Pace {
  readonly #bytesPerSecond: number;
  readonly #clock: Clock;
  #freeMs = 0;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
  }

  /** Resolves when so many may be copied. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.monotonic();
    const startMs = Math.max(nowMs, this.#freeMs);
    this.#freeMs = startMs + (1000 * bytes) / this.#bytesPerSecond;
    if (startMs > nowMs) await this.#clock.sleep(startMs - nowMs, signal);
  }
}

/** Makes `to`, which must not be there; it is on the disk when this resolves. */
export async function copyVerified(
  from: string,
  to: string,
  { pace, signal }: { readonly pace: Pace; readonly signal: AbortSignal },
): Promise<string> {
  await using input = await open(from, 'r');
  await using output = await open(to, 'wx', 0o644);
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(chunkBytes);
  let at = 0;
  for (;;) {
    signal.throwIfAborted();
    const { bytesRead } = await input.read(chunk, 0, chunkBytes, at);
    if (bytesRead === 0) break;
    const part = chunk.subarray(0, bytesRead);
    hash.update(part);
    await writeSparse(output, part, at);
    at += bytesRead;
    await pace.take(bytesRead, signal);
  }
  await output.truncate(at);
  await output.sync();
  return hash.digest('hex');
}

async function writeSparse(output: FileHandle, part: Buffer, at: number): Promise<void> {
  for (let offset = 0; offset < part.length; offset += holeBytes) {
    const piece = part.subarray(offset, offset + holeBytes);
    if (piece.equals(zeros.subarray(0, piece.length))) continue;
    await output.write(piece, 0, piece.length, at + offset);
  }
}

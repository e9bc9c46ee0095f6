/**
 * A file that lines are appended to, in the background: who writes never waits. What does not fit into the queue, or cannot be written because
 * the disk is full, is lost, and counted; the file is opened anew for the next lines, so that it goes on by itself once there is room.
 */
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';

export interface LogFileOptions {
  readonly path: string;
  /** The file is put aside, with the time in its name, before it grows beyond this. */
  readonly maxBytes: number;
  /** So many that were put aside are kept. */
  readonly maxBackups: number;
  /** Told how many lines could not be kept. */
  readonly lost: (lines: number) => void;
  readonly clock: Clock;
  readonly log: Log;
}

const maxQueuedBytes = 16 * 1024 * 1024;
const maxBatchBytes = 1024 * 1024;
const stuckMs = 60_000;
const complainEveryMs = 60_000;

export class LogFile implements AsyncDisposable {
  readonly #options: LogFileOptions;
  #queue: string[] = [];
  #queuedBytes = 0;
  #file: { readonly handle: FileHandle; size: number } | undefined;
  #writing: Promise<void> | undefined;
  #writingSinceMs = 0;
  #complainedMs = Number.NEGATIVE_INFINITY;
  /** The last write may have ended in the middle of a line. */
  #broken = false;

  constructor(options: LogFileOptions) {
    this.#options = options;
  }

  append(line: string): void {
    const bytes = Buffer.byteLength(line) + 1;
    if (this.#queuedBytes + bytes > maxQueuedBytes) {
      this.#options.lost(1);
      return;
    }
    this.#queue.push(line);
    this.#queuedBytes += bytes;
    this.#writing ??= this.#writeAll();
  }

  /** A write has been hanging for a minute: the disk does not answer. */
  get stuck(): boolean {
    return this.#writing !== undefined && this.#options.clock.monotonic() - this.#writingSinceMs > stuckMs;
  }

  /** Writes what is queued. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    await this.#close();
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0) {
      this.#writingSinceMs = this.#options.clock.monotonic();
      const lines = this.#takeBatch();
      try {
        await this.#write(`${this.#broken ? '\n' : ''}${lines.join('\n')}\n`);
        this.#broken = false;
      } catch (error) {
        this.#broken = true;
        this.#options.lost(lines.length);
        this.#complain(error);
        await this.#close();
      }
    }
    this.#writing = undefined;
  }

  #takeBatch(): string[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && (count === 0 || bytes < maxBatchBytes))
      bytes += Buffer.byteLength(this.#queue[count++]!) + 1;
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  async #write(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    let file = await this.#open();
    if (file.size > 0 && file.size + bytes.length > this.#options.maxBytes) {
      await this.#putAside();
      file = await this.#open();
    }
    await file.handle.appendFile(bytes);
    file.size += bytes.length;
  }

  async #open(): Promise<{ readonly handle: FileHandle; size: number }> {
    if (this.#file) return this.#file;
    const handle = await open(this.#options.path, 'a', 0o600);
    this.#file = { handle, size: (await handle.stat()).size };
    return this.#file;
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close().catch((error: unknown) => this.#complain(error));
  }

  async #putAside(): Promise<void> {
    const { path, maxBackups, clock } = this.#options;
    await this.#close();
    const time = new Date(clock.now()).toISOString().replaceAll(':', '-').replace('Z', '');
    await rename(path, `${path}.${time}`);
    const [folder, prefix] = [dirname(path), `${basename(path)}.`];
    const old = (await readdir(folder)).filter((name) => name.startsWith(prefix)).sort();
    for (const name of old.slice(0, Math.max(0, old.length - maxBackups)))
      await rm(join(folder, name), { force: true });
  }

  /** Once a minute: a full disk is not the place for a long log about it. */
  #complain(error: unknown): void {
    const now = this.#options.clock.monotonic();
    if (now - this.#complainedMs < complainEveryMs) return;
    this.#complainedMs = now;
    this.#options.log.error('Cannot write the audit log, its lines are lost', { path: this.#options.path, error });
  }
}

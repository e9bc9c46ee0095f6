/**
 * Copies of images on the host itself, each a file named by its digest: guests read from the local disk, and go on when the store is away.
 * Who needs an image that is not here has it copied once, however many do; who cannot wait, or whom it does not fit, is told so and gets the
 * store's own file. A file has its name when it is whole, on the disk, and its bytes were held against the digest.
 *
 * When the cache is fuller than it should be the copies that were wanted longest ago go, but never one that a disk of this host stands on,
 * as the disks themselves say, nor one that was handed out a moment ago for a disk to be made on.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { digestPattern } from '#lib/api/image-digests.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { copyVerified, Pace } from './copy.ts';

export interface ImageCacheOptions {
  readonly directory: string;
  /** All copies together, at most. */
  readonly bytes: number;
  readonly bytesPerSecond: number;
  /** Whose it is: the executor's root. Two would remove each other's files. */
  readonly owner: string;
  /** The store's own file. */
  readonly source: (digest: string) => Promise<string>;
  /** Files that disks of this host stand on. */
  readonly backings: () => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly log: Log;
  /** Who needs a copy waits so long for it. */
  readonly patienceMs?: number;
}

/** When it is fuller than the first share of its size, it is emptied to the second. */
const fullShare = 0.8;
const enoughShare = 0.7;
/** Of its disk, for the disks of machines. */
const spareShare = 0.05;
/** From when a path is handed out until a disk stands on it: longer than any step of a machine may take. */
const handedMs = 15 * 60_000;
const patienceMs = 30_000;
/** What could not be copied is not tried again sooner. */
const againMs = 60_000;

interface Copy {
  readonly digest: string;
  readonly path: string;
  readonly size: number;
  /** When it was last wanted. */
  readonly wantedMs: number;
}

export class ImageCache implements AsyncDisposable {
  readonly #options: ImageCacheOptions;
  readonly #pace: Pace;
  readonly #stop = new AbortController();
  readonly #copying = new Map<string, Promise<string>>();
  /** Digest -> when (monotonic) its path was handed out last. */
  readonly #handed = new Map<string, number>();
  readonly #failures = new Map<string, { readonly error: unknown; readonly atMs: number }>();
  /** To be kept here, whoever asks. */
  #wanted: ReadonlySet<string> = new Set();
  #held: readonly string[] = [];
  /** Called when what is held, or what failed, is another. */
  changed: () => void = () => undefined;

  /** Makes the directory, and removes what a killed worker left half copied. Throws Error if it belongs to another executor. */
  static async open(options: ImageCacheOptions): Promise<ImageCache> {
    const { directory, owner } = options;
    await mkdir(directory, { recursive: true, mode: 0o755 });
    const mark = join(directory, 'owner');
    const known = await readFile(mark, 'utf8').catch(() => undefined);
    if (known !== undefined && known !== owner)
      throw new Error(`The image cache ${directory} belongs to the executor of ${known}: give ${owner} one of its own`);
    await writeFile(mark, owner);
    for (const name of await readdir(directory))
      if (name.endsWith('.part')) await rm(join(directory, name), { force: true });
    const cache = new ImageCache(options);
    await cache.#recount();
    return cache;
  }

  private constructor(options: ImageCacheOptions) {
    this.#options = options;
    this.#pace = new Pace(options.bytesPerSecond, options.clock);
  }

  /** Ends what is being copied. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('The executor ends'));
    await Promise.allSettled([...this.#copying.values()]);
  }

  /** Digests of the copies. */
  get held(): readonly string[] {
    return this.#held;
  }

  /** Of those that are to be here: why they are not. */
  get failures(): readonly { readonly digest: string; readonly message: string }[] {
    return [...this.#wanted].flatMap((digest) => {
      const failure = this.#failures.get(digest);
      return failure && !this.#held.includes(digest) ? [{ digest, message: messageOf(failure.error) }] : [];
    });
  }

  /** A path to make a disk on. Throws Error if the image is nowhere, or its bytes are not those of its digest. */
  async find(digest: string): Promise<string> {
    this.#handed.set(digest, this.#options.clock.monotonic());
    if (await this.#touch(digest)) return this.pathOf(digest);
    const source = await this.#options.source(digest);
    const why = await this.#copyInTime(digest);
    if (why === undefined) return this.pathOf(digest);
    this.#options.log.warn('A disk is made on the file in the store, not on a copy of this host', { digest, why });
    return source;
  }

  /** From now on these are to be here, and stay. */
  keep(digests: readonly string[]): void {
    this.#wanted = new Set(digests);
  }

  /** Copies what is to be here and is not, one after the other. To be called now and then. */
  async fill(): Promise<void> {
    for (const digest of this.#wanted) {
      if (this.#stop.signal.aborted) return;
      if (this.#held.includes(digest) || this.#failedLately(digest)) continue;
      await this.#copy(digest).catch(() => undefined);
    }
  }

  /** Removes a copy that nothing stands on. */
  async drop(digest: string): Promise<void> {
    if (await this.#mayGo(digest, await this.#inUse())) await rm(this.pathOf(digest), { force: true });
    await this.#recount();
  }

  /** Makes room if it is too full; to be called now and then, since disks that stood on copies go. */
  async trim(): Promise<void> {
    await this.#makeRoom(0);
    await this.#recount();
  }

  /** Undefined: it is here. Else why not, or not yet. */
  async #copyInTime(digest: string): Promise<string | undefined> {
    const failure = this.#failedLately(digest);
    if (failure) return whyOr(failure.error);
    const { clock } = this.#options;
    const forMs = this.#options.patienceMs ?? patienceMs;
    const late = Promise.withResolvers<string>();
    using _ = clock.timeout(
      () =>
        late.resolve(`It is still being copied after ${Math.round(forMs / 1000)} s; machines after this one get it`),
      forMs,
    );
    const copied = this.#copy(digest).then(() => undefined, whyOr);
    return await Promise.race([copied, late.promise]);
  }

  #failedLately(digest: string): { readonly error: unknown } | undefined {
    const failure = this.#failures.get(digest);
    return failure && this.#options.clock.monotonic() < failure.atMs + againMs ? failure : undefined;
  }

  /** One at a time, whoever asks. */
  #copy(digest: string): Promise<string> {
    const running = this.#copying.get(digest);
    if (running !== undefined) return running;
    const copying = this.#copyOnce(digest).finally(() => this.#copying.delete(digest));
    copying.catch(() => undefined);
    this.#copying.set(digest, copying);
    return copying;
  }

  async #copyOnce(digest: string): Promise<string> {
    const { clock, log } = this.#options;
    const beganMs = clock.monotonic();
    try {
      const size = await this.#bring(digest);
      this.#failures.delete(digest);
      log.info('Copied an image to this host', { digest, size, ms: Math.round(clock.monotonic() - beganMs) });
    } catch (error) {
      this.#failures.set(digest, { error, atMs: clock.monotonic() });
      if (!this.#stop.signal.aborted)
        log.warn('Cannot copy an image to this host', { digest, reason: messageOf(error) });
      throw error;
    } finally {
      await this.#recount();
    }
    return this.pathOf(digest);
  }

  async #bring(digest: string): Promise<number> {
    const { directory, source } = this.#options;
    const from = await source(digest);
    const { size } = await stat(from);
    await this.#makeRoom(size);
    const path = this.pathOf(digest);
    const part = `${path}.${randomUUID()}.part`;
    try {
      const found = await copyVerified(from, part, { pace: this.#pace, signal: this.#stop.signal });
      if (found !== digest)
        throw new WrongBytesError(
          `The image ${digest} in the store has other bytes now (sha256 ${found}): remove the file ${from}, and it is imported again`,
        );
      await rename(part, path);
      await using folder = await open(directory, 'r');
      await folder.sync();
    } catch (error) {
      const isFull = ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
      throw isFull ? new Error(`The disk of the image cache ${directory} is full`, { cause: error }) : error;
    } finally {
      await rm(part, { force: true });
    }
    return size;
  }

  /** Throws Error if there can be none for so much. */
  async #makeRoom(size: number): Promise<void> {
    const { directory, bytes } = this.#options;
    const copies = await this.#copies();
    let used = copies.reduce((sum, copy) => sum + copy.size, 0);
    if (used + size > bytes * fullShare) {
      const inUse = await this.#inUse();
      for (const copy of copies.toSorted((a, b) => a.wantedMs - b.wantedMs)) {
        if (used + size <= bytes * enoughShare) break;
        if (this.#wanted.has(copy.digest) || !this.#mayGo(copy.digest, inUse)) continue;
        await rm(copy.path, { force: true });
        used -= copy.size;
      }
    }
    if (used + size > bytes)
      throw new Error(
        `The image cache ${directory} holds ${used} of ${bytes} bytes that disks stand on or that are to be kept: ${size} more do not fit`,
      );
    const { bavail, blocks, bsize } = await statfs(directory);
    const free = Math.floor((bavail - blocks * spareShare) * bsize);
    if (size > free)
      throw new Error(
        `The disk of the image cache ${directory} can spare ${Math.max(0, free)} bytes: ${size} do not fit`,
      );
  }

  /** Names of files under any disk. What cannot be found out throws: nothing goes then. */
  async #inUse(): Promise<ReadonlySet<string>> {
    return new Set((await this.#options.backings()).map((path) => basename(path)));
  }

  #mayGo(digest: string, inUse: ReadonlySet<string>): boolean {
    const handed = this.#handed.get(digest);
    const isFresh = handed !== undefined && this.#options.clock.monotonic() < handed + handedMs;
    return !isFresh && !inUse.has(digest) && !this.#copying.has(digest);
  }

  /** False if it is not here. */
  async #touch(digest: string): Promise<boolean> {
    const seconds = this.#options.clock.now() / 1000;
    return await utimes(this.pathOf(digest), seconds, seconds).then(
      () => true,
      () => false,
    );
  }

  async #copies(): Promise<readonly Copy[]> {
    const names = (await readdir(this.#options.directory)).filter((name) => digestPattern.test(name));
    const looked = await Promise.all(
      names.map(async (digest) => {
        const path = this.pathOf(digest);
        const found = await stat(path).catch(() => undefined);
        return found ? [{ digest, path, size: found.size, wantedMs: found.mtimeMs }] : [];
      }),
    );
    return looked.flat();
  }

  async #recount(): Promise<void> {
    const held = (await this.#copies()).map(({ digest }) => digest).sort();
    const before = this.#held.join();
    this.#held = held;
    if (held.join() !== before) this.changed();
  }

  /** Of a copy, whether or not it is here. */
  pathOf(digest: string): string {
    return join(this.#options.directory, digest);
  }
}

/** No disk is to be made of them. */
class WrongBytesError extends Error {}

function whyOr(error: unknown): string {
  if (error instanceof WrongBytesError) throw error;
  return messageOf(error);
}

/**
 * Takes in the files of Images that somebody sends, piece after piece, into a directory of `incoming/` in the store, where an import finds them as what
 * an earlier try has fetched (staging.ts). What is on the disk is counted, so that whoever sends may go on there after a break, on any host of
 * the cluster. One at a time may send for an Image, here; that two hosts have not mixed the pieces of two senders the import finds out by the
 * sha256 that was announced. What nobody goes on with is removed after a day, as all that is left in `incoming/`.
 */
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { UploadState } from '#lib/api/host-endpoint.ts';
import type { UploadReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { ImportError } from './errors.ts';
import { roomFor } from './room.ts';
import { incomingIn, type Progress, readProgress, sourceIn, uploadName, writeProgress } from './staging.ts';

/** One piece of a file: all that follows `offset`, or as much of it as comes. */
export interface UploadPiece {
  /** Of the Image. */
  readonly uid: string;
  readonly offset: number;
  /** Of the whole file. */
  readonly size: number;
  readonly sha256: string;
  /** spec.limits.maxVirtualSize of the Image, in bytes. */
  readonly maxVirtualSize: number;
}

/**
 * Why a piece was not taken. `taken`: another sends; `elsewhere`: it does not go on where the file ends, or is of another file; `mistaken`: more
 * came than was announced, or nonsense; `tooLarge`: for the Image's limit; `brokeOff`: the sender did not send all; `cannot`: this host, now.
 */
export class UploadError extends Error {
  readonly kind: 'taken' | 'elsewhere' | 'mistaken' | 'tooLarge' | 'brokeOff' | 'cannot';

  constructor(kind: UploadError['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UploadError';
    this.kind = kind;
  }
}

export interface UploadsDeps {
  readonly imageStore: string;
  /** What tells this cluster from others that have the store too. */
  readonly cluster: string;
  /** A heartbeat has something new to tell. */
  changed(): void;
  readonly clock: Clock;
  readonly log: Log;
  /** So many at once. */
  readonly atOnce?: number;
  /** How often the store is looked at: other hosts take pieces too, and imports take whole files away. */
  readonly lookMs?: number;
}

const atOnceDefault = 16;
const lookMsDefault = 5_000;
/** Who sends less than so much in so long is not waited for: others may go on, and ways in are few. */
const silenceMs = 60_000;
const leastBytes = 64 * 1024;
/** So much may be sent again when the process is killed. */
const keepEveryBytes = 16 * 2 ** 20;
/** Told in one heartbeat, which Mesos hands on in one message. */
const reportsMax = 32;
/** A mount that hangs is not waited for longer. */
const leaveMs = 2_000;
const uidLength = 36;
const uidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface Session {
  readonly abort: AbortController;
  readonly over: Promise<void>;
  /** On the disk, or on its way there. */
  received: number;
  size: number;
  /** When the last of it came. */
  heardMs: number;
  /** When enough of it had come, and how much that was. */
  pace: { readonly ms: number; readonly received: number };
}

export class Uploads implements AsyncDisposable {
  readonly #deps: UploadsDeps;
  readonly #incoming: string;
  readonly #sessions = new Map<string, Session>();
  #found: ReadonlyMap<string, UploadReport> = new Map();
  #timer: Disposable | undefined;
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(deps: UploadsDeps) {
    this.#deps = deps;
    this.#incoming = incomingIn(deps.imageStore);
    this.#lookLater(0);
  }

  /** Ends what is being sent; what has come stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    const sessions = [...this.#sessions.values()];
    for (const { abort } of sessions)
      abort.abort(new UploadError('cannot', 'The executor of the host ends: go on in a moment'));
    const late = Promise.withResolvers<void>();
    using _ = this.#deps.clock.timeout(late.resolve, leaveMs);
    await Promise.race([Promise.all([...sessions.map(({ over }) => over), this.#looking]), late.promise]);
  }

  /** What is being sent comes first, then what can go on: nobody's halves may hide that. */
  report(): readonly UploadReport[] {
    const sending = [...this.#sessions].map(([uid, { received, size }]) => ({ uid, received, size, complete: false }));
    const others = [...this.#found.values()].filter(({ uid }) => !this.#sessions.has(uid));
    const [whole, halves] = [true, false].map((each) => others.filter(({ complete }) => complete === each));
    return [...sending, ...whole!, ...halves!].slice(0, reportsMax);
  }

  async state(uid: string): Promise<UploadState> {
    const { received, total, sha256 } = await this.#kept(uid);
    const announced = total === undefined || sha256 === undefined ? {} : { size: total, sha256 };
    const session = this.#sessions.get(uid);
    return session
      ? { received: session.received, ...announced, complete: false, busy: true }
      : { received, ...announced, complete: received === total, busy: false };
  }

  /**
   * Takes a piece; what has come of it stays, whatever happens. `begin` is called when nothing stands against it any more, before the first
   * byte is asked for. Destroys `bytes` if it ends before them. Throws UploadError.
   */
  async receive(
    piece: UploadPiece,
    bytes: Readable,
    { begin, signal }: { readonly begin: () => void; readonly signal: AbortSignal },
  ): Promise<UploadState> {
    const { uid, size } = piece;
    const [session, end] = this.#enter(piece);
    try {
      const stop = AbortSignal.any([signal, session.abort.signal]);
      using _ = onAbort(stop, () => bytes.destroy(session.abort.signal.reason as UploadError | undefined));
      using _silence = this.#watchSilence(session);
      await this.#take(piece, session, bytes, { begin, signal: stop });
      this.#found = new Map([...this.#found, [uid, { uid, received: size, size, complete: true }]]);
      return { received: size, size, sha256: piece.sha256, complete: true, busy: false };
    } catch (error) {
      throw signal.aborted ? brokeOff(session, error) : asUploadError(error, session);
    } finally {
      this.#sessions.delete(uid);
      end();
      this.#deps.changed();
    }
  }

  /** Removes what has come, and ends who sends. */
  async drop(uids: readonly string[]): Promise<void> {
    for (const uid of uids.filter((each) => uidPattern.test(each))) {
      const session = this.#sessions.get(uid);
      session?.abort.abort(new UploadError('elsewhere', 'The image is gone, or needs no upload any more'));
      await session?.over;
      if (this.#sessions.has(uid)) continue;
      if (!this.#found.has(uid) && !session) continue;
      await rm(this.#directory(uid), { recursive: true, force: true });
      this.#deps.log.info('Removed what was uploaded for an image that needs it no more', { uid });
    }
    await this.#look();
  }

  #enter({ uid, offset, size }: UploadPiece): readonly [Session, () => void] {
    const { clock, atOnce = atOnceDefault } = this.#deps;
    const other = this.#sessions.get(uid);
    if (other) {
      const silentS = Math.round((clock.monotonic() - other.heardMs) / 1000);
      const far = `${other.received} of ${other.size} bytes are here, the last came ${silentS} s ago`;
      throw new UploadError('taken', `Somebody else is uploading it: ${far}`);
    }
    if (this.#closed) throw new UploadError('cannot', 'The executor of the host ends: go on in a moment');
    if (this.#sessions.size >= atOnce)
      throw new UploadError('cannot', `The host takes ${atOnce} other files now: go on in a moment`);
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const heardMs = clock.monotonic();
    const pace = { ms: heardMs, received: offset };
    const session = { abort: new AbortController(), over, received: offset, size, heardMs, pace };
    this.#sessions.set(uid, session);
    return [session, resolve];
  }

  #watchSilence(session: Session): Disposable {
    const { clock } = this.#deps;
    let timer: Disposable;
    const look = (): void => {
      const leftMs = session.pace.ms + silenceMs - clock.monotonic();
      if (leftMs <= 0) session.abort.abort(brokeOff(session));
      else timer = clock.timeout(look, leftMs);
    };
    timer = clock.timeout(look, silenceMs);
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }

  async #take(
    piece: UploadPiece,
    session: Session,
    bytes: Readable,
    { begin, signal }: { readonly begin: () => void; readonly signal: AbortSignal },
  ): Promise<void> {
    const { uid, offset, size, sha256, maxVirtualSize } = piece;
    const { imageStore, clock, changed } = this.#deps;
    const directory = this.#directory(uid);
    const kept = await this.#kept(uid);
    requireNext(piece, kept);
    const room = await roomFor(imageStore, maxVirtualSize, kept.received);
    if (size > room.bytes) throw room.tooLarge('The file');
    await mkdir(this.#incoming, { recursive: true, mode: 0o700 });
    await mkdir(directory, { recursive: true });
    await using file = await openKept(sourceIn(directory));
    await file.truncate(offset);
    const progress: Progress = { received: offset, total: size, sha256, mismatches: 0 };
    writeProgress(directory, progress);
    changed();
    begin();
    const keep = async (): Promise<void> => {
      await file.datasync();
      writeProgress(directory, { ...progress, received: session.received });
    };
    let keptBytes = offset;
    try {
      for await (const chunk of bytes as AsyncIterable<Buffer>) {
        signal.throwIfAborted();
        session.heardMs = clock.monotonic();
        const received = session.received + chunk.length;
        if (received > size) throw new UploadError('mistaken', `More than the ${size} bytes came that were announced`);
        await writeAll(file, chunk, session.received);
        session.received = received;
        if (received - session.pace.received >= leastBytes) session.pace = { ms: session.heardMs, received };
        if (received - keptBytes < keepEveryBytes) continue;
        await keep();
        keptBytes = received;
      }
    } finally {
      await keep();
    }
    signal.throwIfAborted();
    if (session.received < size) throw brokeOff(session);
  }

  /** Nothing is taken for received that is not in the file. */
  async #kept(uid: string): Promise<Progress> {
    const directory = this.#directory(uid);
    const progress = await readProgress(directory);
    const { size } = await stat(sourceIn(directory)).catch(() => ({ size: 0 }));
    return size < progress.received ? { received: 0, mismatches: 0 } : progress;
  }

  #directory(uid: string): string {
    return join(this.#incoming, uploadName(uid, this.#deps.cluster));
  }

  #lookLater(afterMs: number): void {
    if (this.#closed) return;
    this.#timer = this.#deps.clock.timeout(() => {
      // Only then: a mount that hangs must not be asked again and again.
      this.#looking = this.#look().finally(() => this.#lookLater(this.#deps.lookMs ?? lookMsDefault));
    }, afterMs);
  }

  async #look(): Promise<void> {
    try {
      const names = await readdir(this.#incoming).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return [];
        throw error;
      });
      const uids = names.map((name) => name.slice(0, uidLength)).filter((uid, at) => this.#isOf(names[at]!, uid));
      const reports = await Promise.all(uids.map((uid) => this.#reportOf(uid)));
      const found = new Map(reports.flatMap((report) => (report ? [[report.uid, report] as const] : [])));
      const isNews = !sameJson([...this.#found.values()], [...found.values()]);
      this.#found = found;
      if (isNews) this.#deps.changed();
    } catch (error) {
      this.#deps.log.warn('Cannot look for what was uploaded', { reason: messageOf(error) });
    }
  }

  #isOf(name: string, uid: string): boolean {
    return uidPattern.test(uid) && name === uploadName(uid, this.#deps.cluster);
  }

  /** Undefined for what was begun by nobody. */
  async #reportOf(uid: string): Promise<UploadReport | undefined> {
    const { received, total, sha256 } = await this.#kept(uid);
    if (total === undefined || sha256 === undefined) return undefined;
    return { uid, received, size: total, complete: received === total };
  }
}

function requireNext({ offset, size, sha256 }: UploadPiece, kept: Progress): void {
  // From the beginning, whatever came before.
  if (offset === 0) return;
  if (kept.sha256 !== sha256 || kept.total !== size) {
    const before = kept.sha256 === undefined ? 'nothing' : `another file (sha256:${kept.sha256}, ${kept.total} bytes)`;
    throw new UploadError('elsewhere', `What came before is of ${before}: begin at offset 0`);
  }
  if (offset !== kept.received)
    throw new UploadError('elsewhere', `${kept.received} bytes are here: go on there, not at ${offset}`);
}

async function openKept(path: string): Promise<FileHandle> {
  return await open(path, 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return open(path, 'wx+', 0o644);
    throw error;
  });
}

async function writeAll(file: FileHandle, chunk: Buffer, at: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, at + done);
    done += bytesWritten;
  }
}

function brokeOff({ received, size }: Session, cause?: unknown): UploadError {
  const message = `The upload broke off: ${received} of ${size} bytes are here. Go on there`;
  return new UploadError('brokeOff', message, cause === undefined ? {} : { cause });
}

function asUploadError(error: unknown, session: Session): UploadError {
  if (error instanceof UploadError) return error;
  if (error instanceof ImportError)
    return new UploadError(error.terminal ? 'tooLarge' : 'cannot', error.message, { cause: error });
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new UploadError('cannot', 'The image store is full; make room in it', { cause: error });
  return isOfSender(code)
    ? brokeOff(session, error)
    : new UploadError('cannot', 'The host cannot take it now', { cause: error });
}

function onAbort(signal: AbortSignal, act: () => void): Disposable {
  if (signal.aborted) act();
  signal.addEventListener('abort', act, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', act) };
}

/** How a connection says that it is gone. */
function isOfSender(code: string | undefined): boolean {
  return code !== undefined && ['ECONNRESET', 'EPIPE', 'ABORT_ERR', 'ERR_STREAM_PREMATURE_CLOSE'].includes(code);
}

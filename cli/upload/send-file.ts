/** Sends a file to one cluster, and goes on where it broke off for as long as that gets anywhere. */
import type { UploadState } from '#lib/api/host-endpoint.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { ApiError, isCode } from '#lib/std/errors.ts';
import type { Random } from '#lib/std/random.ts';
import type { LocalFile } from './local-file.ts';

export interface Sending {
  readonly file: Pick<LocalFile, 'size' | 'bytes'>;
  readonly sha256: string;
  /** What came of another file before is thrown away. */
  readonly restart: boolean;
  /** What is there. */
  state(): Promise<UploadState>;
  put(offset: number, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<UploadState>;
  /** Whether the Image still waits for its file in this cluster. */
  isWaiting(): Promise<boolean>;
  /** So many bytes have left. */
  told(bytes: number): void;
  /** It broke off, or could not begin, and is tried again. */
  broke(error: ApiError): void;
  readonly clock: Clock;
  readonly random: Random;
}

/** Nothing was taken for so long. A piece is answered when it is on the disk of the host. */
const silenceMs = 90_000;
/** Whoever cannot get on for so long is told how to go on later. A host that is away is given up for another after a minute. */
const patienceMs = 150_000;
const again = { firstMs: 500, maxMs: 10_000 } as const;

/** Resolves when all is there, or nobody waits for it any more. Rejects with ApiError, whose code is ServiceUnavailable for a lost connection. */
export async function sendFile(sending: Sending): Promise<void> {
  const { clock, random, file } = sending;
  let furthest = -1;
  let [failures, gotOnMs] = [0, clock.monotonic()];
  let hasBroken = false;
  for (;;) {
    try {
      const state = await sending.state();
      const offset = nextOffset(sending, state, hasBroken);
      if (offset === undefined) return;
      if (offset > furthest) [furthest, failures, gotOnMs] = [offset, 0, clock.monotonic()];
      if ((await putRest(sending, offset)).complete) return;
    } catch (error) {
      if (isCode(error, 'Conflict') && !(await sending.isWaiting())) return;
      // That another sender is seen after a break may be our own doing, and passes.
      const isBreak = isCode(error, 'ServiceUnavailable', 'Timeout', 'TooManyRequests');
      if (!isBreak && !(hasBroken && isCode(error, 'Conflict'))) throw error;
      hasBroken = true;
      if (clock.monotonic() - gotOnMs >= patienceMs) throw lost(error, Math.max(furthest, 0), file.size);
      sending.broke(error);
      await clock.sleep(backoffMs(++failures, again, random));
    }
  }
}

/** Where to go on; undefined if all is there. */
function nextOffset({ sha256, file, restart }: Sending, state: UploadState, hasBroken: boolean): number | undefined {
  const isOther = state.sha256 !== undefined && (state.sha256 !== sha256 || state.size !== file.size);
  const far = `${state.received} of ${state.size} bytes`;
  if (isOther && !restart) {
    const other = `${far} of another file (sha256:${state.sha256}) were uploaded before`;
    throw new ApiError('Conflict', `${other}. Go on with that file, or throw it away with --restart`);
  }
  if (state.busy && !hasBroken)
    throw new ApiError('Conflict', `Somebody else is uploading it: ${far} are there. Try again later`);
  if (isOther) return 0;
  return state.complete ? undefined : state.received;
}

async function putRest({ file, put, told, clock }: Sending, offset: number): Promise<UploadState> {
  const silent = new AbortController();
  let takenMs = clock.monotonic();
  let unread: { readonly error: unknown } | undefined;
  const chunks = file.bytes(offset)[Symbol.asyncIterator]();
  // Only what goes wrong with the file itself: whoever takes the bytes tells this generator of broken connections, too.
  const read = async (): Promise<IteratorResult<Uint8Array>> => {
    try {
      return await chunks.next();
    } catch (error) {
      unread = { error };
      throw error;
    }
  };
  async function* watched(): AsyncGenerator<Uint8Array> {
    let sent = offset;
    try {
      for (let next = await read(); !next.done; next = await read()) {
        takenMs = clock.monotonic();
        yield next.value;
        sent += next.value.length;
        told(sent);
      }
      takenMs = clock.monotonic();
    } finally {
      await chunks.return?.(undefined);
    }
  }
  const look = (): void => {
    const leftMs = takenMs + silenceMs - clock.monotonic();
    if (leftMs > 0) timer = clock.timeout(look, leftMs);
    else silent.abort(new ApiError('Timeout', `Nothing was taken for ${silenceMs / 1000} s`));
  };
  let timer = clock.timeout(look, silenceMs);
  try {
    return await put(offset, watched(), silent.signal);
  } catch (error) {
    throw unread ? unread.error : error;
  } finally {
    timer[Symbol.dispose]();
  }
}

function lost(cause: ApiError, received: number, size: number): ApiError {
  const message = `The connection was lost: ${received} of ${size} bytes are there (${cause.message})`;
  return new ApiError('ServiceUnavailable', message, { cause });
}

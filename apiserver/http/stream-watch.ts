/** Sends a watch: one JSON object per line, for as long as it goes on. */
import type { WatchEncoder } from '#apiserver/present/watch-encoder.ts';
import type { Watching, WatchMessage } from '#apiserver/verbs/watch.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { HttpResponse } from './transport.ts';

const bookmarkEveryMs = 60_000;
/** The last bookmark comes so long before the end, so that a client resumes from close to it. */
const lastBookmarkMs = 2_000;

export interface StreamOptions {
  readonly clock: Clock;
  /** Aborts when the client has gone or the server stops. */
  readonly signal: AbortSignal;
  /** Told how many events were sent. */
  readonly sent: (count: number) => void;
}

/** Resolves when the watch is over; the response is then ended. */
export async function streamWatch(
  response: HttpResponse,
  watching: Watching,
  encode: WatchEncoder,
  options: StreamOptions,
): Promise<void> {
  using stack = new DisposableStack();
  stack.use(watching);
  response.statusCode = 200;
  response.setHeader('content-type', 'application/json');
  response.setHeader('cache-control', 'no-cache, private');
  // Node sends headers with the first byte of the body; a client of a quiet watch would wait for them for ever.
  response.flushHeaders();
  const end = () => watching[Symbol.dispose]();
  options.signal.addEventListener('abort', end, { once: true });
  stack.defer(() => options.signal.removeEventListener('abort', end));
  stack.use(options.clock.timeout(end, watching.durationMs));
  stack.use(bookmarks(response, watching, encode, options.clock));
  for await (const batch of watching.messages) {
    await writeBatch(response, batch, encode, options.signal);
    options.sent(batch.length);
  }
  response.end();
}

async function writeBatch(
  response: HttpResponse,
  batch: readonly WatchMessage[],
  encode: WatchEncoder,
  signal: AbortSignal,
): Promise<void> {
  if (response.write(batch.map(encode).join(''))) return;
  // Not reading from the watch meanwhile is what bounds memory: its queue fills up and the cache cuts it off.
  await new Promise<void>((resolve) => {
    const go = () => {
      response.off('drain', go).off('close', go);
      signal.removeEventListener('abort', go);
      resolve();
    };
    response.on('drain', go).on('close', go);
    signal.addEventListener('abort', go, { once: true });
  });
}

/** One every minute, and one shortly before the end. A bookmark is only sent when nothing older is waiting to be. */
function bookmarks(response: HttpResponse, watching: Watching, encode: WatchEncoder, clock: Clock): Disposable {
  const send = () => {
    const rev = watching.bookmark();
    if (rev !== undefined && !response.writableNeedDrain)
      response.write(encode({ type: 'BOOKMARK', rev, initialEventsEnd: false }));
  };
  let next: Disposable;
  const again = () => {
    send();
    next = clock.timeout(again, bookmarkEveryMs);
  };
  next = clock.timeout(again, bookmarkEveryMs);
  // A watch so short that it ends at once has nothing to resume.
  const last = watching.durationMs > 2 * lastBookmarkMs ? watching.durationMs - lastBookmarkMs : bookmarkEveryMs;
  const final = clock.timeout(send, last);
  return {
    [Symbol.dispose]() {
      next[Symbol.dispose]();
      final[Symbol.dispose]();
    },
  };
}

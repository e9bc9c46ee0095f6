/** Sends a watch: one JSON object per line, for as long as it goes on. */
import type { WatchEncoder } from '#apiserver/present/watch-encoder.ts';
import type { Watching, WatchMessage } from '#apiserver/verbs/watch.ts';
import type { Clock } from '#lib/std/clock.ts';
import { drained, onAbort, type Waiting } from './drained.ts';
import type { HttpResponse } from './transport.ts';

/** Characters that are encoded before the client has to take them. */
const portionChars = 64 * 1024;
const bookmarkEveryMs = 60_000;
/** The last bookmark comes so long before the end, so that a client resumes from close to it. */
const lastBookmarkMs = 2_000;

export interface StreamOptions {
  readonly clock: Clock;
  /** Aborts when the client has gone. */
  readonly gone: AbortSignal;
  /** Aborts when the server stops: the watch then ends as if its time were up. */
  readonly leave: AbortSignal;
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
  // Node sends headers with the first byte of the body; a client of a quiet watch would wait for them for ever.
  response.flushHeaders();
  const end = () => watching[Symbol.dispose]();
  let sending = false;
  const bookmark = () => {
    // What was taken from the watch is older than its bookmark.
    if (!sending) sendBookmark(response, watching, encode);
  };
  stack.use(onAbort(options.gone, end));
  stack.use(
    onAbort(options.leave, () => {
      bookmark();
      end();
    }),
  );
  stack.use(options.clock.timeout(end, watching.durationMs));
  stack.use(bookmarks(bookmark, watching.durationMs, options.clock));
  const over = AbortSignal.any([options.gone, options.leave]);
  for await (const batch of watching.messages) {
    sending = true;
    await writeBatch(response, batch, encode, { clock: options.clock, over });
    sending = false;
    options.sent(batch.length);
  }
  response.end();
}

/**
 * In portions, so that of a large batch for a slow client no more is in memory than it is about to take. Not reading from the watch meanwhile
 * bounds the rest: its queue fills up and the cache cuts it off.
 */
async function writeBatch(
  response: HttpResponse,
  batch: readonly WatchMessage[],
  encode: WatchEncoder,
  waiting: Waiting,
): Promise<void> {
  let portion = '';
  for (const [index, message] of batch.entries()) {
    portion += encode(message);
    if (portion.length < portionChars && index < batch.length - 1) continue;
    if (!response.write(portion)) await drained(response, waiting);
    if (waiting.over.aborted || response.destroyed) return;
    portion = '';
  }
}

/** A bookmark is only sent when nothing older is waiting to be. */
function sendBookmark(response: HttpResponse, watching: Watching, encode: WatchEncoder): void {
  const rev = watching.bookmark();
  if (rev !== undefined && !response.writableNeedDrain)
    response.write(encode({ type: 'BOOKMARK', rev, initialEventsEnd: false }));
}

/** One every minute, and one shortly before the end. */
function bookmarks(send: () => void, durationMs: number, clock: Clock): Disposable {
  let next: Disposable;
  const again = () => {
    send();
    next = clock.timeout(again, bookmarkEveryMs);
  };
  next = clock.timeout(again, bookmarkEveryMs);
  // A watch so short that it ends at once has nothing to resume.
  const last = durationMs > 2 * lastBookmarkMs ? durationMs - lastBookmarkMs : bookmarkEveryMs;
  const final = clock.timeout(send, last);
  return {
    [Symbol.dispose]() {
      next[Symbol.dispose]();
      final[Symbol.dispose]();
    },
  };
}

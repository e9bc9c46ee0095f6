/**
 * Keeps the store from growing without end. Every few minutes it forgets history up to where the store was one round ago, so that
 * whoever listed or was cut off within a round can still go on.
 *
 * Servers that share a store agree by a key: who moves it is the one to compact in this round. One that finds it moved by another
 * waits a round more.
 */
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { Rev, Store } from './store.ts';

export interface CompactorOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Length of a round: 5 minutes unless told, as in Kubernetes. */
  readonly everyMs?: number;
}

const markKey = 'meta/compaction';

interface Seen {
  /** Revision of the whole store. */
  readonly rev: Rev;
  /** Of the key; undefined if it was not there. */
  readonly markRev: Rev | undefined;
}

/** Compacts until disposed of. Failures are logged; the next round makes up for them. */
export function startCompactor(options: CompactorOptions): Disposable {
  const { clock, random, log, everyMs = 300_000 } = options;
  const over = new AbortController();
  const run = async () => {
    let seen: Seen | undefined;
    while (!over.signal.aborted) {
      try {
        seen = await oneRound(options, seen);
      } catch (error) {
        log.warn('Cannot compact the store, will try again', { error });
      }
      // Jitter, so that servers started together do not all come at once.
      await clock
        .sleep(backoffMs(1, { firstMs: everyMs, maxMs: everyMs, jitter: 0.1 }, random), over.signal)
        .catch(() => {
          // Only disposal ends the sleep early, and the loop looks at that itself.
        });
    }
  };
  void run();
  return { [Symbol.dispose]: () => over.abort() };
}

async function oneRound({ store, log }: CompactorOptions, before: Seen | undefined): Promise<Seen> {
  const { kv, rev } = await store.get(markKey);
  const now = { rev, markRev: kv?.modRev };
  const idle = before?.rev === rev;
  if (!before || idle || before.markRev !== now.markRev) return now;
  const markRev = await moveMark(store, before.rev, now.markRev);
  if (markRev === undefined) return now;
  await store.compact(before.rev);
  log.info('Compacted the store', { rev: `${before.rev}` });
  return { rev: markRev, markRev };
}

/** The mark's new revision; undefined if another server was faster. */
async function moveMark(store: Store, rev: Rev, expected: Rev | undefined): Promise<Rev | undefined> {
  const value = new TextEncoder().encode(String(rev));
  const result =
    expected === undefined ? await store.create(markKey, value) : await store.update(markKey, value, expected);
  return result.ok ? result.rev : undefined;
}

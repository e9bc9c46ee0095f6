/**
 * Keeps the store from growing without end. Every few minutes it forgets history up to where the store was one round ago, so that
 * whoever listed or was cut off within a round can still go on; and never what the slowest watch cache has yet to hear.
 *
 * Servers that share a store agree by a key: who moves it is the one to compact in this round. One that finds it moved by another
 * waits a round more. How far the caches of each server are stands in a key of its own (see watermarks.ts).
 */
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { Rev, Store } from './store.ts';
import { Watermarks } from './watermarks.ts';

export interface CompactorOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Length of a round: 5 minutes unless told, as in Kubernetes. */
  readonly everyMs?: number;
  /** The revision that all watch caches of this server have reached; undefined if there is none that has to be waited for. */
  readonly reached?: () => Rev | undefined;
}

const markKey = 'meta/compaction';
/** A cache that stays behind for so many rounds is not waited for: it lists anew, as it does after any loss. */
const patienceRounds = 6;

interface Seen {
  /** Revision of the whole store at the beginning of the round. */
  readonly rev: Rev;
  /** And at its end. */
  readonly endRev: Rev;
  /** Of the key; undefined if it was not there. */
  readonly markRev: Rev | undefined;
}

/** Compacts until disposed of. Failures are logged; the next round makes up for them. */
export function startCompactor(options: CompactorOptions): Disposable {
  const { clock, random, log, everyMs = 300_000 } = options;
  const over = new AbortController();
  const compactor = new Compactor(options, everyMs);
  const run = async () => {
    while (!over.signal.aborted) {
      await compactor.round().catch((error: unknown) => {
        log.warn('Cannot compact the store, will try again', { error });
      });
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

class Compactor {
  readonly #options: CompactorOptions;
  readonly #watermarks: Watermarks;
  /** Of the last rounds, the newest last. */
  #rounds: Seen[] = [];

  constructor(options: CompactorOptions, everyMs: number) {
    const { store, clock, random } = options;
    this.#options = options;
    this.#watermarks = new Watermarks({ store, clock, own: random.uuid(), staleMs: 3 * everyMs });
  }

  async round(): Promise<void> {
    const { store, reached = () => undefined } = this.#options;
    const { kv, rev } = await store.get(markKey);
    const before = this.#rounds.at(-1);
    if (before?.endRev === rev) return; // at rest
    const reportRev = await this.#watermarks.report(reached());
    const endRev = before && before.markRev === kv?.modRev ? await this.#compact(before, kv?.modRev) : undefined;
    this.#rounds.push({ rev, endRev: endRev ?? reportRev ?? rev, markRev: endRev ?? kv?.modRev });
    if (this.#rounds.length > patienceRounds) this.#rounds.shift();
  }

  /** Revision of the mark; undefined if another server was faster. */
  async #compact(before: Seen, markRev: Rev | undefined): Promise<Rev | undefined> {
    const { store, log } = this.#options;
    const target = await this.#target(before.rev);
    const moved = await moveMark(store, target, markRev);
    if (moved === undefined) return undefined;
    await store.compact(target);
    log.info('Compacted the store', { rev: `${target}` });
    return moved;
  }

  async #target(wanted: Rev): Promise<Rev> {
    const slowest = await this.#watermarks.lowest();
    if (slowest === undefined || slowest >= wanted) return wanted;
    const longAgo = this.#rounds.length === patienceRounds ? this.#rounds[0]!.rev : 0n;
    return slowest > longAgo ? slowest : longAgo;
  }
}

/** The mark's new revision; undefined if another server was faster. */
async function moveMark(store: Store, rev: Rev, expected: Rev | undefined): Promise<Rev | undefined> {
  const value = new TextEncoder().encode(String(rev));
  const result =
    expected === undefined ? await store.create(markKey, value) : await store.update(markKey, value, expected);
  return result.ok ? result.rev : undefined;
}

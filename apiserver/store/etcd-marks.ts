/**
 * How a watch on an old etcd proves that it has caught up. Before 3.4.31 etcd's own progress notifications can overtake events, so they
 * prove nothing; but events of one watch come in order. So a key inside the watched range is written, and when the watch hears of it,
 * it has heard of all before it. That key is the prefix itself: no object has an empty name, and lists begin behind it.
 *
 * Costs a write, so all who ask within a moment share one.
 */
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';

const gatherMs = 5;
/** etcd refuses transactions of more than 128 operations. */
const maxPerWrite = 100;

/** Writes all these keys in one transaction, so that all their watches reach the same revision. */
export type WriteMarks = (keys: readonly string[]) => Promise<unknown>;

export class ProgressMarks {
  readonly #write: WriteMarks;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #wanted = new Set<string>();
  #busy = false;

  constructor(write: WriteMarks, clock: Clock, log: Log) {
    this.#write = write;
    this.#clock = clock;
    this.#log = log;
  }

  /** A mark is on its way soon. If it fails nothing is said: whoever waits asks again. */
  request(key: string): void {
    this.#wanted.add(key);
    if (!this.#busy) void this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    this.#busy = true;
    while (this.#wanted.size > 0) {
      await this.#clock.sleep(gatherMs);
      const keys = [...this.#wanted].slice(0, maxPerWrite);
      for (const key of keys) this.#wanted.delete(key);
      await this.#write(keys).catch((error: unknown) => this.#log.debug('Cannot mark progress', { error }));
    }
    this.#busy = false;
  }
}

export function isMark(key: string): boolean {
  return key.endsWith('/');
}

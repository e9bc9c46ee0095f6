/** How far the watch caches of every server that shares the store have come: one key per server, written once per round of compaction. */
import type { Clock } from '#lib/std/clock.ts';
import type { KeyValue, Rev, Store } from './store.ts';

export interface WatermarksOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Name of this server, different at every start. */
  readonly own: string;
  /** One that was not written for so long belongs to a server that is no more; clocks of servers must agree better than that. */
  readonly staleMs: number;
}

interface Watermark {
  readonly rev: Rev;
  readonly atMs: number;
}

const prefix = 'meta/caches/';

export class Watermarks {
  readonly #options: WatermarksOptions;

  constructor(options: WatermarksOptions) {
    this.#options = options;
  }

  /** Says how far this server is. Resolves with the revision of that; undefined if there is nothing to say. */
  async report(reached: Rev | undefined): Promise<Rev | undefined> {
    if (reached === undefined) return undefined;
    const { store, clock, own } = this.#options;
    const key = prefix + own;
    const value = new TextEncoder().encode(JSON.stringify({ rev: String(reached), atMs: clock.now() }));
    const { kv } = await store.get(key);
    const result = kv ? await store.update(key, value, kv.modRev) : await store.create(key, value);
    return result.ok ? result.rev : undefined;
  }

  /** The least of all; undefined if no server says anything. Those of servers that are no more are removed. */
  async lowest(): Promise<Rev | undefined> {
    const { store, clock, staleMs } = this.#options;
    let lowest: Rev | undefined;
    for (const kv of (await store.list(prefix)).kvs) {
      const { rev, atMs } = read(kv);
      if (clock.now() - atMs > staleMs) await store.delete(kv.key, kv.modRev);
      else if (lowest === undefined || rev < lowest) lowest = rev;
    }
    return lowest;
  }
}

/** One that cannot be read counts as very old. */
function read(kv: KeyValue): Watermark {
  try {
    const { rev, atMs } = JSON.parse(new TextDecoder().decode(kv.value)) as { rev: string; atMs: number };
    return { rev: BigInt(rev), atMs };
  } catch {
    return { rev: 0n, atMs: 0 };
  }
}

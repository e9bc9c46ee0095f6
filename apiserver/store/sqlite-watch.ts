import { prefixEnd } from './keys.ts';
import type { Statements } from './sqlite-file.ts';
import {
  CompactedError,
  FutureRevisionError,
  type Rev,
  type StoreEvent,
  type StoreWatch,
  type WatchSink,
} from './store.ts';

const pageRows = 500;

interface Watcher {
  readonly prefix: string;
  readonly end: string;
  readonly sink: WatchSink;
  /** The next revision to deliver. */
  next: Rev;
  /** False while it still reads old changes from the log. */
  live: boolean;
}

/**
 * Everyone who watches one SQLite store. A watcher first reads the log, a page per turn of the event loop; when nothing is left it
 * is live and hears of commits directly. Both happen in one thread, so there is no moment in between to lose a change in.
 */
export class WatchHub {
  readonly #run: Statements;
  readonly #state: { readonly rev: Rev; readonly compactRev: Rev };
  readonly #watchers = new Set<Watcher>();

  /** `state` is read when it is needed: it must always show the last commit. */
  constructor(run: Statements, state: { readonly rev: Rev; readonly compactRev: Rev }) {
    this.#run = run;
    this.#state = state;
  }

  add(prefix: string, from: Rev, sink: WatchSink): StoreWatch {
    const watcher: Watcher = { prefix, end: prefixEnd(prefix), sink, next: from, live: false };
    this.#watchers.add(watcher);
    setImmediate(() => this.#catchUp(watcher));
    return {
      requestProgress: () => setImmediate(() => this.#progress(watcher)),
      [Symbol.dispose]: () => this.#watchers.delete(watcher),
    };
  }

  /** Hands out what one commit changed. To be called after it, in order. */
  publish(events: readonly StoreEvent[]): void {
    for (const watcher of this.#watchers) {
      if (!watcher.live) continue;
      const own = events.filter((event) => event.key.startsWith(watcher.prefix));
      watcher.next = this.#state.rev + 1n;
      if (own.length > 0) watcher.sink.events(own);
    }
  }

  /** Ends every watch that still has to read what is about to be forgotten. */
  compacted(): void {
    for (const watcher of this.#watchers) if (!watcher.live) this.#refuse(watcher);
  }

  close(): void {
    this.#watchers.clear();
  }

  #catchUp(watcher: Watcher): void {
    if (!this.#watchers.has(watcher) || this.#refuse(watcher)) return;
    const { next, prefix, end } = watcher;
    const rows = this.#run.changes.all({ from: next, after: prefix, end, limit: pageRows }) as unknown as ChangeRow[];
    const events = rows.map(toEvent);
    watcher.live = rows.length < pageRows;
    watcher.next = watcher.live ? this.#state.rev + 1n : events.at(-1)!.rev + 1n;
    if (events.length > 0) watcher.sink.events(events);
    if (!watcher.live) setImmediate(() => this.#catchUp(watcher));
  }

  /** Ends a watch that cannot go on from where it is. */
  #refuse(watcher: Watcher): boolean {
    const { rev, compactRev } = this.#state;
    let error: Error | undefined;
    if (watcher.next < compactRev) error = new CompactedError(watcher.next, compactRev);
    else if (watcher.next > rev + 1n) error = new FutureRevisionError(watcher.next, rev);
    if (error && this.#watchers.delete(watcher)) watcher.sink.ended(error);
    return error !== undefined;
  }

  #progress(watcher: Watcher): void {
    if (watcher.live && this.#watchers.has(watcher)) watcher.sink.progress(this.#state.rev);
  }
}

interface ChangeRow {
  readonly rev: bigint;
  readonly key: string;
  readonly create_rev: bigint;
  readonly deleted: bigint;
  readonly value: Uint8Array;
  readonly prev_rev: bigint | null;
  readonly prev_create_rev: bigint | null;
  readonly prev_value: Uint8Array | null;
}

function toEvent(row: ChangeRow): StoreEvent {
  const { key, rev } = row;
  const prev =
    row.prev_rev === null
      ? {}
      : { prev: { key, value: row.prev_value!, createRev: row.prev_create_rev!, modRev: row.prev_rev } };
  if (row.deleted === 1n) return { type: 'delete', key, rev, ...prev };
  return { type: 'put', key, rev, kv: { key, value: row.value, createRev: row.create_rev, modRev: rev }, ...prev };
}

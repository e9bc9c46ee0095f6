/**
 * The agent's journal: a snapshot, then one JSON record per line. A record is written before anybody outside sees its effect; a kill
 * between two lines loses nothing, and a line cut short by it is left out, because nothing came of it yet. Meant to survive the
 * process, not the machine: on a reboot executors are gone anyway, so nothing is forced to the disk.
 */
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { TaskStatus } from '#mesos/types.ts';
import { apply, type Checkpoint, emptyCheckpoint, type JournalRecord, pendingOf, recordsOf } from './checkpoint.ts';

/** The first line of a journal holds the updates of the snapshot, which are no events any more. */
interface Header {
  readonly version: 1;
  readonly updates: readonly (readonly [key: string, updates: readonly TaskStatus[]])[];
}

const minRecordsBeforeCompaction = 20_000;

export class Journal implements Disposable {
  readonly state: Checkpoint;
  readonly #path: string;
  #file: number;
  #records = 0;

  /** Opens or makes the journal at `path` and compacts it. Throws if it cannot be read. */
  constructor(path: string) {
    mkdirSync(dirname(path), { recursive: true });
    this.#path = path;
    this.state = load(path);
    this.#file = this.#rewrite();
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  /** Stores the record, then applies it. On return it survives kill -9. */
  append(record: JournalRecord): void {
    writeSync(this.#file, `${JSON.stringify(record)}\n`);
    apply(this.state, record);
    const live = this.state.tasks.size + this.state.executors.size + this.state.updates.size;
    if (++this.#records < minRecordsBeforeCompaction + 4 * live) return;
    closeSync(this.#file);
    this.#file = this.#rewrite();
  }

  #rewrite(): number {
    const header: Header = { version: 1, updates: pendingOf(this.state) };
    const lines = [header, ...recordsOf(this.state)].map((line) => `${JSON.stringify(line)}\n`);
    const next = `${this.#path}.new`;
    writeFileSync(next, lines.join(''));
    renameSync(next, this.#path);
    this.#records = 0;
    return openSync(this.#path, 'a');
  }
}

function load(path: string): Checkpoint {
  const state = emptyCheckpoint();
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return state;
    throw error;
  }
  const lines = text.split('\n');
  lines.pop(); // Empty, or the beginning of a record that was never written to its end.
  for (const [index, line] of lines.entries()) {
    try {
      if (index > 0) apply(state, JSON.parse(line) as JournalRecord);
      else for (const [key, updates] of (JSON.parse(line) as Header).updates) state.updates.set(key, [...updates]);
    } catch (cause) {
      throw new Error(`Cannot read line ${index + 1} of the agent's journal ${path}; move it away to start anew`, {
        cause,
      });
    }
  }
  return state;
}

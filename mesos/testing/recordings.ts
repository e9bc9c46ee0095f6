/** Reads the recordings of a real Mesos in testdata/, for tests. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '../testdata');
const marker = /^<<< \[(\w+)\] +[\d.]+ record, chunk=(\d+) bytes:\n/gm;

export interface RecordedStream {
  readonly file: string;
  /** The recorder's name of the connection. */
  readonly stream: string;
  /** Every record as it came, length line and body. */
  readonly records: readonly Buffer[];
}

export function recordingFiles(): string[] {
  return readdirSync(folder).filter((name) => name.endsWith('.txt'));
}

/** The event streams of one recording. The marker tells the size of the chunk, which held exactly one record each time. */
export function recordedStreams(file: string): RecordedStream[] {
  const bytes = readFileSync(join(folder, file));
  const streams = new Map<string, Buffer[]>();
  // latin1 keeps one character per byte, so that places in the text are places in the bytes.
  for (const match of bytes.toString('latin1').matchAll(marker)) {
    const start = match.index + match[0].length;
    const records = streams.get(match[1]!) ?? [];
    records.push(bytes.subarray(start, start + Number(match[2])));
    streams.set(match[1]!, records);
  }
  return [...streams].map(([stream, records]) => ({ file, stream, records }));
}

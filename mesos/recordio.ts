/**
 * RecordIO, the framing of every Mesos event stream: `<length in bytes, decimal>\n<that many bytes>`, nothing in between. HTTP chunks
 * mean nothing: one may hold many records, or half of one, or end inside a UTF-8 sequence.
 */
import { stringifyLossless } from './json.ts';

const newline = 0x0a;
const zero = 0x30;
const maxDigits = 12;

/** The operator stream of a large cluster begins with a snapshot of tens of MiB; nothing honest is larger than this. */
export const maxRecordBytes = 256 * 2 ** 20;

/** The stream is not RecordIO, or a record is larger than allowed. The connection is of no further use. */
export class RecordError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RecordError';
  }
}

/** One record holding `value` as JSON. */
export function encodeRecord(value: unknown): Buffer {
  return recordOf(stringifyLossless(value));
}

/** One record holding this text. */
export function recordOf(text: string): Buffer {
  const body = Buffer.from(text, 'utf8');
  return Buffer.concat([Buffer.from(`${body.length}\n`, 'latin1'), body]);
}

/**
 * Takes bytes as they come and gives the records that are complete. Holds at most one incomplete record, never copies a record that
 * arrived whole.
 */
export class RecordDecoder {
  readonly #maxBytes: number;
  /** Digits of a length line that has not ended yet. */
  #digits = 0;
  #length = 0;
  /** Bytes still missing from the record, or -1 while its length line is being read. */
  #missing = -1;
  #parts: Uint8Array[] = [];

  constructor(maxBytes = maxRecordBytes) {
    this.#maxBytes = maxBytes;
  }

  /** True between records: the only place where a stream may end. */
  get atBoundary(): boolean {
    return this.#betweenRecords() && this.#digits === 0;
  }

  #betweenRecords(): boolean {
    return this.#missing === -1;
  }

  /** The records that `chunk` completes, as bytes. Throws RecordError for anything that is not RecordIO. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#betweenRecords()) {
        at = this.#readLength(chunk, at);
        if (this.#betweenRecords() || this.#missing > 0) continue;
      }
      const end = Math.min(chunk.length, at + this.#missing);
      this.#missing -= end - at;
      const part = chunk.subarray(at, end);
      at = end;
      if (this.#missing > 0) this.#parts.push(part);
      else yield this.#finish(part);
    }
  }

  #readLength(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (byte === newline && this.#digits > 0) {
        this.#missing = this.#length;
        this.#digits = 0;
        this.#length = 0;
        return at + 1;
      }
      const digit = byte - zero;
      if (digit < 0 || digit > 9)
        throw new RecordError(`Byte ${byte} where the length of a record was expected: this is not a RecordIO stream`);
      if (++this.#digits > maxDigits) throw new RecordError(`The length of a record has more than ${maxDigits} digits`);
      this.#length = this.#length * 10 + digit;
      if (this.#length > this.#maxBytes)
        throw new RecordError(`A record of at least ${this.#length} bytes is more than the ${this.#maxBytes} allowed`);
    }
    return chunk.length;
  }

  #finish(last: Uint8Array): Uint8Array {
    const record = this.#parts.length === 0 ? last : Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    this.#missing = -1;
    return record;
  }
}

/** The JSON of a record. Throws RecordError if it is none. */
export function parseRecord(record: Uint8Array): unknown {
  const text = Buffer.from(record.buffer, record.byteOffset, record.byteLength).toString('utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RecordError(`A record of ${record.length} bytes is not JSON (${text.slice(0, 80)}…): ${String(error)}`);
  }
}

/**
 * The records of a stream as JSON. Ends when the stream ends between two records; throws RecordError when it ends inside one, and
 * whatever the stream throws.
 */
export async function* decodeRecords(
  stream: AsyncIterable<Uint8Array>,
  maxBytes = maxRecordBytes,
): AsyncGenerator<unknown> {
  const decoder = new RecordDecoder(maxBytes);
  for await (const chunk of stream) {
    for (const record of decoder.push(chunk)) yield parseRecord(record);
  }
  if (!decoder.atBoundary) throw new RecordError('The stream ended in the middle of a record');
}

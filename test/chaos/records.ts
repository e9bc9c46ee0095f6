/** RecordIO as it is overheard on the imitated network: pieces of a stream, which need not be whole records. */

export interface Overheard {
  /** Bytes of a record that is not whole yet. */
  rest: Buffer;
}

/** The records that this piece completes, as objects. */
export function* recordsOf(overheard: Overheard, piece: Buffer): Generator<unknown> {
  overheard.rest = Buffer.concat([overheard.rest, piece]);
  for (;;) {
    const { rest } = overheard;
    const at = rest.indexOf('\n');
    const end = at + 1 + Number(rest.subarray(0, at).toString());
    if (at < 0 || rest.length < end) return;
    overheard.rest = rest.subarray(end);
    yield JSON.parse(rest.subarray(at + 1, end).toString());
  }
}

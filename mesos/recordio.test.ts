import { describe, expect, test } from 'vitest';
import { fc } from '#test/properties.ts';
import { decodeRecords, encodeRecord, parseRecord, RecordDecoder, RecordError } from './recordio.ts';

function decode(chunks: readonly Uint8Array[], maxBytes?: number): unknown[] {
  const decoder = new RecordDecoder(maxBytes);
  return chunks.flatMap((chunk) => [...decoder.push(chunk)]).map(parseRecord);
}

/** `bytes` cut at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Uint8Array[] {
  const edges = [0, ...[...places].sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((end, index) => bytes.subarray(edges[index]!, end));
}

describe('RecordDecoder', () => {
  test('gives back what was encoded, wherever the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue(), { maxLength: 6 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true })),
        (values, places) => {
          const bytes = Buffer.concat(values.map(encodeRecord));
          const chunks = cut(
            bytes,
            places.map((place) => Math.floor(place * bytes.length)),
          );
          expect(decode(chunks)).toEqual(JSON.parse(JSON.stringify(values)));
        },
      ),
    );
  });

  test('counts bytes, not characters', () => {
    const record = encodeRecord({ name: 'Škoda 🚗' });
    expect(Number.parseInt(record.toString('latin1'), 10)).toBe(Buffer.byteLength('{"name":"Škoda 🚗"}'));
  });

  test('gives an empty record too', () => {
    expect([...new RecordDecoder().push(Buffer.from('0\n0\n'))]).toHaveLength(2);
  });

  test.each([
    ['letters', 'abc\n'],
    ['a line without digits', '\n'],
    ['a sign', '-4\n'],
    ['endless zeros', '0'.repeat(40)],
  ])('refuses %s in place of a length', (_, text) => {
    expect(() => decode([Buffer.from(text)])).toThrow(RecordError);
  });

  test('refuses a record over the limit before it arrives', () => {
    expect(() => decode([Buffer.from('101\n')], 100)).toThrow(/more than the 100 allowed/);
  });
});

describe('decodeRecords', () => {
  async function* stream(text: string): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  }

  test('ends with the stream', async () => {
    expect(await Array.fromAsync(decodeRecords(stream('2\n{}1\n7')))).toEqual([{}, 7]);
  });

  test.each(['2\n{', '12', '2\n'])('a stream that ends after %j is an error', async (text) => {
    await expect(Array.fromAsync(decodeRecords(stream(text)))).rejects.toThrow('middle of a record');
  });

  test('a record that is not JSON is an error that shows its start', async () => {
    await expect(Array.fromAsync(decodeRecords(stream('2\n{!')))).rejects.toThrow(/not JSON \(\{!/);
  });
});

/** The wire format of protocol buffers, as much of it as writing strings, flags and nested messages takes. */

/** A field of a message: its number, and a text, a flag or a message. */
export type Field = readonly [number: number, value: string | boolean | Buffer];

const lengthDelimited = 2;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}

export function message(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(encodeField));
}

function encodeField([number, value]: Field): Buffer {
  if (typeof value === 'boolean') return Buffer.concat([varint(number * 8), varint(value ? 1 : 0)]);
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
  return Buffer.concat([varint(number * 8 + lengthDelimited), varint(bytes.length), bytes]);
}

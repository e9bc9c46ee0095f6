/** The wire format of protocol buffers, by protobufjs: the fields of a message one by one, and messages from their fields. */
import protobuf from 'protobufjs/minimal.js';

/** A field as it stands on the wire. The type of its value says how it was written: as a varint, as 8 bytes, or with a length. */
export interface WireField {
  readonly number: number;
  readonly value: bigint | number | Uint8Array;
}

const varint = 0;
const fixed64 = 1;
const lengthDelimited = 2;

/** Fields in the order written; those with another wire type than Kubernetes uses are skipped. Throws an Error where the bytes make no sense. */
export function* readFields(bytes: Uint8Array): Generator<WireField> {
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const number = tag >>> 3;
    if (number === 0) throw new RangeError(`Field number 0 at offset ${reader.pos}`);
    switch (tag & 7) {
      case varint:
        yield { number, value: BigInt(reader.int64().toString()) };
        break;
      case fixed64:
        yield { number, value: reader.double() };
        break;
      case lengthDelimited:
        yield { number, value: reader.bytes() };
        break;
      default:
        reader.skipType(tag & 7);
    }
  }
}

/** A field to write: integers and flags become varints, `{double}` 8 bytes, texts and bytes have a length. */
export type Field = readonly [
  number: number,
  value: string | boolean | bigint | Uint8Array | { readonly double: number },
];

export function writeMessage(fields: readonly Field[]): Buffer {
  const writer = protobuf.Writer.create();
  for (const [number, value] of fields) {
    if (typeof value === 'boolean') writer.uint32(number * 8 + varint).bool(value);
    else if (typeof value === 'bigint') writer.uint32(number * 8 + varint).int64(value.toString());
    else if (typeof value === 'string') writer.uint32(number * 8 + lengthDelimited).string(value);
    else if (value instanceof Uint8Array) writer.uint32(number * 8 + lengthDelimited).bytes(value);
    else writer.uint32(number * 8 + fixed64).double(value.double);
  }
  const bytes = writer.finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * XDR (RFC 4506), the part that libvirt's protocol uses. Everything is a multiple of four bytes, big-endian; strings and opaque data
 * carry their length and are padded with zeros. Encoders return buffers to be put one after the other.
 */

export function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
}

export function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

/** Fixed-length opaque data: no length in front. */
export function opaque(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(padding(bytes.length))]);
}

export function string(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  return Buffer.concat([uint32(bytes.length), opaque(bytes)]);
}

/** Opaque data of any length: its length in front. */
export function bytes(data: Buffer): Buffer {
  return Buffer.concat([uint32(data.length), opaque(data)]);
}

/** A pointer that may be null: a flag, then the value if there is one. */
export function optional<T>(value: T | undefined, encode: (value: T) => Buffer): Buffer {
  return value === undefined ? uint32(0) : Buffer.concat([uint32(1), encode(value)]);
}

function padding(length: number): number {
  return (4 - (length % 4)) % 4;
}

/** Reads values one after the other. Throws a RangeError at the end of the data, and for lengths that go beyond it. */
export class XdrReader {
  readonly #data: Buffer;
  #at = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  int32(): number {
    return this.#take(4).readInt32BE();
  }

  uint32(): number {
    return this.#take(4).readUInt32BE();
  }

  /** An unsigned hyper. Beyond 2^53 a RangeError: nothing that we ask for is that large. */
  uint64(): number {
    const value = this.#take(8).readBigUInt64BE();
    if (value > Number.MAX_SAFE_INTEGER) throw new RangeError(`Cannot read an XDR hyper beyond 2^53: ${value}`);
    return Number(value);
  }

  opaque(length: number): Buffer {
    const bytes = Buffer.from(this.#take(length));
    this.#take(padding(length));
    return bytes;
  }

  string(): string {
    return this.bytes().toString('utf8');
  }

  /** Opaque data of any length. */
  bytes(): Buffer {
    return this.opaque(this.uint32());
  }

  optional<T>(decode: () => T): T | undefined {
    return this.uint32() === 0 ? undefined : decode();
  }

  /** A counted list; `most` bounds what a broken sender can make us allocate. */
  list<T>(decode: () => T, most: number): T[] {
    const count = this.uint32();
    if (count > most) throw new RangeError(`Cannot read an XDR list of ${count} items, at most ${most} are allowed`);
    return Array.from({ length: count }, decode);
  }

  /** All that is left, as it is: a stream carries no XDR. */
  rest(): Buffer {
    return Buffer.from(this.#take(this.remaining));
  }

  get remaining(): number {
    return this.#data.length - this.#at;
  }

  #take(length: number): Buffer {
    if (length > this.remaining) {
      throw new RangeError(`Cannot read ${length} bytes of XDR at ${this.#at}: only ${this.remaining} are left`);
    }
    const bytes = this.#data.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }
}

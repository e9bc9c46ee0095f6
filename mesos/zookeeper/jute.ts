/**
 * Jute, ZooKeeper's encoding (zookeeper-jute/src/main/java/org/apache/jute): big-endian integers; strings and buffers after their length,
 * -1 for none; vectors after their count. On the wire every message is a frame: four bytes of length, then the message.
 */
export class JuteWriter {
  readonly #parts: Buffer[] = [];

  int(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    this.#parts.push(bytes);
    return this;
  }

  long(value: bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(value);
    this.#parts.push(bytes);
    return this;
  }

  bool(value: boolean): this {
    this.#parts.push(Buffer.of(value ? 1 : 0));
    return this;
  }

  buffer(value: Buffer): this {
    this.int(value.length).#parts.push(value);
    return this;
  }

  string(value: string): this {
    return this.buffer(Buffer.from(value));
  }

  raw(bytes: Buffer): this {
    this.#parts.push(bytes);
    return this;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  frame(): Buffer {
    const body = this.bytes();
    return new JuteWriter().buffer(body).bytes();
  }
}

/** Throws RangeError where a message ends too early. */
export class JuteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  int(): number {
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  long(): bigint {
    this.#at += 8;
    return this.#bytes.readBigInt64BE(this.#at - 8);
  }

  buffer(): Buffer {
    const length = Math.max(0, this.int());
    if (length > this.left) throw new RangeError(`A message of ZooKeeper ends ${length - this.left} bytes too early`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  string(): string {
    return this.buffer().toString('utf8');
  }

  strings(): string[] {
    const count = Math.max(0, this.int());
    if (count * 4 > this.left) throw new RangeError(`A message of ZooKeeper cannot hold ${count} strings`);
    return Array.from({ length: count }, () => this.string());
  }
}

/** A server's own bound on a message is 1 MiB unless changed (jute.maxbuffer). */
const maxFrameBytes = 16 * 2 ** 20;

/** Cuts the bytes of a connection into frames. Throws RangeError for a length that no server sends. */
export class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Buffer[] = [];
    for (;;) {
      if (this.#rest.length < 4) return frames;
      const length = this.#rest.readInt32BE();
      if (length < 0 || length > maxFrameBytes)
        throw new RangeError(`ZooKeeper announced a message of ${length} bytes`);
      if (this.#rest.length < 4 + length) return frames;
      frames.push(this.#rest.subarray(4, 4 + length));
      this.#rest = this.#rest.subarray(4 + length);
    }
  }
}

/** Pictures as PNG (RFC 2083): 8 bits a colour, no alpha. */
import { promisify } from 'node:util';
import { crc32, deflate } from 'node:zlib';

/** Three bytes a pixel, red, green and blue, line after line. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Buffer;
}

const compress = promisify(deflate);
const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const [bitDepth, trueColour] = [8, 2];
/** A screen has many lines that are as the one above: only the difference is written. */
const filterUp = 2;

export function isPng(bytes: Buffer): boolean {
  return bytes.subarray(0, signature.length).equals(signature);
}

export async function png({ width, height, rgb }: Picture): Promise<Buffer> {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = bitDepth;
  header[9] = trueColour;
  const data = await compress(filtered(width, height, rgb), { level: 3 });
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

function filtered(width: number, height: number, rgb: Buffer): Buffer {
  const line = width * 3;
  const out = Buffer.alloc((line + 1) * height);
  for (let y = 0, to = 0; y < height; y++) {
    out[to++] = filterUp;
    for (let from = y * line; from < (y + 1) * line; from++) out[to++] = rgb[from]! - (y === 0 ? 0 : rgb[from - line]!);
  }
  return out;
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

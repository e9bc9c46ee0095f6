/** The screen of an imitated guest: one colour of its own, served as RFB 3.8 (RFC 6143) to whoever asks for it. */
import { createHash } from 'node:crypto';
import { Duplex, type DuplexOptions } from 'node:stream';
import type { Picture } from '../console/png.ts';
import { rfbInput } from '../console/rfb-input.ts';
import type { DomainSpec } from '../hypervisor.ts';

const [width, height] = [320, 200];
const [framebufferUpdate, raw] = [0, 0];

export function simPicture({ uid }: Pick<DomainSpec, 'uid'>): Picture {
  const colour = createHash('sha256').update(uid).digest().subarray(0, 3);
  return { width, height, rgb: Buffer.alloc(width * height * 3, colour) };
}

/** Never changes: each request for an update is answered with all of it, in 32 bits a pixel, whatever form was asked for. */
export function simScreen(picture: Picture): Duplex {
  const input = rfbInput();
  const screen = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _, done) {
      try {
        for (const message of input(chunk)) answer(message.type);
        done();
      } catch (error) {
        done(error as Error);
      }
    },
    final: (done) => {
      screen.push(null);
      done();
    },
  } satisfies DuplexOptions);
  const answer = (type: string | number) => {
    if (type === 'version') screen.push(Buffer.from([1, 1])); // one security type: none
    if (type === 'security') screen.push(Buffer.alloc(4)); // it is fine
    if (type === 'init') screen.push(serverInit(picture));
    if (type === 3) screen.push(update(picture));
  };
  screen.push('RFB 003.008\n');
  return screen;
}

function serverInit({ width, height }: Picture): Buffer {
  const name = Buffer.from('Imitated guest');
  const head = Buffer.alloc(24);
  head.writeUInt16BE(width, 0);
  head.writeUInt16BE(height, 2);
  // 32 bits a pixel of which 24 count, little-endian, true colour: red, green and blue up to 255 at 16, 8 and 0.
  Buffer.from([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0]).copy(head, 4);
  head.writeUInt32BE(name.length, 20);
  return Buffer.concat([head, name]);
}

function update({ width, height, rgb }: Picture): Buffer {
  const head = Buffer.alloc(16);
  head[0] = framebufferUpdate;
  head.writeUInt16BE(1, 2);
  head.writeUInt16BE(width, 8);
  head.writeUInt16BE(height, 10);
  head.writeInt32BE(raw, 12);
  const pixels = Buffer.alloc(width * height * 4);
  for (let at = 0; at < width * height; at++) pixels.writeUInt32LE(rgb.readUIntBE(at * 3, 3), at * 4);
  return Buffer.concat([head, pixels]);
}

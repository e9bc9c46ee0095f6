import { execFileSync } from 'node:child_process';
import { inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { hasProgram } from '#test/requires.ts';
import { png } from './png.ts';

const picture = { width: 2, height: 3, rgb: Buffer.from([1, 2, 3, 255, 254, 253, 1, 2, 3, 0, 0, 0, 9, 9, 9, 7, 7, 7]) };

test('what comes out is what went in', async () => {
  const bytes = await png(picture);
  expect(bytes.toString('latin1', 1, 4)).toBe('PNG');
  expect([bytes.readUInt32BE(16), bytes.readUInt32BE(20)]).toEqual([2, 3]);
  const at = bytes.indexOf('IDAT');
  const lines = inflateSync(bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at - 4)));
  const rgb = Buffer.alloc(picture.rgb.length);
  for (let y = 0; y < 3; y++)
    for (let x = 0; x < 6; x++) rgb[y * 6 + x] = lines[y * 7 + x + 1]! + (y === 0 ? 0 : rgb[(y - 1) * 6 + x]!);
  expect(rgb).toEqual(picture.rgb);
});

test.skipIf(!hasProgram('python3'))('a reader of another house takes it, checksums and all', async () => {
  const script = `import sys, zlib, struct
d = sys.stdin.buffer.read()
assert d[:8] == b"\\x89PNG\\r\\n\\x1a\\n"
at = 8
while at < len(d):
    n, = struct.unpack(">I", d[at:at + 4])
    assert struct.unpack(">I", d[at + 8 + n:at + 12 + n])[0] == zlib.crc32(d[at + 4:at + 8 + n])
    print(d[at + 4:at + 8].decode(), n)
    at += 12 + n`;
  const text = execFileSync('python3', ['-c', script], { input: await png(picture), encoding: 'utf8' });
  expect(text).toMatch(/^IHDR 13\nIDAT \d+\nIEND 0\n$/);
});

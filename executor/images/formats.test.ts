import { describe, expect, test } from 'vitest';
import { detect } from './formats.ts';

const seen = (head: Buffer, tail: Buffer = Buffer.alloc(0), size = head.length) => detect({ head, tail, size });

describe('detect() of qcow2', () => {
  function header(change: (head: Buffer) => void): Buffer {
    const head = Buffer.alloc(512);
    head.write('QFI\xfb', 'latin1');
    head.writeUInt32BE(3, 4);
    head.writeUInt32BE(16, 20);
    head.writeBigUInt64BE(65_536n, 24);
    head.writeUInt32BE(104, 100);
    change(head);
    return head;
  }

  test('takes what is well formed', () => {
    expect(seen(header(() => undefined))).toEqual({ format: 'qcow2', virtualSize: 65_536 });
  });

  const hostile: [string, (head: Buffer) => void][] = [
    ['version 4', (head) => head.writeUInt32BE(4, 4)],
    ['a backing file offset', (head) => head.writeBigUInt64BE(512n, 8)],
    ['a backing file length', (head) => head.writeUInt32BE(9, 16)],
    ['clusters of a gigabyte', (head) => head.writeUInt32BE(30, 20)],
    ['encryption', (head) => head.writeUInt32BE(2, 32)],
    ['a huge L1 table', (head) => head.writeUInt32BE(0xffffffff, 36)],
    ['snapshots', (head) => head.writeUInt32BE(1, 60)],
    ['the external data bit', (head) => head.writeBigUInt64BE(4n, 72)],
    ['an unknown incompatible bit', (head) => head.writeBigUInt64BE(1n << 40n, 72)],
    ['a header beyond its cluster', (head) => head.writeUInt32BE(1_000_000, 100)],
    ['an extension with a data file', (head) => head.writeUInt32BE(0x44415441, 104)],
    [
      'extensions without end',
      (head) => head.writeUInt32BE(0x12345678, 104).valueOf() && head.writeUInt32BE(0xffffff, 108),
    ],
    ['a virtual size of 0', (head) => head.writeBigUInt64BE(0n, 24)],
    ['a virtual size beyond numbers', (head) => head.writeBigUInt64BE(2n ** 63n, 24)],
  ];
  test.each(hostile)('refuses %s', (_, change) => {
    expect(() => seen(header(change))).toThrow();
  });

  test('refuses a header that is cut anywhere', () => {
    const whole = header(() => undefined);
    for (let length = 4; length < 104; length++) expect(() => seen(whole.subarray(0, length))).toThrow();
  });
});

describe('detect() of vmdk', () => {
  function header(change: (head: Buffer) => void = () => undefined): Buffer {
    const head = Buffer.alloc(65_536);
    head.write('KDMV', 'latin1');
    head.writeBigUInt64LE(2048n, 12);
    head.writeBigUInt64LE(1n, 28);
    head.writeBigUInt64LE(20n, 36);
    head.write('# Disk DescriptorFile\nparentCID=ffffffff\n', 512);
    change(head);
    return head;
  }

  test('takes what is well formed', () => expect(seen(header())).toEqual({ format: 'vmdk' }));

  test.each<[string, (head: Buffer) => void, string]>([
    ['a parent', (head) => head.write('parentFileNameHint="/etc/hostname"', 600), 'BackingFile'],
    ['no capacity', (head) => head.writeBigUInt64LE(0n, 12), 'ExternalDataFile'],
    ['a description elsewhere', (head) => head.writeBigUInt64LE(1000n, 28), 'UnsupportedFormat'],
    ['a description without end', (head) => head.writeBigUInt64LE(2n ** 60n, 36), 'UnsupportedFormat'],
  ])('refuses %s', (_, change, reason) => {
    expect(() => seen(header(change))).toThrow(expect.objectContaining({ reason, terminal: true }));
  });

  test('refuses a description that stands alone, and a header that is cut', () => {
    const alone = Buffer.from('# Disk DescriptorFile\nRW 128 FLAT "/etc/shadow" 0\n');
    expect(() => seen(alone)).toThrow(expect.objectContaining({ reason: 'ExternalDataFile' }));
    expect(() => seen(header().subarray(0, 300))).toThrow(expect.objectContaining({ reason: 'UnsupportedFormat' }));
  });
});

describe('detect() of vhd', () => {
  function footer(type: number): Buffer {
    const bytes = Buffer.alloc(512);
    bytes.write('conectix');
    bytes.writeUInt32BE(type, 60);
    bytes.writeUInt32BE(~bytes.reduce((a, b) => a + b) >>> 0, 64);
    return bytes;
  }

  test('takes it at either end', () => {
    expect(seen(footer(3))).toEqual({ format: 'vhd' });
    expect(seen(Buffer.alloc(512), footer(2), 1024)).toEqual({ format: 'vhd' });
  });

  test('the cookie alone makes no vhd', () => {
    expect(seen(Buffer.alloc(512), Buffer.from('conectix'.padEnd(512)), 1024)).toEqual({
      format: 'raw',
      virtualSize: 1024,
    });
  });

  test.each([
    [4, 'BackingFile'],
    [9, 'UnsupportedFormat'],
  ])('refuses type %i', (type, reason) => {
    expect(() => seen(footer(type))).toThrow(expect.objectContaining({ reason, terminal: true }));
  });
});

test('detect() of anything else', () => {
  expect(seen(Buffer.from('anything'))).toEqual({ format: 'raw', virtualSize: 512 });
  expect(seen(Buffer.from('vhdxfile'))).toEqual({ format: 'vhdx' });
  expect(() => seen(Buffer.alloc(0))).toThrow(expect.objectContaining({ reason: 'Empty' }));
  expect(() => seen(Buffer.from('LUKS\xba\xbe', 'latin1'))).toThrow(expect.objectContaining({ reason: 'Encrypted' }));
});

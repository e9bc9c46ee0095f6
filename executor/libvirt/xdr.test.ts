import { expect, test } from 'vitest';
import { fc } from '#test/properties.ts';
import * as xdr from './xdr.ts';
import { XdrReader } from './xdr.ts';

test('strings are padded to four bytes with zeros', () => {
  expect(xdr.string('hello').toString('hex')).toBe('0000000568656c6c6f000000');
  expect(xdr.string('').toString('hex')).toBe('00000000');
});

test('what is written is read back', () => {
  const values = fc.tuple(
    fc.string({ unit: 'grapheme' }),
    fc.integer(),
    fc.nat(),
    fc.option(fc.string(), { nil: undefined }),
  );
  fc.assert(
    fc.property(values, ([text, signed, unsigned, maybe]) => {
      const data = Buffer.concat([
        xdr.string(text),
        xdr.int32(signed),
        xdr.uint32(unsigned),
        xdr.optional(maybe, xdr.string),
      ]);
      const reader = new XdrReader(data);
      const read = [reader.string(), reader.int32(), reader.uint32(), reader.optional(() => reader.string())];
      expect(read).toEqual([text, signed, unsigned, maybe]);
      expect(reader.remaining).toBe(0);
    }),
  );
});

test.each([
  ['a string that is cut off', () => new XdrReader(Buffer.from('0000000568656c', 'hex')).string()],
  ['a length far beyond the data', () => new XdrReader(Buffer.from('ffffffff00000000', 'hex')).string()],
  ['a list that is too long', () => new XdrReader(xdr.uint32(5)).list(() => 0, 4)],
  ['a hyper beyond 2^53', () => new XdrReader(Buffer.alloc(8, 0xff)).uint64()],
])('reading %s is a RangeError', (_, read) => {
  expect(read).toThrow(RangeError);
});

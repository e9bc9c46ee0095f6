import { describe, expect, test } from 'vitest';
import { MachineError } from './hypervisor.ts';
import { MoveText, moveTextBytesMax, requireSameShape, writeMoveText } from './move-text.ts';

const shape = { cores: 1, memoryMiB: 64, macs: ['52:54:00:00:00:01'], dataDisks: ['data'], devices: ['rng'] };

test('what one host writes the other one reads', () => {
  const cookie = Buffer.from([0, 255, 10]);
  const text = writeMoveText({ step: 'begin', uid: 'u', cookie: cookie.toString('base64'), paused: false, ...shape });
  const read = new MoveText(text, 'begin');
  expect([read.string('uid'), read.bytes('cookie'), read.flag('paused')]).toEqual(['u', cookie, false]);
  expect(read.shape()).toEqual(shape);
  expect([read.optionalCount('cores'), read.optionalCount('none')]).toEqual([1, undefined]);
});

test('a text that is too long is neither written nor read', () => {
  const long = 'x'.repeat(moveTextBytesMax);
  expect(() => writeMoveText({ long })).toThrow(RangeError);
  expect(() => new MoveText(JSON.stringify({ step: 'begin', long }), 'begin')).toThrow('longer than');
});

describe('what has another form is refused by its name', () => {
  const read = (fields: object) => new MoveText(JSON.stringify({ step: 'begin', ...fields }), 'begin');
  test.each([
    ['a number for text', () => read({ a: 1 }).string('a')],
    ['nothing for text', () => read({}).string('a')],
    ['text for a number', () => read({ a: '1' }).count('a')],
    ['less than nothing', () => read({ a: -1 }).count('a')],
    ['a part of a number', () => read({ a: 0.5 }).count('a')],
    ['more than can be counted', () => read({ a: 2 ** 60 }).count('a')],
    ['text for a flag', () => read({ a: 'true' }).flag('a')],
    ['no base64', () => read({ a: 'a"<' }).bytes('a')],
    ['a list with a number in it', () => read({ a: ['b', 1] }).strings('a')],
    ['a list with text in it', () => read({ a: [1, 'b'] }).counts('a')],
    ['too long a list', () => read({ a: new Array(1000).fill('b') }).strings('a')],
    ['what every object has', () => read({ b: 1 }).string('constructor')],
  ])('%s', (_, reading) => {
    expect(reading).toThrow('nothing that could be');
  });

  test.each(['', 'null', '[]', '"text"', '{', '{"step":"send"}', '{"__proto__":{"step":"begin"}}'])('%j', (text) => {
    expect(() => new MoveText(text, 'begin')).toThrow('other host');
  });
});

test('machines that are made otherwise are told apart, in words for the user', () => {
  expect(requireSameShape(shape, { ...shape })).toBeUndefined();
  expect(() => requireSameShape(shape, { ...shape, macs: [] })).toThrow(MachineError);
  expect(() => requireSameShape(shape, { ...shape, devices: [] })).toThrow('restart it first');
  expect(() => requireSameShape(shape, { ...shape, dataDisks: ['data', 'more'] })).toThrow(
    'it has the dataDisks ["data"], and would have ["data","more"] there',
  );
});

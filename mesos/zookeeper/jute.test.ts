import { expect, test } from 'vitest';
import { FrameSplitter, JuteReader, JuteWriter } from './jute.ts';

test('what is written is read', () => {
  const bytes = new JuteWriter()
    .int(-2)
    .long(-1n)
    .string('käse')
    .buffer(Buffer.of(1, 2))
    .int(2)
    .string('a')
    .string('')
    .bytes();
  const reader = new JuteReader(bytes);
  expect(reader.int()).toBe(-2);
  expect(reader.long()).toBe(-1n);
  expect(reader.string()).toBe('käse');
  expect([...reader.buffer()]).toEqual([1, 2]);
  expect(reader.strings()).toEqual(['a', '']);
  expect(reader.left).toBe(0);
});

test('frames come out whole, wherever the bytes are cut', () => {
  const frames = ['', 'one', 'another one'].map((text) => new JuteWriter().raw(Buffer.from(text)).frame());
  const bytes = Buffer.concat(frames);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const splitter = new FrameSplitter();
    const got = [...splitter.push(bytes.subarray(0, cut)), ...splitter.push(bytes.subarray(cut))];
    expect(got.map(String)).toEqual(['', 'one', 'another one']);
  }
});

test('lengths that no message can have are refused before anything is kept', () => {
  expect(() => new FrameSplitter().push(new JuteWriter().int(2 ** 30).bytes())).toThrow(RangeError);
  expect(() => new FrameSplitter().push(new JuteWriter().int(-1).bytes())).toThrow(RangeError);
  expect(() => new JuteReader(new JuteWriter().int(9).bytes()).buffer()).toThrow(RangeError);
  expect(() => new JuteReader(new JuteWriter().int(2 ** 30).bytes()).strings()).toThrow(RangeError);
  expect(() => new JuteReader(Buffer.of(1, 2)).int()).toThrow(RangeError);
});

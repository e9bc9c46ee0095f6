import { expect, test } from 'vitest';
import { type CacheEvent, EventBuffer } from './events.ts';

const limits = { minEvents: 3, minAgeMs: 1_000, maxEvents: 5 };
const event = (rev: bigint): CacheEvent<object> => ({
  type: 'ADDED',
  rev,
  entry: { key: `k${rev}`, rev, object: {}, memo: new Map() },
});

function filled(revs: readonly bigint[], atMs: (i: number) => number): EventBuffer<object> {
  const buffer = new EventBuffer<object>(limits);
  buffer.reset(1n);
  revs.forEach((rev, i) => {
    buffer.push(event(rev), atMs(i));
  });
  return buffer;
}

test('EventBuffer gives all events behind a revision, whether there was one at it or not', () => {
  const buffer = filled([2n, 5n, 9n], () => 0);
  const after = (rev: bigint) => buffer.after(rev).map(({ rev }) => rev);
  expect([after(1n), after(2n), after(4n), after(9n), after(50n)]).toEqual([[2n, 5n, 9n], [5n, 9n], [5n, 9n], [], []]);
});

test('EventBuffer forgets old events beyond the least number, and says Expired to who asks for them', () => {
  const buffer = filled([2n, 3n, 4n, 5n], (i) => i * 2_000);
  expect(buffer.after(2n).map(({ rev }) => rev)).toEqual([3n, 4n, 5n]);
  expect(() => buffer.after(1n)).toThrow(expect.objectContaining({ code: 'Expired' }));
});

test('EventBuffer keeps more while they are young, up to its bound', () => {
  expect(filled([2n, 3n, 4n, 5n, 6n], () => 0).after(1n)).toHaveLength(5);
  expect(() => filled([2n, 3n, 4n, 5n, 6n, 7n], () => 0).after(1n)).toThrow('too old resource version: 1 (2)');
});

test('EventBuffer forgets all by reset()', () => {
  const buffer = filled([2n, 3n], () => 0);
  buffer.reset(8n);
  expect(() => buffer.after(3n)).toThrow('too old');
  expect(buffer.after(8n)).toEqual([]);
});

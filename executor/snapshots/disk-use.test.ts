import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { DiskNeededError, DiskUse } from './disk-use.ts';

const never = new AbortController().signal;
const untilAborted = async (signal: AbortSignal): Promise<void> => {
  await sleep(10_000, undefined, { signal });
};

test('a start ends the copy under way and those that wait, and begins when they have let go', async () => {
  const use = new DiskUse();
  const order: string[] = [];
  const begun = Promise.withResolvers<void>();
  const copy = use.yielding('a', never, async (signal) => {
    begun.resolve();
    await untilAborted(signal).catch(() => undefined);
    await sleep(20);
    order.push('copy ended');
    throw new Error('cut');
  });
  await begun.promise;
  const waiting = use.yielding('a', never, async () => void order.push('never'));
  const start = use.first('a', async () => void order.push('started'));
  await expect(copy).rejects.toThrow(DiskNeededError);
  await expect(waiting).rejects.toThrow(DiskNeededError);
  await start;
  expect(order).toEqual(['copy ended', 'started']);
  expect(await use.yielding('a', never, async () => 'free again')).toBe('free again');
});

test('copies of one machine wait for each other, those of others do not', async () => {
  const use = new DiskUse();
  let inside = 0;
  const one = async () => {
    inside += 1;
    await sleep(10);
    expect(inside).toBe(1);
    inside -= 1;
  };
  await Promise.all([use.yielding('a', never, one), use.yielding('a', never, one), use.yielding('a', never, one)]);
  const stop = new AbortController();
  const blocking = use.yielding('a', stop.signal, untilAborted);
  expect(await use.yielding('b', never, async () => 'other')).toBe('other');
  stop.abort(new Error('enough'));
  await expect(blocking).rejects.toThrow('enough');
});

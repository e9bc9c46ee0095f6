import { expect, it } from 'vitest';
import { seededRandom } from '#lib/std/random.ts';
import { fc } from '#test/properties.ts';
import { idle, VirtualClock } from '#test/virtual-clock.ts';
import { Delays } from './delays.ts';
import { WorkQueue } from './queue.ts';

function setUp() {
  const clock = new VirtualClock();
  return { clock, queue: new WorkQueue(clock, seededRandom(1)) };
}

it('hands a key out once however often it was added', async () => {
  const { queue } = setUp();
  for (const key of ['a', 'b', 'a', 'a']) queue.add(key);
  expect([await queue.next(), await queue.next()]).toEqual(['a', 'b']);
  expect(queue.stats).toEqual({ ready: 0, processing: 2, delayed: 0 });
});

it('never hands a key out while it is worked on, and once more afterwards if it was added meanwhile', async () => {
  const { queue } = setUp();
  queue.add('a');
  await queue.next();
  queue.add('a');
  queue.add('a');
  let second: string | undefined;
  const waiting = queue.next().then((key) => {
    second = key;
  });
  await idle();
  expect(second).toBeUndefined();
  queue.done('a');
  await waiting;
  expect(second).toBe('a');
  queue.done('a');
  expect(queue.stats).toEqual({ ready: 0, processing: 0, delayed: 0 });
});

it('serves real changes before the rest, also when a key is promoted', async () => {
  const { queue } = setUp();
  for (const key of ['old-1', 'old-2', 'old-3']) queue.add(key, 'low');
  queue.add('new', 'high');
  queue.add('old-3', 'high');
  const order = [];
  for (let taken = 0; taken < 4; taken++) order.push(await queue.next());
  expect(order).toEqual(['new', 'old-3', 'old-1', 'old-2']);
});

it('adds a delayed key at the earliest of its times', async () => {
  const { clock, queue } = setUp();
  queue.addAfter('a', 5_000);
  queue.addAfter('a', 1_000);
  queue.addAfter('a', 9_000);
  let got: string | undefined;
  const waiting = queue.next().then((key) => {
    got = key;
  });
  await clock.advance(999);
  expect(got).toBeUndefined();
  await clock.advance(1);
  await waiting;
  expect(got).toBe('a');
  expect(queue.stats.delayed).toBe(0);
});

it('waits longer after each failure, up to a minute, and starts over after forget()', async () => {
  const { clock, queue } = setUp();
  const delayOf = async (): Promise<number> => {
    queue.retry('a');
    const next = queue.next();
    const startedMs = clock.now();
    while (queue.stats.delayed > 0) await clock.advance(1);
    await next;
    queue.done('a');
    return clock.now() - startedMs;
  };
  const delays = [];
  for (let failure = 0; failure < 8; failure++) delays.push(await delayOf());
  for (const [failure, delay] of delays.entries()) {
    expect(delay).toBeGreaterThanOrEqual(20 * 2 ** failure * 0.75 - 1);
    expect(delay).toBeLessThanOrEqual(20 * 2 ** failure * 1.25 + 1);
  }
  queue.forget('a');
  expect(await delayOf()).toBeLessThanOrEqual(26);
});

it('slows retries of all keys together when everything fails', async () => {
  const { queue, clock } = setUp();
  for (let key = 0; key < 300; key++) queue.retry(`key-${key}`);
  // The first hundred come at once, the others twenty per second.
  await clock.advance(1_000);
  expect(queue.stats.ready).toBeGreaterThanOrEqual(100);
  expect(queue.stats.ready).toBeLessThanOrEqual(125);
  await clock.advance(10_000);
  expect(queue.stats).toEqual({ ready: 300, processing: 0, delayed: 0 });
});

it('tells whoever waits when it is closed', async () => {
  const { queue } = setUp();
  const waiting = queue.next();
  queue.close();
  expect(await waiting).toBeUndefined();
  queue.add('late');
  expect(await queue.next()).toBeUndefined();
});

it('Delays gives out every key once, at its earliest time, in order', () => {
  const entries = fc.array(fc.tuple(fc.constantFrom(...'abcdefgh'), fc.integer({ min: 0, max: 50 })), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(entries, (adds) => {
      const delays = new Delays();
      const earliest = new Map<string, number>();
      for (const [key, dueMs] of adds) {
        delays.add(key, dueMs);
        earliest.set(key, Math.min(dueMs, earliest.get(key) ?? dueMs));
      }
      const seen: [string, number][] = [];
      for (let nowMs = 0; nowMs <= 50; nowMs++) for (const key of delays.take(nowMs)) seen.push([key, nowMs]);
      expect(new Map(seen)).toEqual(earliest);
      expect(seen.length).toBe(earliest.size);
      expect(delays.size).toBe(0);
    }),
  );
});

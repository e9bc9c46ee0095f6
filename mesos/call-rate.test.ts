import { expect, test } from 'vitest';
import { VirtualClock } from '#test/virtual-clock.ts';
import { CallRate } from './call-rate.ts';

const never = new AbortController().signal;

test('a burst goes at once, then one call after the other as fast as is allowed, in order', async () => {
  const clock = new VirtualClock();
  const rate = new CallRate(clock, { perSecond: 10, burst: 3 });
  const gone: number[] = [];
  const startMs = clock.monotonic();
  const sending = (async () => {
    for (let call = 0; call < 6; call++) {
      await rate.take(never);
      gone.push(clock.monotonic() - startMs);
    }
  })();
  await clock.advance(1_000);
  await sending;
  expect(gone.map(Math.round)).toEqual([0, 0, 0, 100, 200, 300]);
});

test('a wait ends with the connection', async () => {
  const clock = new VirtualClock();
  const rate = new CallRate(clock, { perSecond: 1, burst: 1 });
  const closed = new AbortController();
  await rate.take(closed.signal);
  const waiting = rate.take(closed.signal);
  closed.abort(new Error('closed'));
  await expect(waiting).rejects.toThrow('closed');
});

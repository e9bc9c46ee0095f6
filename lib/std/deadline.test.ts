import { expect, it } from 'vitest';
import { VirtualClock } from '#test/virtual-clock.ts';
import { deadline } from './deadline.ts';

it('deadline(): aborts when the time is up, and says what took too long', async () => {
  const clock = new VirtualClock();
  using late = deadline(clock, 100, 'Looking');
  await clock.advance(99);
  expect(late.signal.aborted).toBe(false);
  await clock.advance(1);
  expect(String(late.signal.reason)).toBe('Error: Looking took longer than 100 ms');
});

it('deadline(): aborts with its parent, at once if that has aborted already', () => {
  const clock = new VirtualClock();
  const parent = new AbortController();
  using before = deadline(clock, 100, 'Looking', parent.signal);
  parent.abort('enough');
  using after = deadline(clock, 100, 'Looking', parent.signal);
  expect([before.signal.reason, after.signal.reason]).toEqual(['enough', 'enough']);
});

it('deadline(): once disposed of, neither time nor its parent aborts it', async () => {
  const clock = new VirtualClock();
  const parent = new AbortController();
  const early = deadline(clock, 100, 'Looking', parent.signal);
  early[Symbol.dispose]();
  await clock.advance(200);
  parent.abort();
  expect(early.signal.aborted).toBe(false);
});

import { expect, it } from 'vitest';
import { VirtualClock } from '#test/virtual-clock.ts';
import { Ticker } from './ticker.ts';

async function ticking(isBusy: () => boolean) {
  const clock = new VirtualClock();
  const startMs = clock.now();
  const ticker = new Ticker(clock);
  const stop = new AbortController();
  const at: number[] = [];
  const ended = ticker.run(async () => {
    at.push(clock.now() - startMs);
    return isBusy();
  }, stop.signal);
  await clock.advance(0);
  return { clock, ticker, at, stop, ended };
}

it('Ticker: twice a second while busy, every five seconds while not', async () => {
  let isBusy = true;
  const { clock, at, stop, ended } = await ticking(() => isBusy);
  await clock.advance(1_000);
  isBusy = false;
  await clock.advance(11_000);
  expect(at).toEqual([0, 500, 1_000, 1_500, 6_500, 11_500]);
  stop.abort();
  await ended;
});

it('Ticker: what happens meanwhile is looked at within half a second', async () => {
  const { clock, ticker, at, stop, ended } = await ticking(() => false);
  await clock.advance(300);
  ticker.stir();
  await clock.advance(2_700);
  ticker.stir();
  await clock.advance(1);
  expect(at).toEqual([0, 500, 3_000]);
  stop.abort();
  await ended;
});

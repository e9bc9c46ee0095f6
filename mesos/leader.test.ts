import { expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { chooseMaster } from './leader.ts';

const parts = { clock: systemClock, random: seededRandom(1), log: silentLog };
const never = new AbortController().signal;

test('after a master that another one named has failed, that other one is asked, though the failed one stands next', async () => {
  await using choice = chooseMaster(['http://a:5050', 'http://b:5050'], parts);
  expect(await choice.next(never)).toBe('http://a:5050');
  choice.redirected('//b:5050');
  expect(await choice.next(never)).toBe('http://b:5050');
  choice.succeeded();
  choice.failed();
  expect(await choice.next(never)).toBe('http://a:5050');
});

test('after one that is in no list, the next of the list is asked', async () => {
  await using choice = chooseMaster(['http://a:5050', 'http://b:5050'], parts);
  choice.redirected('//c:5050');
  expect(await choice.next(never)).toBe('http://c:5050');
  choice.failed();
  expect(await choice.next(never)).toBe('http://b:5050');
});

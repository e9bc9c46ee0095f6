import { expect, test } from 'vitest';
import type { Clock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import type { Caller } from './access.ts';
import { OpenStreams } from './open-streams.ts';

/** Time passes when it is told to. */
function handClock(): Clock & { pass(ms: number): void } {
  let now = 0;
  const timers = new Map<object, { at: number; callback: () => void }>();
  return {
    now: () => now,
    monotonic: () => now,
    timeout(callback, delayMs) {
      const key = {};
      // As Node's timers do, which hold 24 days.
      timers.set(key, { at: now + Math.min(delayMs, 2 ** 31 - 1), callback });
      return { [Symbol.dispose]: () => void timers.delete(key) };
    },
    sleep: () => Promise.reject(new Error('Nobody sleeps here')),
    pass(ms) {
      now += ms;
      for (const [key, { at, callback }] of [...timers]) if (at <= now && timers.delete(key)) callback();
    },
  };
}

const attributes = { verb: 'watch', group: '', resource: 'configmaps' };
const user = { name: 'vera', groups: [] };
const day = 86_400_000;

test('a stream ends when its credential expires, however far that is', () => {
  const clock = handClock();
  using streams = new OpenStreams({ clock, log: silentLog, isAllowed: () => true });
  const caller: Caller = { user, sender: { user, expiresMs: 30 * day } };
  using stream = streams.open(caller, attributes);
  clock.pass(25 * day);
  expect(stream.signal.aborted).toBe(false);
  clock.pass(5 * day);
  expect(stream.signal.aborted).toBe(true);
});

test('after a change each stream is asked about once, all of them soon', () => {
  const clock = handClock();
  const asked: string[] = [];
  let allowed = true;
  const isAllowed = ({ caller }: { caller: Caller }) => {
    asked.push(caller.user.name);
    return allowed;
  };
  using streams = new OpenStreams({ clock, log: silentLog, isAllowed });
  const open = Array.from({ length: 1_200 }, () => streams.open({ user, sender: { user } }, attributes));
  asked.length = 0;
  allowed = false;
  streams.recheck();
  streams.recheck();
  for (let turn = 0; turn < 5; turn++) clock.pass(250);
  expect(asked).toHaveLength(1_200);
  expect(open.every(({ signal }) => signal.aborted)).toBe(true);
});

test('a stream whose right was gone before it began ends at once', () => {
  using streams = new OpenStreams({ clock: handClock(), log: silentLog, isAllowed: () => false });
  using stream = streams.open({ user, sender: { user } }, attributes);
  expect(stream.signal.aborted).toBe(true);
});

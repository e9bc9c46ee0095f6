/** When a mount is believed to hang, and when it is repaired; on a clock of its own. */
import { expect, test } from 'vitest';
import { healthyStore, judgeStore, type StoreSeen, type StoreTimes } from './health.ts';

const times: StoreTimes = { everyMs: 10_000, hungMs: 90_000, staleMs: 20_000 };
const fine: StoreSeen = { look: { outcome: 'Answers' }, hasClient: true, users: [], stuck: [] };
const silent: StoreSeen = { ...fine, look: { outcome: 'Silent' } };

/** Looks as often as it is told to, each of which takes 10 s where there is no answer; returns when which word was said and when it was repaired. */
function watch(seenAt: (nowMs: number) => StoreSeen, forMs: number) {
  let [state, nowMs] = [healthyStore, 0];
  const words: string[] = [];
  const repairs: number[] = [];
  while (nowMs < forMs) {
    const seen = seenAt(nowMs);
    if (seen.look.outcome === 'Silent') nowMs += 10_000;
    const verdict = judgeStore(state, seen, nowMs, times);
    ({ state } = verdict);
    const { usable, reason } = verdict.report;
    const word = `${usable ? '' : 'not '}usable: ${reason}`;
    if (words.at(-1) !== word) words.push(word);
    if (verdict.repair) repairs.push(nowMs);
    nowMs += verdict.nextLookMs;
  }
  return { words, repairs, state };
}

test('a store that answers is looked at every 10 s and left alone', () => {
  expect(watch(() => fine, 600_000)).toMatchObject({ words: ['usable: Answers'], repairs: [] });
});

test('one look without an answer is not believed', () => {
  expect(watch((nowMs) => (nowMs === 20_000 ? silent : fine), 200_000).words).toEqual(['usable: Answers']);
});

test.each([42, 47, 60])('a brick that is given up after %i s is noticed and not repaired', (seconds) => {
  const { words, repairs } = watch(
    (nowMs) => (nowMs >= 20_000 && nowMs < 20_000 + seconds * 1000 ? silent : fine),
    400_000,
  );
  expect(words).toEqual(['usable: Answers', 'not usable: Hung', 'usable: Answers']);
  expect(repairs).toEqual([]);
});

test('one that hangs for good is repaired after 90 s, and not again at once if that does not help', () => {
  const { words, repairs } = watch(() => silent, 500_000);
  expect(words).toEqual(['usable: Answers', 'not usable: Hung']);
  expect(repairs[0]).toBeGreaterThanOrEqual(100_000);
  expect(repairs[0]).toBeLessThan(140_000);
  expect(repairs[1]! - repairs[0]!).toBeGreaterThanOrEqual(300_000);
});

test('guests that run on it hold the repair up, by name, until they are off', () => {
  const { repairs } = watch((nowMs) => ({ ...silent, users: nowMs < 400_000 ? ['a', 'b'] : [] }), 500_000);
  expect(repairs).toHaveLength(1);
  expect(repairs[0]).toBeGreaterThanOrEqual(400_000);
  const { report } = judgeStore({ badLooks: 5, badSinceMs: 0 }, { ...silent, users: ['b', 'a'] }, 100_000, times);
  expect(report.message).toContain(
    'as soon as the 2 machines that run on it are off: drain the host, or stop or restart a, b',
  );
});

test('one whose client is gone is mounted anew soon, whoever has it open: that stays broken', () => {
  const stale: StoreSeen = { ...fine, look: { outcome: 'Refuses', message: 'x' }, hasClient: false, users: ['a'] };
  const { words, repairs } = watch(() => stale, 60_000);
  expect(words).toEqual(['usable: Answers', 'not usable: Stale']);
  expect(repairs[0]).toBeGreaterThanOrEqual(20_000);
  expect(repairs[0]).toBeLessThan(45_000);
});

test('one that refuses with a living client is not repaired: its bricks are too few, or its disk is broken', () => {
  const { words, repairs } = watch(() => ({ ...fine, look: { outcome: 'Refuses', message: 'EIO' } }), 900_000);
  expect(words).toEqual(['usable: Answers', 'not usable: StoreFailed']);
  expect(repairs).toEqual([]);
});

test('a QEMU that was killed and does not end says that the mount hangs, whatever the looks say', () => {
  const { words, repairs } = watch((nowMs) => ({ ...fine, stuck: nowMs >= 50_000 ? ['u'] : [] }), 300_000);
  expect(words).toEqual(['usable: Answers', 'not usable: QemuStuck']);
  expect(repairs).toEqual([140_000]);
  const held = watch((nowMs) => ({ ...fine, stuck: nowMs >= 50_000 ? ['u'] : [], users: ['v'] }), 300_000);
  expect(held.repairs).toEqual([]);
});

test('what is said does not change from look to look', () => {
  const said = new Set(
    [40_000, 50_000, 60_000].map(
      (nowMs) => judgeStore({ badLooks: 3, badSinceMs: 0 }, silent, nowMs, times).report.message,
    ),
  );
  expect(said.size).toBe(1);
});

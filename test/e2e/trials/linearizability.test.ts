import { expect, test } from 'vitest';
import { seededRandom } from '#lib/std/random.ts';
import { type Action, isLinearizable, type Operation, type Value } from './linearizability.ts';

const at = (callMs: number, returnMs: number, action: Action): Operation => ({ callMs, returnMs, action });
const read = (value: Value): Action => ({ type: 'read', value });
const changed = (from: Value, to: Value): Action => ({ type: 'changed', from, to });
const refused = (from: Value): Action => ({ type: 'refused', from });
const unknown = (from: Value, to: Value): Action => ({ type: 'unknown', from, to });
const never = Infinity;

test.each<[string, boolean, Operation[]]>([
  ['nothing', true, []],
  ['one after the other', true, [at(0, 1, changed(undefined, 'a')), at(2, 3, read('a')), at(4, 5, changed('a', 'b'))]],
  ['a stale read', false, [at(0, 1, changed(undefined, 'a')), at(2, 3, changed('a', 'b')), at(4, 5, read('a'))]],
  ['a read during a write: the old value', true, [at(0, 9, changed(undefined, 'a')), at(1, 2, read(undefined))]],
  ['a read during a write: the new value', true, [at(0, 9, changed(undefined, 'a')), at(1, 2, read('a'))]],
  [
    'two reads during a write that go back in time',
    false,
    [at(0, 9, changed(undefined, 'a')), at(1, 2, read('a')), at(3, 4, read(undefined))],
  ],
  ['an acknowledged write that is lost', false, [at(0, 1, changed(undefined, 'a')), at(2, 3, read(undefined))]],
  ['two that both won', false, [at(0, 9, changed(undefined, 'a')), at(1, 8, changed(undefined, 'b'))]],
  ['one won, one was refused', true, [at(0, 9, changed(undefined, 'a')), at(1, 8, refused(undefined))]],
  ['refused for no reason', false, [at(0, 1, changed(undefined, 'a')), at(2, 3, refused('a'))]],
  ['no answer, and it was written', true, [at(0, never, unknown(undefined, 'a')), at(5, 6, read('a'))]],
  ['no answer, and it was not', true, [at(0, never, unknown(undefined, 'a')), at(5, 6, read(undefined))]],
  [
    'no answer, and it was written late',
    true,
    [at(0, never, unknown(undefined, 'a')), at(5, 6, read(undefined)), at(7, 8, read('a'))],
  ],
  [
    'no answer, written, and taken back by nobody',
    false,
    [at(0, never, unknown(undefined, 'a')), at(5, 6, read('a')), at(7, 8, read(undefined))],
  ],
  ['a value that nobody wrote', false, [at(0, 1, read('a'))]],
  [
    'deleted and created again',
    true,
    [at(0, 1, changed(undefined, 'a')), at(2, 3, changed('a', undefined)), at(4, 5, changed(undefined, 'b'))],
  ],
])('isLinearizable(): %s is %s', (_, expected, history) => {
  expect(isLinearizable(history)).toBe(expected);
});

/** A history as a correct register makes it: every operation has its effect at a moment of its own between call and return. */
function honest(seed: number, count: number): Operation[] {
  const random = seededRandom(seed);
  const moments = Array.from({ length: count }, () => random.next() * count).sort((a, b) => a - b);
  let value: Value;
  return moments.map((moment, i) => {
    const guess = random.next() < 0.7 ? value : 'stale';
    const to = random.next() < 0.2 ? undefined : `v${i}`;
    const lost = random.next() < 0.1;
    let action: Action;
    if (random.next() < 0.4) action = read(value);
    else if (guess !== value) action = lost ? unknown(guess, to) : refused(guess);
    else {
      action = lost ? unknown(value, to) : changed(value, to);
      value = to;
    }
    const returnMs = action.type === 'unknown' ? never : moment + random.next() * 5;
    return at(moment - random.next() * 5, returnMs, action);
  });
}

test('isLinearizable() accepts what a register did, and notices one wrong read among a thousand operations', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const history = honest(seed, 1_000);
    expect(isLinearizable(history), `seed ${seed}`).toBe(true);
    const wrong = history.findIndex(({ action }, i) => i > 500 && action.type === 'read');
    const broken = history.with(wrong, { ...history[wrong]!, action: read('from another world') });
    expect(isLinearizable(broken), `seed ${seed}`).toBe(false);
  }
});

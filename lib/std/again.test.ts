import { expect, test } from 'vitest';
import { onceMore } from './again.ts';

test('one at a time, and once more for all who asked meanwhile', async () => {
  const turns: PromiseWithResolvers<void>[] = [];
  let running = 0;
  const look = onceMore(async () => {
    running += 1;
    expect(running).toBe(1);
    const turn = Promise.withResolvers<void>();
    turns.push(turn);
    await turn.promise;
    running -= 1;
  });
  const first = look();
  await look();
  await look();
  expect(turns).toHaveLength(1);
  turns[0]!.resolve();
  await new Promise(setImmediate);
  expect(turns).toHaveLength(2);
  turns[1]!.resolve();
  await first;
  expect(turns).toHaveLength(2);
});

test('what fails is told to who began it, and the next one begins anew', async () => {
  let fails = true;
  let count = 0;
  const look = onceMore(async () => {
    count += 1;
    if (fails) throw new Error('no');
  });
  await expect(look()).rejects.toThrow('no');
  fails = false;
  await look();
  expect(count).toBe(2);
});

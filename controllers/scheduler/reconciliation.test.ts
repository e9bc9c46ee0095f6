import { expect, test } from 'vitest';
import { seededRandom } from '#lib/std/random.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { type KnownTask, reconciliation } from './reconciliation.ts';
import type { World } from './world.ts';

const task = (taskId: string): KnownTask => ({ taskId, agentId: 'S1' });

function lab(initial: readonly KnownTask[]) {
  const clock = new VirtualClock();
  const asked: string[][] = [];
  const call = async ({ reconcile }: { reconcile: { tasks: { task_id: { value: string } }[] } }) =>
    asked.push(reconcile.tasks.map(({ task_id }) => task_id.value)) > 0;
  const agents = { isRegistered: () => true };
  const world = { clock, agents, call, random: seededRandom(1) } as unknown as World;
  let known = initial;
  const subject = reconciliation(
    world,
    () => known,
    () => undefined,
  );
  const forget = (taskId: string) => {
    known = known.filter((each) => each.taskId !== taskId);
  };
  return { clock, asked, subject, forget };
}

test('every task is asked for until it is answered, then all at once', async () => {
  const { clock, asked, subject } = lab([task('a'), task('b')]);
  subject.start([task('a'), task('b')]);
  await subject.look();
  subject.heard('a');
  await subject.look();
  expect(asked).toEqual([['a', 'b']]);
  await clock.advance(1_500);
  await subject.look();
  expect(asked).toEqual([['a', 'b'], ['b']]);
  expect(subject.done).toBe(false);
  subject.heard('b');
  await subject.look();
  expect(asked.at(-1)).toEqual([]);
  expect(subject.done).toBe(true);
});

test('a task that nobody knows any more is not asked for again', async () => {
  const { clock, asked, subject, forget } = lab([task('a'), task('b')]);
  subject.start([task('a'), task('b')]);
  await subject.look();
  forget('a');
  await clock.advance(1_500);
  await subject.look();
  expect(asked).toEqual([['a', 'b'], ['b']]);
});

test('then all is asked for again, soon at first and then every ten minutes', async () => {
  const { clock, asked, subject } = lab([]);
  const minutes: number[] = [];
  subject.start([]);
  for (let minute = 0; minute <= 60; minute++) {
    const before = asked.length;
    await subject.look();
    if (asked.length > before) minutes.push(minute);
    await clock.advance(60_000);
  }
  expect(minutes).toEqual([0, 1, 3, 7, 15, 25, 35, 45, 55]);
});

test('thousands are asked for in batches, and again only when the last of them could have been answered', async () => {
  const tasks = Array.from({ length: 2_500 }, (_, index) => task(`t${index}`));
  const { clock, asked, subject } = lab(tasks);
  subject.start(tasks);
  await subject.look();
  expect(asked.map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
  await clock.advance(400);
  await subject.look();
  expect(asked).toHaveLength(3);
});

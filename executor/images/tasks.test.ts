import { expect, test } from 'vitest';
import type { Termination } from '#lib/api/launch.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import type { StatusWords } from '../reporter.ts';
import { imageImport } from '../testing/world.ts';
import type { ImportOptions } from './import.ts';
import { ImageTasks, type ImageTasksDeps } from './tasks.ts';

const launch = imageImport('0b0c0000-0000-4000-8000-000000000000', {}, { timeoutMs: 60_000 });

/** An import that does nothing by itself. */
function open() {
  const clock = new VirtualClock();
  const said: StatusWords[] = [];
  let options!: ImportOptions;
  const reporter = {
    accept: () => undefined,
    step: (_: string, { words = [] }: { words?: readonly StatusWords[] }) => void said.push(...words),
  };
  const tasks = new ImageTasks({
    ...{ clock, random: seededRandom(1), log: silentLog, config: {}, journal: { tasks: () => [] }, reporter },
    fatal: (error: unknown) => expect.fail(String(error)),
    importImage: async (_: unknown, given: ImportOptions) => {
      options = given;
      await new Promise((_resolve, reject) => given.signal.addEventListener('abort', () => reject(new Error('late'))));
    },
  } as unknown as ImageTasksDeps);
  tasks.launch({ task_id: { value: launch.taskId } } as never, launch);
  return { clock, said, tasks, options: () => options };
}

test('an import that takes longer than its limit ends, and may be tried again', async () => {
  const { clock, said } = open();
  await clock.advance(60_000);
  expect(said.at(-1)).toMatchObject({ state: 'TASK_FAILED', message: expect.stringContaining('spec.limits.timeout') });
  expect(said.at(-1)?.data as Termination).toMatchObject({ reason: 'Timeout', terminal: false, domainAbsent: true });
});

test('a phase that lasts is told of, one that is over soon is not', async () => {
  const { clock, said, options } = open();
  await clock.advance(0);
  const phases = () => said.flatMap(({ data }) => (data as { phase?: string })?.phase ?? []);
  options().onPhase!('Verifying');
  await clock.advance(2000);
  options().onPhase!('Converting');
  await clock.advance(2000);
  expect(phases()).toEqual([]);
  await clock.advance(2000);
  expect(phases()).toEqual(['Converting']);
});

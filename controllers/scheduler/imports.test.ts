import { expect, test } from 'vitest';
import type { Image } from '#lib/api/generated/image.ts';
import { seededRandom } from '#lib/std/random.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { Imports } from './imports.ts';
import { TaskBook } from './task-book.ts';
import type { World } from './world.ts';

test('Imports.silent() names the tasks of which nothing was heard for so long since they are known', async () => {
  const clock = new VirtualClock();
  const tasks = new TaskBook();
  const imageOf = (name: string): Image =>
    ({
      metadata: { name, namespace: 'default', uid: name },
      status: { clusters: [{ name: 'lab', phase: 'Downloading', taskID: `img-${name}-1`, agentID: 'S1', host: 'h1' }] },
    }) as unknown as Image;
  let images = [imageOf('heard'), imageOf('silent')];
  const world = { clock, tasks, cluster: 'lab', images: { list: () => images } } as unknown as World;
  const imports = new Imports(world, () => true);

  tasks.hear({ task_id: { value: 'img-heard-1' }, state: 'TASK_RUNNING' }, clock.monotonic());
  expect(imports.silent(15_000)).toEqual([]);
  await clock.advance(10_000);
  images = [...images, imageOf('late')];
  expect(imports.silent(15_000)).toEqual([]);
  await clock.advance(5_000);
  expect(imports.silent(15_000)).toEqual([{ taskId: 'img-silent-1', agentId: 'S1' }]);
  images = images.slice(2);
  await clock.advance(10_000);
  expect(imports.silent(15_000)).toEqual([{ taskId: 'img-late-1', agentId: 'S1' }]);
  images = [];
  expect(imports.silent(15_000)).toEqual([]);
});

test.each([
  ['left alone while its host is the agent that it was', 'S1', 'TASK_RUNNING', 3_600_000, 'Downloading'],
  ['left alone while its host is away for a while', undefined, 'TASK_UNREACHABLE', 500_000, 'Downloading'],
  ['begun anew when its host is away for long', undefined, 'TASK_UNREACHABLE', 700_000, 'Pending'],
  ['begun anew when its host came back as another agent', 'S2', 'TASK_UNREACHABLE', 1_000, 'Pending'],
] as const)('an import is %s', async (_, agentId, state, afterMs, phase) => {
  const clock = new VirtualClock();
  const tasks = new TaskBook();
  const row = { name: 'lab', phase: 'Downloading', attempts: 1, taskID: 'img-a-1', agentID: 'S1', host: 'h1' };
  const metadata = { name: 'a', namespace: 'default', uid: 'a' };
  let image = {
    metadata,
    spec: { source: {}, limits: { timeout: '2h' } },
    status: { clusters: [row] },
  } as unknown as Image;
  const world = {
    ...{ clock, tasks, cluster: 'lab', random: seededRandom(1) },
    images: {
      list: () => [image],
      get: () => image,
      wrote: (written: Image) => {
        image = written;
      },
    },
    agents: { get: () => agentId && { agentId } },
    executors: { get: () => undefined },
    ledger: { occupy: () => undefined, release: () => undefined },
    client: { updateStatus: async (_kind: unknown, written: Image) => written },
    call: async () => true,
  } as unknown as World;
  const imports = new Imports(world, () => false);
  tasks.hear({ task_id: { value: 'img-a-1' }, state }, clock.monotonic());
  await imports.look();
  await clock.advance(afterMs);
  await imports.look();
  expect(image.status?.clusters?.[0]?.phase).toBe(phase);
});

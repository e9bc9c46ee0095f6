import { expect, test } from 'vitest';
import type { Image } from '#lib/api/generated/image.ts';
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

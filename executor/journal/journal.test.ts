import { chmodSync, readdirSync, statSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import type { TaskStatus } from '#mesos/types.ts';
import { Journal, JournalBusyError } from './journal.ts';

const info = (id: string) => ({ name: id, task_id: { value: id }, agent_id: { value: 'a' } });
const update = (id: string, uuid: string, state: TaskStatus['state']): TaskStatus => ({
  task_id: { value: id },
  uuid,
  state,
});
const report = (id: string, state: 'InProgress' | 'Completed') => ({ id, uid: 'u', state, message: '' });

async function openDirectory() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const file = join(directory.path, 'journal.db');
  return { file, path: directory.path, [Symbol.asyncDispose]: async () => await directory.remove() };
}

test('a task and its updates are there after a reopen, in order', async () => {
  await using directory = await openDirectory();
  {
    using journal = new Journal(directory.file, 'life');
    journal.accept(info('t'), { taskId: 't', state: { phase: 1 }, updates: [update('t', 'z', 'TASK_STARTING')] });
    journal.save({ taskId: 't', state: { phase: 2 }, updates: [update('t', 'b', 'TASK_RUNNING')] });
  }
  using journal = new Journal(directory.file, 'life');
  expect(journal.tasks()).toEqual([{ taskId: 't', info: info('t'), state: { phase: 2 }, ended: false }]);
  expect(journal.unacknowledged()).toEqual({
    tasks: [info('t')],
    updates: [update('t', 'z', 'TASK_STARTING'), update('t', 'b', 'TASK_RUNNING')],
  });
});

test('nobody else can read it, nor one that was open to all before', async () => {
  await using directory = await openDirectory();
  const { path } = directory;
  const modes = () => readdirSync(path).map((name) => (statSync(join(path, name)).mode & 0o777).toString(8));
  {
    using journal = new Journal(directory.file, 'life');
    journal.accept(info('t'), { taskId: 't' });
    expect(modes()).toEqual(['600', '600']);
    for (const name of readdirSync(path)) chmodSync(join(path, name), 0o644);
  }
  using _ = new Journal(directory.file, 'life');
  expect(new Set(modes())).toEqual(new Set(['600']));
});

test('acknowledge() forgets the update, then the unacknowledged task, then the ended task', async () => {
  await using directory = await openDirectory();
  using journal = new Journal(directory.file, 'life');
  journal.accept(info('t'), { taskId: 't', updates: [update('t', 'a', 'TASK_STARTING')] });
  journal.acknowledge('t', 'a');
  expect(journal.unacknowledged()).toEqual({ tasks: [], updates: [] });
  journal.save({ taskId: 't', updates: [update('t', 'b', 'TASK_KILLED')], ended: true });
  expect(journal.has('t')).toBe(true);
  journal.acknowledge('t', 'b');
  expect(journal.has('t')).toBe(false);
});

test('another life forgets the tasks and fails the operations under way, and keeps finished ones to be reported', async () => {
  await using directory = await openDirectory();
  {
    using journal = new Journal(directory.file, 'life');
    journal.accept(info('t'), { taskId: 't', updates: [update('t', 'a', 'TASK_STARTING')] });
    journal.order(report('o', 'InProgress'));
    journal.order(report('p', 'Completed'));
  }
  using journal = new Journal(directory.file, 'another');
  expect(journal.tasks()).toEqual([]);
  expect(journal.unacknowledged()).toEqual({ tasks: [], updates: [] });
  expect(journal.operations().map(({ id, state }) => [id, state])).toEqual([
    ['o', 'Failed'],
    ['p', 'Completed'],
  ]);
});

test('order() gives what is known of a repeated order and reports it again', async () => {
  await using directory = await openDirectory();
  using journal = new Journal(directory.file, 'life');
  journal.order(report('o', 'InProgress'));
  journal.acknowledgeOperations(['o']);
  expect(journal.operations(), 'one under way stays').toHaveLength(1);
  journal.finish(report('o', 'Completed'));
  journal.acknowledgeOperations(['o']);
  expect(journal.operations()).toEqual([]);
  expect(journal.order(report('o', 'InProgress'))).toMatchObject({ state: 'Completed' });
  expect(journal.operations()).toHaveLength(1);
});

test('operations that were acknowledged long ago are forgotten', async () => {
  await using directory = await openDirectory();
  using journal = new Journal(directory.file, 'life');
  const ids = Array.from({ length: 1010 }, (_, index) => `o${index}`);
  for (const id of ids) journal.order(report(id, 'Completed'));
  journal.acknowledgeOperations(ids);
  expect(journal.order(report('o1009', 'InProgress'))).toMatchObject({ state: 'Completed' });
  expect(journal.order(report('o0', 'InProgress'))).toMatchObject({ state: 'InProgress' });
});

test('a step of a task that another has replaced is dropped', async () => {
  await using directory = await openDirectory();
  using journal = new Journal(directory.file, 'life');
  journal.accept(info('t-1'), { taskId: 't-1', updates: [] });
  journal.accept(info('t-2'), { taskId: 't-2', updates: [] }, 't-1');
  journal.save({ taskId: 't-1', updates: [update('t-1', 'a', 'TASK_RUNNING')] });
  expect(journal.unacknowledged()).toEqual({ tasks: [info('t-2')], updates: [] });
});

test('a second worker is refused while the first is there', async () => {
  await using directory = await openDirectory();
  using _ = new Journal(directory.file, 'life');
  expect(() => new Journal(directory.file, 'life')).toThrow(JournalBusyError);
});

test('a journal of a newer version is refused', async () => {
  await using directory = await openDirectory();
  new Journal(directory.file, 'life')[Symbol.dispose]();
  {
    using database = new DatabaseSync(directory.file);
    database.exec('PRAGMA user_version = 99');
  }
  expect(() => new Journal(directory.file, 'life')).toThrow(/newer executor/);
});

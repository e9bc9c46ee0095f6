import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '#lib/std/free-ports.ts';
import type { Leadership } from './master/leadership.ts';
import { startMaster } from './master/master.ts';
import { eventually, operatorCall, temporaryDirectory } from './testing/cluster.ts';
import { startAgentProgram } from './testing/programs.ts';
import { labFramework, TestScheduler } from './testing/scheduler.ts';

function ask(url: string, path: string, type: string): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  const init = { method: 'POST', headers, body: JSON.stringify({ type }), redirect: 'manual' } as const;
  return fetch(`${url}${path}`, path.startsWith('/api') ? init : { redirect: 'manual' });
}

test('of two masters the one that does not lead redirects as recorded, and follows when leadership changes', async () => {
  using directory = temporaryDirectory();
  const leadership: Leadership = { leader: undefined };
  const start = (name: string) => startMaster({ port: 0, workDir: join(directory.path, name), leadership });
  await using a = await start('a');
  await using b = await start('b');
  const nobody = await ask(a.url, '/api/v1/scheduler', 'SUBSCRIBE');
  expect([nobody.status, await nobody.text()]).toEqual([503, 'No leader elected']);

  leadership.leader = a.url;
  const host = new URL(a.url).host;
  for (const [path, location] of [
    ['/api/v1', `//${host}/master/api/v1`],
    ['/api/v1/scheduler', `//${host}/master/api/v1/scheduler`],
    ['/state', `//${host}/master/state`],
    ['/redirect', `//${host}`],
    ['/master/redirect', `//${host}`],
  ] as const) {
    const answer = await ask(b.url, path, 'GET_HEALTH');
    expect([answer.status, answer.headers.get('location')], path).toEqual([307, location]);
  }
  expect((await ask(a.url, '/api/v1', 'GET_HEALTH')).status).toBe(200);
  expect((await ask(b.url, '/health', '')).status).toBe(200);

  leadership.leader = b.url;
  expect((await ask(b.url, '/api/v1', 'GET_HEALTH')).status).toBe(200);
  expect((await ask(a.url, '/api/v1', 'GET_HEALTH')).status).toBe(307);
});

test('a leader that has not recovered says so', async () => {
  using directory = temporaryDirectory();
  await using master = await startMaster({ port: 0, workDir: directory.path, recoveryMs: 60_000 });
  const answer = await ask(master.url, '/api/v1', 'GET_HEALTH');
  expect([answer.status, await answer.text()]).toEqual([503, 'Master has not finished recovery']);
});

test('a failover timeout is forgotten with the master that counted it: tasks run on', { timeout: 60_000 }, async () => {
  using directory = temporaryDirectory();
  const port = await freePort();
  const start = () => startMaster({ port, workDir: join(directory.path, 'm'), allocationIntervalMs: 100 });
  let master = await start();
  try {
    await using _agent = await startAgentProgram(await freePort(), join(directory.path, 'a'), master.url);
    const scheduler = new TestScheduler(master.url);
    await scheduler.subscribe({ ...labFramework, failover_timeout: 1 });
    await scheduler.launch('f7', 'f7-ex');
    await scheduler.status('f7', 'TASK_RUNNING');
    await scheduler[Symbol.asyncDispose]();
    await master[Symbol.asyncDispose]();
    master = await start();
    const tasks = async () => {
      type Tasks = { get_tasks: { tasks: { state: string }[] } };
      return (await operatorCall<Tasks>(master.url, { type: 'GET_TASKS' })).get_tasks.tasks;
    };
    const back = () =>
      tasks().then(
        (list) => list[0],
        () => undefined,
      );
    await eventually('the task with the new master', back);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    expect((await tasks())[0]).toMatchObject({ state: 'TASK_RUNNING' });
  } finally {
    await master[Symbol.asyncDispose]();
  }
});

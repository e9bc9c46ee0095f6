import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Leadership } from './master/leadership.ts';
import { startMaster } from './master/master.ts';
import { temporaryDirectory } from './testing/cluster.ts';

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

import { once } from 'node:events';
import { connect } from 'node:http2';
import { request } from 'node:https';
import { expect, test } from 'vitest';
import { readLines } from './testing/http.ts';
import { type Program, startProgram } from './testing/program.ts';

const maps = '/api/v1/namespaces/default/configmaps';

/** A create whose second half is kept back: until `finish` it is under way. */
async function beginCreate(program: Program, name: string): Promise<{ finish: () => Promise<number> }> {
  const body = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });
  const outgoing = request(`${program.url}${maps}`, {
    method: 'POST',
    ca: program.authority.certificate,
    agent: false,
    headers: {
      authorization: `Bearer ${program.token}`,
      'content-type': 'application/json',
      'content-length': body.length,
    },
  });
  outgoing.write(body.slice(0, 10));
  const [socket] = await once(outgoing, 'socket');
  await once(socket, 'secureConnect');
  return {
    async finish() {
      outgoing.end(body.slice(10));
      const [response] = await once(outgoing, 'response');
      response.resume();
      return response.statusCode;
    },
  };
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}

test('SIGTERM: not ready, still serving; then no new connections, requests answered, watches ended gently, exit code 0', async () => {
  await using program = await startProgram(['--shutdown-delay-duration', '3s']);
  const options = { ca: program.authority.certificate, token: program.token };
  await program.request(maps, {
    method: 'POST',
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } },
  });
  const query = 'watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan';
  const open = Array.from({ length: 20 }, () => Promise.withResolvers<void>());
  const watches = open.map(({ resolve }) =>
    readLines(`${program.url}${maps}?${query}`, options, (lines) => {
      if (lines.length >= 2) resolve();
      return false;
    }),
  );
  await Promise.all(open.map(({ promise }) => promise));
  const session = connect(program.url, { ca: program.authority.certificate });
  const goaway = once(session, 'goaway');
  await once(session, 'connect');
  const slow = await beginCreate(program, 'slow');

  program.process.kill('SIGTERM');
  await until(async () => (await program.request('/readyz')).status === 500);
  expect((await program.request('/readyz/shutdown')).status).toBe(500);
  expect((await program.request('/livez')).status).toBe(200);
  const during = await program.request(`${maps}/a`);
  expect([during.status, during.headers.connection]).toEqual([200, 'close']);

  const [code] = await goaway;
  expect(code).toBe(0);
  for (const lines of await Promise.all(watches)) {
    expect(lines.map(({ type }) => type)).toEqual(['ADDED', 'BOOKMARK', 'BOOKMARK']);
  }
  await expect(program.request('/livez')).rejects.toThrow('ECONNREFUSED');
  expect(await slow.finish()).toBe(201);
  expect(await program.ended).toBe(0);
  expect(program.lines.filter((line) => /"level":"(?:warn|error)"/.test(line))).toEqual([]);
});

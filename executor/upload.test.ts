/** The file of an image on its way through an executor: taken over TLS, told in heartbeats, imported as a task, dropped by order. */
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { uploadPath, uploadToken } from '#lib/api/host-endpoint.ts';
import { uploadName } from './images/staging.ts';
import { sha256 } from './testing/image-store.ts';
import { imageImport, openWorld, type World } from './testing/world.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 10_000, interval: 10 }));
const uploads = ({ agent }: World) => agent.heartbeats.at(-1)?.uploads;
const withConsole = { consoleListen: '127.0.0.1:0' };
const bytes = randomBytes(50_000);

/** Sends what lies between, to the worker that spoke last; resolves to the status of the answer, or to undefined if it was cut off. */
async function send({ agent }: World, uid: string, from: number, to: number): Promise<number | undefined> {
  await until(() => expect(agent.heartbeats.at(-1)?.console).toBeDefined());
  const { url, token } = agent.heartbeats.at(-1)!.console!;
  const piece = { offset: `${from}`, size: `${bytes.length}`, sha256: sha256(bytes), maxVirtualSize: `${2 ** 30}` };
  const sent = request(`${url}${uploadPath(uid)}?${new URLSearchParams(piece)}`, {
    ...{ method: 'PUT', rejectUnauthorized: false, agent: false },
    headers: { authorization: `Bearer ${uploadToken(token, uid)}`, expect: '100-continue' },
  });
  sent.flushHeaders();
  await once(sent, 'continue');
  sent.end(bytes.subarray(from, to));
  const [response] = await once(sent, 'response');
  response.resume();
  return response.statusCode;
}

test('a file that was begun at one worker is gone on with at the next, told of, and imported', async () => {
  await using world = await openWorld();
  const uid = randomUUID();
  const first = await world.start('life-1', withConsole);
  await until(() => expect(uploads(world)).toEqual([]));
  expect(await send(world, uid, 0, 20_000)).toBe(503);
  await until(() => expect(uploads(world)).toEqual([{ uid, received: 20_000, size: 50_000, complete: false }]));
  await first[Symbol.asyncDispose]();
  world.agent.heartbeats.length = 0;
  await world.start('life-1', withConsole);
  await until(() => expect(uploads(world)).toEqual([{ uid, received: 20_000, size: 50_000, complete: false }]));
  expect(await send(world, uid, 20_000, 50_000)).toBe(200);
  await until(() => expect(uploads(world)).toEqual([{ uid, received: 50_000, size: 50_000, complete: true }]));
  const launch = imageImport(uid, { upload: {} }, { checksum: `sha256:${sha256(bytes)}` });
  world.agent.launch(launch);
  await until(() => expect(world.agent.states(launch.taskId)).toContain('TASK_FINISHED'));
  await until(() => expect(uploads(world)).toEqual([]));
});

test('what nobody needs is removed by order', async () => {
  await using world = await openWorld();
  const uid = randomUUID();
  await world.start('life-1', withConsole);
  expect(await send(world, uid, 0, 50_000)).toBe(200);
  const directory = join(world.config.imageStore, 'incoming', uploadName(uid, 'f-1'));
  await until(() => expect(uploads(world)).toMatchObject([{ complete: true }]));
  expect(existsSync(directory)).toBe(true);
  world.agent.message({ type: 'drop-uploads', version: 1, uids: [uid] });
  await until(() => expect(uploads(world)).toEqual([]));
  expect(existsSync(directory)).toBe(false);
});

test('a host without consoles says that it takes none', async () => {
  await using world = await openWorld();
  await world.start();
  await until(() => expect(world.agent.heartbeats.length).toBeGreaterThan(0));
  expect(uploads(world)).toBeUndefined();
});

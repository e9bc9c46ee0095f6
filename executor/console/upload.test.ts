import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { expect, test, vi } from 'vitest';
import { uploadPath, uploadToken } from '#lib/api/host-endpoint.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { Uploads } from '../images/uploads.ts';
import { openStore, sha256 } from '../testing/image-store.ts';
import { startConsole } from './server.ts';

const nothing = async () => {
  throw new Error('The test has no hypervisor');
};

async function openWorld() {
  await using stack = new AsyncDisposableStack();
  const store = stack.use(await openStore());
  const { imageStore, directory } = store;
  const common = { clock: systemClock, log: silentLog };
  const uploads = stack.use(new Uploads({ imageStore, cluster: 'lab', changed: () => undefined, ...common }));
  const hypervisor = { screenshot: nothing, openScreen: nothing, agent: nothing };
  const options = { listen: '127.0.0.1:0', root: directory, hypervisor, uploads, ...common };
  const { endpoint } = stack.use(await startConsole(options));
  const kept = stack.move();
  const begin = (method: 'GET' | 'PUT', uid: string, query: object = {}, token = uploadToken(endpoint.token, uid)) =>
    request(`${endpoint.url}${uploadPath(uid)}?${new URLSearchParams(Object.entries(query))}`, {
      ...{ method, rejectUnauthorized: false, agent: false },
      headers: { authorization: `Bearer ${token}`, ...(method === 'PUT' && { expect: '100-continue' }) },
    });
  return { uploads, begin, [Symbol.asyncDispose]: async () => await kept.disposeAsync() };
}

async function answerTo(sent: ReturnType<typeof request>): Promise<{ status: number | undefined; text: string }> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const chunks = await Array.fromAsync(response);
  return { status: response.statusCode, text: Buffer.concat(chunks as Buffer[]).toString() };
}

const bytes = randomBytes(300_000);
const query = { offset: '0', size: String(bytes.length), sha256: sha256(bytes), maxVirtualSize: String(2 ** 30) };

test('the host says when the bytes may come, and tells of what is there', async () => {
  await using world = await openWorld();
  const uid = randomUUID();
  const sent = world.begin('PUT', uid, query);
  sent.flushHeaders();
  await once(sent, 'continue');
  sent.end(bytes);
  const whole = { received: bytes.length, size: bytes.length, sha256: query.sha256, complete: true, busy: false };
  const { status, text } = await answerTo(sent);
  expect([status, JSON.parse(text)]).toEqual([200, whole]);
  const asked = world.begin('GET', uid);
  asked.end();
  expect(JSON.parse((await answerTo(asked)).text)).toEqual(whole);
});

test('who has the token of one image opens no other, and none of a machine', async () => {
  await using world = await openWorld();
  const [uid, other] = [randomUUID(), randomUUID()];
  for (const token of ['', uploadToken('guessed', uid), uploadToken('guessed', other)]) {
    const sent = world.begin('PUT', uid, query, token);
    sent.flushHeaders();
    expect(await answerTo(sent)).toEqual({ status: 401, text: '' });
  }
});

test.each([
  ['no size', { size: '' }, 'size must be a number of bytes'],
  ['an offset behind the end', { offset: '300001' }, 'nothing begins at 300001'],
  ['no sum', { sha256: 'cafe' }, '64 digits'],
])('a piece with %s is refused before its bytes', async (_, more, why) => {
  await using world = await openWorld();
  const sent = world.begin('PUT', randomUUID(), { ...query, ...more });
  const asked = vi.fn();
  sent.on('continue', asked).flushHeaders();
  expect(await answerTo(sent)).toMatchObject({ status: 400, text: expect.stringContaining(why) });
  expect(asked).not.toHaveBeenCalled();
});

test('a connection that is cut leaves what has come, and the next goes on there', async () => {
  await using world = await openWorld();
  const uid = randomUUID();
  const cut = world.begin('PUT', uid, query);
  cut.on('error', () => undefined).flushHeaders();
  await once(cut, 'continue');
  cut.write(bytes.subarray(0, 100_000));
  const [until, wait] = [vi.waitFor, { timeout: 5_000, interval: 10 }];
  await until(() => expect(world.uploads.report()[0]?.received).toBe(100_000), wait);
  const refused = world.begin('PUT', uid, query);
  refused.flushHeaders();
  expect(await answerTo(refused)).toMatchObject({ status: 409, text: expect.stringContaining('100000 of 300000') });
  cut.destroy();
  await until(async () => expect((await world.uploads.state(uid)).busy).toBe(false), wait);
  const rest = world.begin('PUT', uid, { ...query, offset: '100000' });
  rest.flushHeaders();
  await once(rest, 'continue');
  rest.end(bytes.subarray(100_000));
  expect(JSON.parse((await answerTo(rest)).text)).toMatchObject({ complete: true });
});

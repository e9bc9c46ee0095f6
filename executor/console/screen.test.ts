import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:https';
import { type Duplex, duplexPair } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { createWebSocketStream, WebSocket } from 'ws';
import { type MachineService, machinePath, machineToken } from '#lib/api/host-endpoint.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { MachineError } from '../hypervisor.ts';
import { simPicture, simScreen } from '../sim/screen.ts';
import { noUploads } from '../testing/no-uploads.ts';
import { openRfb } from '../testing/rfb.ts';
import { png } from './png.ts';
import { startConsole } from './server.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 5000, interval: 10 }));

/** One machine with a screen; what reaches it is noted for each connection. */
async function openWorld() {
  const uid = randomUUID();
  const picture = simPicture({ uid });
  const reached: Buffer[] = [];
  const screens: Duplex[] = [];
  const requireThere = (asked: string) => {
    if (asked !== uid) throw new MachineError('The machine does not run');
  };
  const hypervisor = {
    async screenshot(asked: string) {
      requireThere(asked);
      return await png(picture);
    },
    async openScreen(asked: string) {
      requireThere(asked);
      const [near, far] = duplexPair();
      const at = screens.push(far) - 1;
      reached[at] = Buffer.alloc(0);
      far.on('data', (data: Buffer) => {
        reached[at] = Buffer.concat([reached[at]!, data]);
      });
      far.pipe(simScreen(picture)).pipe(far);
      return near;
    },
    agent: async () => undefined,
  };
  const server = await startConsole({
    listen: '127.0.0.1:0',
    root: '/nowhere',
    hypervisor,
    uploads: noUploads,
    clock: systemClock,
    log: silentLog,
  });
  return { uid, picture, reached, screens, server, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

type World = Awaited<ReturnType<typeof openWorld>>;

const urlOf = ({ server, uid }: World, service: MachineService, of = uid) => ({
  url: `${server.endpoint.url}${machinePath(of, service)}`,
  authorization: `Bearer ${machineToken(server.endpoint.token, of, service)}`,
});

function open(world: World, { query = '', of = world.uid } = {}): WebSocket {
  const { url, authorization } = urlOf(world, 'vnc', of);
  return new WebSocket(`${url}${query}`, { headers: { authorization }, rejectUnauthorized: false });
}

const view = async (socket: WebSocket) => await openRfb(createWebSocketStream(socket));

const keyEvent = (keysym: number) => Buffer.from([4, 1, 0, 0, 0, 0, 0, keysym]);

test('the last to come has the keyboard, all others look on until it leaves', async () => {
  await using world = await openWorld();
  const { width, height } = world.picture;
  await using first = await view(open(world));
  const newest = open(world);
  await using second = await view(newest);
  await using reader = await view(open(world, { query: '?readOnly=true' }));
  const viewers = [first, second, reader];
  for (const [index, viewer] of viewers.entries()) {
    viewer.key(0x61 + index);
    viewer.ask();
    expect(await viewer.update()).toMatchObject({ width, height });
  }
  const typed = (keysym: number) => world.reached.map((bytes) => bytes.includes(keyEvent(keysym)));
  expect([typed(0x61), typed(0x62), typed(0x63)]).toEqual([
    [false, false, false],
    [false, true, false],
    [false, false, false],
  ]);
  newest.terminate();
  await until(() => expect(world.screens[1]!.destroyed || world.screens[1]!.readableEnded).toBe(true));
  first.key(0x64);
  await until(() => expect(typed(0x64)).toEqual([true, false, false]));
});

test('what is not RFB ends the connection, and nothing of it reaches the machine', async () => {
  await using world = await openWorld();
  const socket = open(world);
  await once(socket, 'open');
  socket.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  const [code] = (await once(socket, 'close')) as [number];
  expect(code).toBe(1003);
  expect(world.reached).toEqual([Buffer.alloc(0)]);
});

test('a machine without a screen says so', async () => {
  await using world = await openWorld();
  const [code, reason] = (await once(open(world, { of: randomUUID() }), 'close')) as [number, Buffer];
  expect([code, String(reason)]).toEqual([4404, 'The machine does not run']);
});

test('a machine that goes off ends the connections to its screen', async () => {
  await using world = await openWorld();
  const socket = open(world);
  await view(socket);
  const closed = once(socket, 'close');
  world.screens[0]!.end();
  expect((await closed)[0]).toBe(4404);
});

test('a screenshot is a PNG, of a machine that runs', async () => {
  await using world = await openWorld();
  const get = async (of: typeof world.uid) => {
    const { url, authorization } = urlOf(world, 'screenshot', of);
    const sent = request(url, { headers: { authorization }, rejectUnauthorized: false, agent: false });
    sent.end();
    const [response] = (await once(sent, 'response')) as [AsyncIterable<Buffer> & { statusCode: number }];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    return { status: response.statusCode, body: Buffer.concat(chunks) };
  };
  const { status, body } = await get(world.uid);
  expect(status).toBe(200);
  expect(body.toString('latin1', 1, 4)).toBe('PNG');
  expect([body.readUInt32BE(16), body.readUInt32BE(20)]).toEqual([320, 200]);
  const refused = await get(randomUUID());
  expect([refused.status, String(refused.body)]).toEqual([503, 'The machine does not run']);
});

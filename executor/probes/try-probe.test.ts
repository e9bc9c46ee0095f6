/** One try, against guests that answer as they like: connections of this process stand in for the way into a subnet. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { MachineNetwork } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { type AgentCommand, MachineError, NoWayError } from '../hypervisor.ts';
import { type TryDeps, tryProbe } from './try-probe.ts';

const times = { initialDelayMs: 0, periodMs: 1, timeoutMs: 300, successThreshold: 1, failureThreshold: 1 };
const network = { ip: '127.0.0.1' } as MachineNetwork;
const never = new AbortController().signal;
const nowhere = (): never => {
  throw new Error('no such way');
};

function deps(more: Partial<TryDeps> = {}): TryDeps {
  const devices: TryDeps['devices'] = {
    knock: async () => nowhere(),
    dial(_, port) {
      const stream = connect(port, '127.0.0.1');
      return { stream, problem: async () => undefined, [Symbol.dispose]: () => void stream.destroy() };
    },
  };
  return { hypervisor: { agent: nowhere }, devices, clock: systemClock, ...more };
}

/** A guest that does this with each connection. */
async function guest(answer: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    answer(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return {
    sockets,
    http: { port, path: '/healthz?a=b', scheme: 'HTTP' as const, headers: [{ name: 'host', value: 'web' }] },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

test.each([
  ['HTTP/1.1 200 OK\r\n\r\n', 'Succeeded', ''],
  ['HTTP/1.0 204\r\n', 'Succeeded', ''],
  ['HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\n\r\n', 'Succeeded', ''],
  ['HTTP/1.1 503 No\r\n\r\n', 'Failed', 'The answer has the status 503'],
  ['HTTP/1.1 100 Continue\r\n\r\n', 'Failed', 'The answer has the status 100'],
  ['SSH-2.0-OpenSSH_9.2\r\n', 'Failed', 'The answer is not HTTP'],
  ['', 'Failed', 'The connection ended without an answer'],
])('a guest that answers %j: %s', async (answer, outcome, message) => {
  await using it = await guest((socket) => socket.once('data', () => socket.end(answer)));
  expect(await tryProbe(deps(), { uid: 'u', network }, { ...times, http: it.http }, never)).toEqual({
    outcome,
    message,
  });
});

test('a request says what it was told to say, and no header twice', async () => {
  let asked = '';
  await using it = await guest((socket) =>
    socket.on('data', (data) => {
      asked += data;
      socket.end('HTTP/1.1 200 OK\r\n\r\n');
    }),
  );
  await tryProbe(deps(), { uid: 'u', network }, { ...times, http: it.http }, never);
  expect(asked).toBe(
    'GET /healthz?a=b HTTP/1.1\r\nUser-Agent: compute-factory-probe\r\nAccept: */*\r\nhost: web\r\nConnection: close\r\n\r\n',
  );
});

test.each([
  ['says nothing', () => undefined],
  ['speaks a letter at a time', (socket: Socket) => void setInterval(() => socket.write('H'), 20).unref()],
])('a guest that %s has its time and no more', async (_, answer) => {
  await using it = await guest(answer);
  const since = performance.now();
  const found = await tryProbe(deps(), { uid: 'u', network }, { ...times, http: it.http }, never);
  expect(found).toEqual({ outcome: 'Failed', message: `No answer from port ${it.http.port} in time` });
  expect(performance.now() - since).toBeLessThan(3_000);
});

test('no more is read than a line, however much is said', async () => {
  await using it = await guest((socket) => {
    const flood = () => {
      while (socket.writable && socket.write('x'.repeat(65_536)));
    };
    socket.on('drain', flood);
    flood();
  });
  const found = await tryProbe(deps(), { uid: 'u', network }, { ...times, timeoutMs: 10_000, http: it.http }, never);
  expect(found).toEqual({ outcome: 'Failed', message: 'The answer is not HTTP' });
  expect([...it.sockets][0]?.bytesWritten).toBeLessThan(8 * 2 ** 20);
});

test('a command says by its end how the guest is; its words are for people', async () => {
  let exitcode = 1;
  const agent = async (_uid: string, { execute }: AgentCommand) =>
    execute === 'guest-exec'
      ? { pid: 1 }
      : { exited: true, exitcode, 'err-data': Buffer.from('no \u001b[1mdatabase\n').toString('base64') };
  const attempt = async () =>
    await tryProbe(
      deps({ hypervisor: { agent } }),
      { uid: 'u', network },
      { ...times, timeoutMs: 5_000, command: ['check'] },
      never,
    );
  expect(await attempt()).toEqual({ outcome: 'Failed', message: 'The command ended with 1: no  [1mdatabase' });
  exitcode = 0;
  expect(await attempt()).toMatchObject({ outcome: 'Succeeded' });
});

test.each([
  ['an agent that is not there', new MachineError('The guest agent is not connected'), 'Failed'],
  ['a hypervisor that is not there', new Error('connect ENOENT /run/libvirt/libvirt-sock'), 'Unknown'],
])('%s: %s', async (_, error, outcome) => {
  const agent = async () => {
    throw error;
  };
  const found = await tryProbe(deps({ hypervisor: { agent } }), { uid: 'u', network }, times, never);
  expect(found.outcome).toBe(outcome);
  // What is of the host is not for users.
  expect(found.message).not.toContain('libvirt-sock');
});

test('a machine that cannot be reached as it is made says why; it has not failed', async () => {
  const why = 'Subnet render has no gateway';
  const knock = async () => {
    throw new NoWayError(why);
  };
  const found = await tryProbe(
    deps({ devices: { knock, dial: nowhere } }),
    { uid: 'u', network },
    { ...times, tcp: { port: 1 } },
    never,
  );
  expect(found).toMatchObject({ outcome: 'Unknown', message: why });
});

test('a failure that was found much too late is the host’s', async () => {
  const clock = new VirtualClock();
  const agent = async () => {
    await clock.advance(60_000);
    throw new MachineError('The guest agent did not answer in time');
  };
  const found = await tryProbe(deps({ hypervisor: { agent }, clock }), { uid: 'u', network }, times, never);
  expect(found).toMatchObject({ outcome: 'Unknown', reason: expect.stringContaining('too busy') });
});

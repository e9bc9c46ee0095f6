/** What becomes of a write whose answer does not say it: lost on the way (through a line that can be cut), or 'no space' from an etcd that wrote. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { startEtcd, whyNoEtcd } from '#test/etcd.ts';
import { openEtcd } from './etcd.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

interface Line extends AsyncDisposable {
  readonly endpoint: string;
  /** The next request that passes gets through; its answer does not, and every connection is cut. */
  loseNextAnswer(): void;
}

async function lineTo(endpoint: string): Promise<Line> {
  const [host, port] = endpoint.split(':');
  const sockets = new Set<Socket>();
  let mode: 'open' | 'armed' | 'deaf' = 'open';
  const server = createServer((client) => {
    const etcd = connect(Number(port), host);
    for (const socket of [client, etcd]) {
      sockets.add(socket);
      // A cut line is what the test is about.
      socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
    }
    client.on('data', (chunk) => {
      if (mode === 'armed') mode = 'deaf';
      etcd.write(chunk);
    });
    etcd.on('data', (chunk) => {
      if (mode !== 'deaf') client.write(chunk);
      else if (chunk.length > 60) cut(); // The answer itself: pings and window updates are shorter.
    });
    client.on('close', () => etcd.destroy());
    etcd.on('close', () => client.destroy());
  }).listen(0, '127.0.0.1');
  const cut = () => {
    mode = 'open';
    for (const socket of sockets) socket.destroy();
  };
  await once(server, 'listening');
  return {
    endpoint: `127.0.0.1:${(server.address() as { port: number }).port}`,
    loseNextAnswer: () => {
      mode = 'armed';
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
}

const reason = whyNoEtcd();
if (reason) console.warn(`Skipped the faults of etcd: ${reason}`);

describe.skipIf(reason)('when the answer to a write is lost', () => {
  const open = async () => {
    const stack = new AsyncDisposableStack();
    const etcd = stack.use(await startEtcd());
    const line = stack.use(await lineTo(etcd.endpoint));
    const options = { clock: systemClock, random: systemRandom, log: silentLog };
    const store = stack.use(await openEtcd({ ...options, endpoints: [line.endpoint] }));
    const first = await store.create('a/1', bytes('first'));
    return { stack, line, store, first: first.ok ? first.rev : -1n };
  };

  test('create() finds its own object and says so', async () => {
    const { stack, line, store } = await open();
    await using _ = stack;
    line.loseNextAnswer();
    const result = await store.create('a/2', bytes('mine'));
    expect(result).toEqual({ ok: true, rev: (await store.get('a/2')).kv!.modRev });
  });

  test('create() of what is already there does not claim it', async () => {
    const { stack, line, store } = await open();
    await using _ = stack;
    line.loseNextAnswer();
    await expect(store.create('a/1', bytes('mine'))).rejects.toMatchObject({ code: 'Timeout' });
  });

  test('update() says that it does not know, and has written once', async () => {
    const { stack, line, store, first } = await open();
    await using _ = stack;
    line.loseNextAnswer();
    await expect(store.update('a/1', bytes('second'), first)).rejects.toMatchObject({ code: 'Timeout' });
    const { kv, rev } = await store.get('a/1');
    expect([Buffer.from(kv!.value).toString(), kv!.modRev, rev]).toEqual(['second', first + 1n, first + 1n]);
  });

  test('update() and delete() of an older state are refused as ever: what followed on it is not theirs', async () => {
    const { stack, line, store, first } = await open();
    await using _ = stack;
    const second = await store.update('a/1', bytes('second'), first);
    const third = await store.update('a/1', bytes('third'), second.ok ? second.rev : -1n);
    const current = { key: 'a/1', modRev: third.ok && third.rev };
    line.loseNextAnswer();
    expect(await store.update('a/1', bytes('mine'), first)).toMatchObject({ ok: false, current });
    line.loseNextAnswer();
    expect(await store.delete('a/1', first)).toMatchObject({ ok: false, current });
  });

  test('delete() says that it does not know, and the object is gone', async () => {
    const { stack, line, store, first } = await open();
    await using _ = stack;
    line.loseNextAnswer();
    await expect(store.delete('a/1', first)).rejects.toMatchObject({ code: 'Timeout' });
    expect((await store.get('a/1')).kv).toBeUndefined();
  });

  test('a read is simply repeated', async () => {
    const { stack, line, store, first } = await open();
    await using _ = stack;
    line.loseNextAnswer();
    expect((await store.get('a/1')).kv?.modRev).toBe(first);
  });
});

describe.skipIf(reason)('when etcd runs full', () => {
  test('what was written is said to be, and what is refused was not', { timeout: 60_000 }, async () => {
    await using etcd = await startEtcd({ flags: ['--quota-backend-bytes', String(2 * 1024 * 1024)] });
    const options = { clock: systemClock, random: systemRandom, log: silentLog };
    await using store = await openEtcd({ ...options, endpoints: [etcd.endpoint] });
    const acknowledged: string[] = [];
    const refusals: unknown[] = [];
    // Many at once, so that some are on their way into the log when the quota is crossed.
    for (let round = 0; refusals.length === 0; round++) {
      const keys = Array.from({ length: 32 }, (_, i) => `a/${String(round).padStart(3, '0')}-${i + 10}`);
      const results = await Promise.allSettled(keys.map((key) => store.create(key, Buffer.alloc(20_000, key))));
      for (const [i, result] of results.entries()) {
        if (result.status === 'rejected') refusals.push(result.reason);
        else if (result.value.ok) acknowledged.push(keys[i]!);
      }
    }
    for (const refusal of refusals) expect(refusal).toMatchObject({ message: expect.stringContaining('etcd is full') });
    const { kvs } = await store.list('a/', { keysOnly: true });
    expect(kvs.map(({ key }) => key)).toEqual(acknowledged.sort());
  });
});

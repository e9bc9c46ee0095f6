import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { eventually } from '../local/testing/cluster.ts';
import type { ZooKeeperConnection } from './connection.ts';
import { ensureDirectory } from './directory.ts';
import { keepSession } from './session.ts';
import { startZooKeeper, whyNoZooKeeper, type ZooKeeperProcess } from './testing/server.ts';
import { parseZooKeeperUrl } from './url.ts';

const reason = whyNoZooKeeper();

/** A session for as long as the block lives; `connection` gives the present one, `sessions` the ids of all it had. */
function session(servers: string, options: { credentials?: string; timeoutMs?: number } = {}) {
  const { credentials, timeoutMs = 20_000 } = options;
  const url = parseZooKeeperUrl(`zk://${credentials ? `${credentials}@` : ''}${servers}/mesos`);
  const stop = new AbortController();
  let current: ZooKeeperConnection | undefined;
  const sessions: bigint[] = [];
  let expired = 0;
  const parts = { clock: systemClock, random: systemRandom, log: silentLog };
  const work = {
    async work(connection: ZooKeeperConnection): Promise<never> {
      await ensureDirectory(connection, url.path);
      current = connection;
      sessions.push(connection.session.id);
      try {
        for (;;) await connection.changed();
      } finally {
        current = undefined;
      }
    },
    expired: () => void expired++,
  };
  const running = keepSession({ url, timeoutMs, ...parts }, work, stop.signal);
  return {
    sessions,
    expirations: () => expired,
    connection: () => eventually('a connection', () => current),
    isConnected: () => current !== undefined,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

describe.skipIf(reason)('with a real ZooKeeper', () => {
  let zookeeper: ZooKeeperProcess;
  beforeAll(async () => {
    zookeeper = await startZooKeeper();
  }, 60_000);
  afterAll(() => zookeeper[Symbol.asyncDispose]());

  test('a candidate is numbered, belongs to its session and vanishes when that is ended', async () => {
    await using watcher = session(zookeeper.address);
    const connection = await watcher.connection();
    expect(await connection.children('/mesos/none')).toBeUndefined();
    const names: string[] = [];
    {
      await using candidate = session(zookeeper.address);
      const own = await candidate.connection();
      names.push(await own.create('/mesos/c_', 'one', 'candidate'), await own.create('/mesos/c_', 'two', 'candidate'));
      expect(names).toEqual(['/mesos/c_0000000000', '/mesos/c_0000000001']);
      expect(await connection.data(names[1]!)).toMatchObject({ owner: own.session.id, data: Buffer.from('two') });
      expect(await connection.children('/mesos')).toHaveLength(2);
    }
    expect(await connection.children('/mesos')).toEqual([]);
    expect(await connection.data(names[0]!)).toBeUndefined();
  });

  test('a watch fires for a new child, and for a directory that was not there', async () => {
    await using a = session(zookeeper.address);
    await using b = session(zookeeper.address);
    const [watcher, writer] = [await a.connection(), await b.connection()];
    for (const path of ['/mesos/new', '/mesos/new/child']) {
      const changed = watcher.changed();
      expect((await watcher.children('/mesos/new')) ?? []).toEqual([]);
      await writer.create(path, '', 'persistent');
      await changed;
    }
    expect(await watcher.children('/mesos/new')).toEqual(['child']);
  });

  test('the session goes on when the server is killed and started again', async () => {
    await using holder = session(zookeeper.address);
    const node = await (await holder.connection()).create('/mesos/c_', '', 'candidate');
    await zookeeper.kill();
    await eventually('the loss of the connection', () => !holder.isConnected());
    await zookeeper.restart();
    const again = await holder.connection();
    expect((await again.data(node))?.owner).toBe(again.session.id);
    expect(new Set(holder.sessions).size).toBe(1);
    expect(holder.expirations()).toBe(0);
  });

  test('a session that no server answered for longer than it may live is over, and a new one begins', async () => {
    await using holder = session(zookeeper.address, { timeoutMs: 1500 });
    const before = await holder.connection();
    zookeeper.pause();
    await eventually('the end of the session', () => holder.expirations() > 0);
    zookeeper.resume();
    expect((await holder.connection()).session.id).not.toBe(before.session.id);
  });

  test('of several servers the living ones are found, also while one accepts connections and says nothing', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    try {
      for (let round = 0; round < 4; round++) {
        await using holder = session(`127.0.0.1:1,127.0.0.1:${port},${zookeeper.address}`, { timeoutMs: 1500 });
        await holder.connection();
      }
    } finally {
      silent.close();
    }
  });

  test('nodes made with a password are changed only by who has it', async () => {
    await using owner = session(zookeeper.address, { credentials: 'mesos:s3cret' });
    await using stranger = session(zookeeper.address, { credentials: 'mesos:guess' });
    await (await owner.connection()).create('/mesos/own', '', 'persistent');
    const connection = await stranger.connection();
    expect(await connection.children('/mesos/own')).toEqual([]);
    await expect(connection.create('/mesos/own/c_', '', 'candidate')).rejects.toMatchObject({ code: 'NoAuth' });
  });

  test('a server that is away for good does not keep anybody from stopping', async () => {
    const stopped = (async () => {
      await using _ = session('127.0.0.1:1');
    })();
    await stopped;
  });
});

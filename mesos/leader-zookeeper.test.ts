import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { chooseMaster, type MasterChoice } from './leader.ts';
import { eventually } from './local/testing/cluster.ts';
import { candidatePrefix, candidatesIn, originOfMaster } from './master-nodes.ts';
import type { ZooKeeperConnection } from './zookeeper/connection.ts';
import { ensureDirectory } from './zookeeper/directory.ts';
import { keepSession } from './zookeeper/session.ts';
import { startZooKeeper, whyNoZooKeeper, type ZooKeeperProcess } from './zookeeper/testing/server.ts';
import { parseZooKeeperUrl } from './zookeeper/url.ts';

const reason = whyNoZooKeeper();
const parts = { clock: systemClock, random: systemRandom, log: silentLog };
const forever = new AbortController().signal;

function choose(address: string, patienceMs = 20_000): MasterChoice {
  return chooseMaster([`zk://${address}/mesos`], { ...parts, zooKeeper: { sessionTimeoutMs: 1000, patienceMs } });
}

function masterInfo(port: number) {
  return { id: `m-${port}`, ip: 16777343, port, address: { hostname: 'm.lab', ip: '127.0.0.1', port } };
}

/** A master's place in ZooKeeper without the master: stands from the call on, until disposed. */
async function candidate(address: string, port: number): Promise<AsyncDisposable> {
  const url = parseZooKeeperUrl(`zk://${address}/mesos`);
  const stop = new AbortController();
  const standing = Promise.withResolvers<void>();
  const work = async (connection: ZooKeeperConnection): Promise<never> => {
    await ensureDirectory(connection, url.path);
    await connection.create(`${url.path}/${candidatePrefix}`, JSON.stringify(masterInfo(port)), 'candidate');
    standing.resolve();
    for (;;) await connection.changed();
  };
  const running = keepSession({ url, timeoutMs: 2000, ...parts }, { work }, stop.signal);
  await standing.promise;
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

test('candidatesIn gives the lowest number first and passes over what is no candidate', () => {
  const names = ['log_replicas', 'json.info_0000000010', 'info_0000000001', 'json.info_0000000009', 'json.info_x'];
  expect(candidatesIn(names).map(({ number }) => number)).toEqual([9, 10]);
});

test.each([
  [masterInfo(5050), 'http', 'http://127.0.0.1:5050'],
  [masterInfo(5050), 'https', 'https://m.lab:5050'],
  [{ id: 'old', ip: 184549386, port: 5050, hostname: 'm' }, 'http', 'http://10.0.0.11:5050'],
  [{ id: 'v6', ip: 0, port: 1, address: { ip: '::1', port: 5051 } }, 'http', 'http://[::1]:5051'],
] as const)('originOfMaster(%j, %s) is %s', (info, scheme, origin) => {
  expect(originOfMaster(info, scheme)).toBe(origin);
});

test('one ZooKeeper or URLs, not both, and nothing is opened by naming it', () => {
  expect(() => chooseMaster(['zk://h:1/m', 'http://h:5050'], parts)).toThrow(TypeError);
  expect(() => chooseMaster([], parts)).toThrow(TypeError);
  expect(chooseMaster(['zk://127.0.0.1:1/m'], parts).current).toBeUndefined();
});

describe.skipIf(reason)('with a real ZooKeeper', () => {
  let zookeeper: ZooKeeperProcess;
  beforeAll(async () => {
    zookeeper = await startZooKeeper();
  }, 60_000);
  afterAll(() => zookeeper[Symbol.asyncDispose]());

  test('waits while there is no directory and then no master, and says so when its patience ends', async () => {
    {
      await using impatient = choose(zookeeper.address, 1500);
      await expect(impatient.next(forever)).rejects.toThrow(/names no leading master: no master stands there/);
    }
    await using choice = choose(zookeeper.address);
    const next = choice.next(forever);
    await using _ = await candidate(zookeeper.address, 5051);
    expect(await next).toBe('http://127.0.0.1:5051');
  });

  test('the next one leads when the first is gone, and who asked is told', async () => {
    const first = await candidate(zookeeper.address, 5051);
    await using _second = await candidate(zookeeper.address, 5052);
    await using choice = choose(zookeeper.address);
    expect(await choice.next(forever)).toBe('http://127.0.0.1:5051');
    const changes: string[] = [];
    using _told = choice.onChange((origin) => changes.push(origin));
    await first[Symbol.asyncDispose]();
    await eventually('the change', () => changes.length > 0);
    expect(changes).toEqual(['http://127.0.0.1:5052']);
    expect(choice.current).toBe('http://127.0.0.1:5052');
  });

  test('a redirect that knew earlier is no change when ZooKeeper says the same', async () => {
    const first = await candidate(zookeeper.address, 5051);
    await using _second = await candidate(zookeeper.address, 5052);
    await using choice = choose(zookeeper.address);
    await choice.next(forever);
    choice.redirected('//127.0.0.1:5052/master/api/v1');
    expect(choice.current).toBe('http://127.0.0.1:5052');
    choice.succeeded();
    let changes = 0;
    using _told = choice.onChange(() => changes++);
    await first[Symbol.asyncDispose]();
    await using _third = await candidate(zookeeper.address, 5053);
    // Without its redirect it stands where ZooKeeper does: the news has arrived.
    await eventually('the news', () => {
      choice.failed();
      return choice.current === 'http://127.0.0.1:5052';
    });
    expect(changes).toBe(0);
  });

  test('a new leader that still points at the old one is not followed back', async () => {
    const first = await candidate(zookeeper.address, 5051);
    await using _second = await candidate(zookeeper.address, 5052);
    await using choice = choose(zookeeper.address);
    await choice.next(forever);
    await first[Symbol.asyncDispose]();
    await eventually('the new leader', () => choice.current === 'http://127.0.0.1:5052');
    expect(() => choice.redirected('//m.lab:5051')).toThrow(/still names http:..m.lab:5051, which led before/);
    expect(choice.current).toBe('http://127.0.0.1:5052');
  });

  test('what was known stays while ZooKeeper is away, and is put right when it is back', async () => {
    const first = await candidate(zookeeper.address, 5051);
    await using choice = choose(`127.0.0.1:1,${zookeeper.address}`);
    expect(await choice.next(forever)).toBe('http://127.0.0.1:5051');
    await first[Symbol.asyncDispose]();
    await zookeeper.kill();
    expect(await choice.next(forever)).toBe('http://127.0.0.1:5051');
    await zookeeper.restart();
    await using _second = await candidate(zookeeper.address, 5052);
    await eventually('the new leader', () => choice.current === 'http://127.0.0.1:5052');
  });

  test('a session that expired while ZooKeeper stood still is followed by another', async () => {
    const first = await candidate(zookeeper.address, 5051);
    await using choice = choose(zookeeper.address);
    await choice.next(forever);
    zookeeper.pause();
    await systemClock.sleep(1500);
    zookeeper.resume();
    await first[Symbol.asyncDispose]();
    await using _second = await candidate(zookeeper.address, 5052);
    await eventually('the new leader', () => choice.current === 'http://127.0.0.1:5052');
  });
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { createAuthority, issue } from '#lib/tls/authority.ts';
import { type EtcdProcess, startEtcd, whyNoEtcd } from '#test/etcd.ts';
import { openEtcd } from './etcd.ts';
import { hasReliableProgress } from './etcd-version.ts';
import { openStore } from './open.ts';
import { Recorder, storeSuite } from './store.suite.ts';
import { CompactedError, FutureRevisionError, type Rev, type Store } from './store.ts';

const value = new TextEncoder().encode('{}');

function open(endpoint: string, callTimeoutMs = 5_000): Promise<Store> {
  const options = { clock: systemClock, random: systemRandom, log: silentLog, callTimeoutMs };
  return openEtcd({ ...options, endpoints: [endpoint] });
}

test.each([
  ['3.4.23', false],
  ['3.4.31', true],
  ['3.5.12', false],
  ['3.5.13', true],
  ['3.6.0-rc.1', true],
  ['', false],
])('hasReliableProgress() of etcd %s is %s', (version, reliable) => {
  expect(hasReliableProgress(version)).toBe(reliable);
});

const reason = whyNoEtcd();
if (reason) console.warn(`Skipped the etcd store: ${reason}`);

describe.skipIf(reason)('with a real etcd', () => {
  let shared: EtcdProcess;
  beforeAll(async () => {
    shared = await startEtcd();
  });
  afterAll(() => shared[Symbol.asyncDispose]());

  storeSuite('etcd', () => open(shared.endpoint));

  test('a watch goes on without gap or repeat after kill -9, and no acknowledged write is lost', async () => {
    await using etcd = await startEtcd();
    await using store = await open(etcd.endpoint);
    using recorder = new Recorder(store, 'a/', (await store.currentRev()) + 1n);
    const acknowledged = new Set<string>();
    let stop = false;
    const writer = async (name: string) => {
      for (let i = 0; !stop; i++) {
        const key = `a/${name}-${i}`;
        // A write in the moment of the kill may have any outcome; one that was acknowledged may not.
        const result = await store.create(key, value).catch(() => undefined);
        if (result?.ok) acknowledged.add(key);
      }
    };
    const writers = Promise.all(['x', 'y', 'z'].map(writer));
    for (let kills = 0; kills < 3; kills++) {
      const enough = acknowledged.size + 100;
      await expect.poll(() => acknowledged.size, { timeout: 15_000 }).toBeGreaterThan(enough);
      await etcd.restart();
    }
    stop = true;
    await writers;
    const last = await store.create('a/the-end', value);
    await recorder.sees(last.ok ? last.rev : -1n);
    const { kvs } = await store.list('a/');
    expect(recorder.events.map(({ rev }) => rev)).toEqual(
      kvs.map(({ modRev }) => modRev).sort((a, b) => Number(a - b)),
    );
    const there = new Set(kvs.map(({ key }) => key));
    expect([...acknowledged].filter((key) => !there.has(key))).toEqual([]);
  });

  test('calls end with ServiceUnavailable within their deadline while etcd is away, and work again after', async () => {
    await using etcd = await startEtcd();
    await using store = await open(etcd.endpoint, 1_000);
    const first = await store.create('a/1', value);
    await etcd.kill9();
    // Once the cut is noticed: a write in the very moment of it may have arrived, and says so (Timeout).
    await expect(store.get('a/1')).rejects.toMatchObject({ code: 'ServiceUnavailable' });
    const startMs = performance.now();
    const calls = [
      store.get('a/1'),
      store.list('a/'),
      store.create('a/2', value),
      store.update('a/1', value, first.ok ? first.rev : -1n),
      store.currentRev(),
    ];
    const codes = (await Promise.allSettled(calls)).map((r) => r.status === 'rejected' && r.reason.code);
    expect(codes).toEqual(Array(5).fill('ServiceUnavailable'));
    expect(performance.now() - startMs).toBeLessThan(2_500);
    await etcd.restart();
    await expect.poll(async () => (await store.get('a/1')).kv?.key, { timeout: 10_000 }).toBe('a/1');
  });

  test('a watch whose revision was compacted while it was cut off ends with CompactedError', async () => {
    await using etcd = await startEtcd();
    await using store = await open(etcd.endpoint);
    using recorder = new Recorder(store, 'quiet/', (await store.currentRev()) + 1n);
    const first = await store.create('quiet/a', value);
    await recorder.sees(first.ok ? first.rev : -1n);
    let rev: Rev = 0n;
    for (let i = 0; i < 5; i++) {
      const result = await store.create(`busy/${i}`, value);
      rev = result.ok ? result.rev : rev;
    }
    await store.compact(rev);
    await etcd.restart();
    expect(await recorder.fails()).toBeInstanceOf(CompactedError);
  });

  test('when etcd has gone back in time watches end, and its lost revisions are never given out again', async () => {
    await using etcd = await startEtcd();
    await using store = await open(etcd.endpoint);
    for (let i = 0; i < 20; i++) await store.create(`a/${i}`, value);
    const rev = await store.currentRev();
    using recorder = new Recorder(store, 'a/', rev);
    await recorder.sees(rev);
    await etcd.wipe();
    expect(await recorder.fails()).toBeInstanceOf(FutureRevisionError);
    const created = () => store.create('a/after', value).catch(() => undefined);
    await expect.poll(async () => (await created())?.ok, { timeout: 10_000 }).toBe(true);
    expect((await store.get('a/after')).kv!.modRev).toBeGreaterThan(rev);
    await expect(store.list('a/', { rev })).rejects.toBeInstanceOf(CompactedError);
    using late = new Recorder(store, 'a/', rev + 1n);
    expect(await late.fails()).toBeInstanceOf(CompactedError);
  });

  test('a member that is dead is passed over by calls and watches', async () => {
    await using dead = await startEtcd();
    await dead.kill9();
    const options = { clock: systemClock, random: systemRandom, log: silentLog, callTimeoutMs: 1_000 };
    await using store = await openEtcd({ ...options, endpoints: [dead.endpoint, shared.endpoint] });
    const prefix = 'passed-over/';
    const from = (await store.currentRev()) + 1n;
    const recorders = Array.from({ length: 4 }, () => new Recorder(store, prefix, from));
    using stack = new DisposableStack();
    for (const recorder of recorders) stack.use(recorder);
    let last: Rev = 0n;
    for (let i = 0; i < 20; i++) {
      const result = await store.create(`${prefix}${i}`, value);
      last = result.ok ? result.rev : last;
    }
    for (const recorder of recorders) await recorder.sees(last);
  });

  test('minRevision leads the revisions on before anything is answered, and only if they are behind', async () => {
    await using etcd = await startEtcd();
    const options = { clock: systemClock, log: silentLog, etcdMinRevision: 5_000n };
    await using store = await openStore(`etcd://${etcd.endpoint}`, options);
    const rev = await store.currentRev();
    expect(rev).toBeGreaterThanOrEqual(6_000n);
    await expect(store.list('a/', { rev: 5_000n })).rejects.toBeInstanceOf(CompactedError);
    await using again = await openStore(`etcd://${etcd.endpoint}`, options);
    expect(await again.currentRev()).toBe(rev);
  });

  test('etcds:// speaks TLS both ways: calls, watches, and no answer without a certificate', async () => {
    const authority = await createAuthority('etcd-authority');
    const { certificate, key } = await issue(authority, { commonName: 'apiserver', usage: 'client' });
    await using etcd = await startEtcd({ authority });
    const options = { clock: systemClock, log: silentLog };
    const etcdTls = { ca: authority.certificate, certificate, key };
    await using store = await openStore(`etcds://${etcd.endpoint}`, { ...options, etcdTls });
    using recorder = new Recorder(store, 'a/', (await store.currentRev()) + 1n);
    const first = await store.create('a/1', value);
    await recorder.sees(first.ok ? first.rev : -1n);
    const stranger = { ...options, etcdTls: { ca: authority.certificate } };
    await expect(openStore(`etcds://${etcd.endpoint}`, stranger)).rejects.toMatchObject({ code: 'ServiceUnavailable' });
  });

  test('keys with ttlSeconds share a lease', async () => {
    await using store = await open(shared.endpoint);
    const write = (i: number) => store.create(`events/${i}`, value, { ttlSeconds: 3_600 });
    await Promise.all(Array.from({ length: 50 }, (_, i) => write(i)));
    const call = (path: string, body: object) =>
      fetch(`http://${shared.endpoint}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
    const { leases = [] } = (await (await call('lease/leases', {})).json()) as { leases?: { ID: string }[] };
    expect(leases).toHaveLength(1);
    const alive = await call('lease/timetolive', { ID: leases[0]!.ID, keys: true });
    const lease = (await alive.json()) as { keys: string[]; grantedTTL: string };
    expect([lease.keys.length, Number(lease.grantedTTL)]).toEqual([50, 3_660]);
  });

  test('a lease that etcd no longer knows is replaced', async () => {
    await using etcd = await startEtcd();
    await using store = await open(etcd.endpoint);
    const first = await store.create('events/1', value, { ttlSeconds: 3_600 });
    const call = (path: string, body: object) =>
      fetch(`http://${etcd.endpoint}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
    const { leases } = (await (await call('lease/leases', {})).json()) as { leases: { ID: string }[] };
    await call('lease/revoke', { ID: leases[0]!.ID });
    const second = await store.create('events/2', value, { ttlSeconds: 3_600 });
    expect([first.ok, second.ok]).toEqual([true, true]);
    expect((await store.list('events/')).kvs.map(({ key }) => key)).toEqual(['events/2']);
  });
});

test('openEtcd() says which etcd does not answer', async () => {
  await expect(open('127.0.0.1:1', 300)).rejects.toMatchObject({
    code: 'ServiceUnavailable',
    message: 'Cannot open the store: no etcd answers at 127.0.0.1:1',
  });
});

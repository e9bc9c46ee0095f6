/** The cache on a real etcd, which is killed under it. */
import { expect, test } from 'vitest';
import { openEtcd } from '#apiserver/store/etcd.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { startEtcd, whyNoEtcd } from '#test/etcd.ts';
import { WatchCache } from './watch-cache.ts';

const reason = whyNoEtcd();
if (reason) console.warn(`Skipped the watch cache on etcd: ${reason}`);

test.skipIf(reason)('kill -9 of etcd cuts no client, and every client hears of all that is written after', async () => {
  await using etcd = await startEtcd();
  const shared = { clock: systemClock, random: systemRandom, log: silentLog };
  await using store = await openEtcd({ ...shared, endpoints: [etcd.endpoint] });
  const decode = ({ value }: { value: Uint8Array }) => new TextDecoder().decode(value);
  using cache = new WatchCache<string>({ ...shared, store, prefix: 'r/', decode, atRevision: (object) => object });
  expect(await cache.waitFor(0n, 5_000)).toBe(true);
  const clients = Array.from({ length: 20 }, () => cache.watch(cache.rev));
  let last = 0n;
  for (let i = 0; i < 60; i++) {
    if (i % 20 === 10) await etcd.restart();
    const result = await store.create(`r/${i}`, new TextEncoder().encode(String(i)));
    last = result.ok ? result.rev : last;
  }
  for (const client of clients) {
    const heard: string[] = [];
    for await (const batch of client) {
      heard.push(...batch.events.map(({ entry }) => entry.object));
      if (batch.rev >= last) break;
    }
    expect(heard).toEqual(Array.from({ length: 60 }, (_, i) => String(i)));
  }
});

/** What etcd may suffer, with two API servers and their clients on top. Each trial prints its figures. */
import { describe, expect, test } from 'vitest';
import { openEtcd } from '#apiserver/store/etcd.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom, systemRandom } from '#lib/std/random.ts';
import { whyNot } from '../../requires.ts';
import { seed } from '../../seed.ts';
import type { Load } from './load.ts';
import { fill, turnPages } from './pressure.ts';
import { judge, startTrial } from './trial.ts';
import { maps } from './watcher.ts';

const print = (what: string, text: string) => console.log(`${what}: ${text}`);

const seconds = (ms: readonly number[]) => {
  const sorted = [...ms].sort((a, b) => a - b);
  return `recovery median ${(sorted[sorted.length >> 1]! / 1000).toFixed(2)} s, longest ${(sorted.at(-1)! / 1000).toFixed(2)} s`;
};

describe.skipIf(whyNot(['etcd']))('etcd', { timeout: 300_000 }, () => {
  test('killed 50 times under load', async () => {
    await using trial = await startTrial(seed);
    const random = seededRandom(seed + 1);
    const recoveries: number[] = [];
    const load = trial.startLoad();
    {
      await using _ = load;
      for (let kills = 0; kills < 50; kills++) {
        await systemClock.sleep(100 + 400 * random.next());
        await trial.etcd.restart();
        recoveries.push(await load.recovery());
      }
    }
    print('kill -9 x 50', `${await judge(trial, load)}; ${seconds(recoveries)}`);
  });

  test('stands still for 30 s', async () => {
    await using trial = await startTrial(seed);
    const load = trial.startLoad();
    const recoveries: number[] = [];
    {
      await using _ = load;
      await systemClock.sleep(2_000);
      trial.etcd.pause();
      await systemClock.sleep(30_000);
      trial.etcd.resume();
      recoveries.push(await load.recovery());
      await systemClock.sleep(2_000);
    }
    print('SIGSTOP 30 s', `${await judge(trial, load)}; ${seconds(recoveries)}`);
  });

  test('runs full, is read and deleted from, and goes on by itself', async () => {
    await using trial = await startTrial(seed, ['--quota-backend-bytes', String(16 * 1024 * 1024)]);
    const { replicas } = trial;
    const load = trial.startLoad();
    const recoveries: number[] = [];
    {
      await using _ = load;
      const full = await fill(trial.replicas);
      expect(full.status).toBe(500);
      expect(full.body.message).toContain('etcd is full');
      const read = await replicas.call(0, 'GET', `${maps}/big`);
      const listed = await replicas.call(1, 'GET', maps);
      const deleted = await replicas.call(1, 'DELETE', `${maps}/big`);
      expect([read.status, listed.status, deleted.status]).toEqual([200, 200, 200]);
      recoveries.push(await load.recovery());
      await systemClock.sleep(2_000);
    }
    print('quota used up', `${await judge(trial, load)}; ${seconds(recoveries)}`);
  });

  test('is compacted as closely as can be while watches are cut and lists turn pages', async () => {
    await using trial = await startTrial(seed);
    const random = seededRandom(seed + 2);
    const options = { clock: systemClock, random: systemRandom, log: silentLog };
    await using store = await openEtcd({ ...options, endpoints: [trial.etcd.endpoint] });
    const load = trial.startLoad();
    let compactions = 0;
    let pages = 0;
    {
      await using _ = load;
      const endMs = systemClock.monotonic() + 15_000;
      const compacting = (async () => {
        while (systemClock.monotonic() < endMs) {
          const rev = (await store.currentRev()) - BigInt(Math.floor(20 * random.next()));
          await store.compact(rev).catch(() => undefined); // etcd may just have been killed
          compactions++;
          await systemClock.sleep(50);
        }
      })();
      const killing = (async () => {
        while (systemClock.monotonic() < endMs) {
          await systemClock.sleep(3_000);
          await trial.etcd.restart();
        }
      })();
      while (systemClock.monotonic() < endMs) pages += await turnPages(trial.replicas, random.next() < 0.5 ? 0 : 1);
      await Promise.all([compacting, killing]);
    }
    print('compaction races', `${compactions} compactions, ${pages} pages; ${await judge(trial, load)}`);
  });

  test('is put back to an older snapshot', async () => {
    await using trial = await startTrial(seed);
    const { etcd, replicas, watchers } = trial;
    const during = async (load: Load) => {
      await using _ = load;
      await systemClock.sleep(3_000);
    };
    const kept = trial.startLoad('kept-');
    await during(kept);
    const registers = await kept.registers();
    const snapshot = await etcd.snapshot();
    const lost = trial.startLoad('lost-');
    await during(lost);
    const newest = lost.written.toSorted((a, b) => (a < b ? -1 : 1)).at(-1)!;
    await etcd.restore(snapshot);
    const load = trial.startLoad('new-');
    const recoveryMs = await load.recovery();
    await during(load);
    const figures = await judge(trial, load, registers);
    // No number is given out twice, and what clients hold of the lost future is too old, not the present.
    expect(load.written.filter((rev) => rev <= newest)).toEqual([]);
    for (const replica of [0, 1]) {
      const exact = await replicas.call(replica, 'GET', `${maps}?resourceVersion=${newest}&resourceVersionMatch=Exact`);
      expect(exact.status).toBe(410);
      const watch = replicas.watch(
        replica,
        `${maps}?watch=true&resourceVersion=${newest}`,
        AbortSignal.timeout(10_000),
      );
      expect((await watch.next()).value).toMatchObject({ type: 'ERROR', object: { code: 410 } });
    }
    // What the snapshot had is all there: nobody took its age for deletions.
    const names = new Set((await replicas.call(0, 'GET', maps)).body.items!.map(({ metadata }) => metadata.name));
    expect([...kept.ledger].filter((name) => !names.has(name))).toEqual([]);
    expect(watchers.every(({ expired }) => expired > 0)).toBe(true);
    print('older snapshot', `${figures}; of before ${kept.ledger.size} kept; ${seconds([recoveryMs])}`);
  });
});

/**
 * Clients that go from one API server to the other all the time: by the timeout they asked for, with a bookmark before it, or in the middle
 * of an event. They resume by resourceVersion, and must hear of everything once.
 */
import { describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { seededRandom } from '#lib/std/random.ts';
import { startEtcd } from '../../etcd.ts';
import { whyNot } from '../../requires.ts';
import { seed } from '../../seed.ts';
import { Load } from './load.ts';
import { startReplicas } from './replicas.ts';
import { judge } from './trial.ts';
import { Watcher } from './watcher.ts';

const seeds = [seed, seed + 1, seed + 2];

describe.skipIf(whyNot(['etcd']))('two replicas', { timeout: 120_000 }, () => {
  test.each(seeds)('no event is lost or repeated for clients that switch between them (seed %i)', async (seed) => {
    const random = seededRandom(seed);
    await using etcd = await startEtcd();
    await using replicas = await startReplicas(etcd.endpoint);
    await using stack = new AsyncDisposableStack();
    const choose = () => Math.floor(2 * random.next());
    const watchSeconds = () => 5;
    const patienceMs = () => 20 + 400 * random.next() ** 2;
    const watchers = Array.from({ length: 8 }, (_, i) =>
      stack.use(new Watcher({ replicas, random, choose, watchSeconds, ...(i < 6 ? { patienceMs } : {}) })),
    );
    const load = new Load(replicas, random);
    {
      await using _ = load;
      for (let i = 0; i < 10; i++) {
        await systemClock.sleep(800);
        // What the clients hold may be gone when they come back; then they are told so, and list.
        if (i % 3 === 2) await replicas.stores[0]!.compact(await replicas.stores[0]!.currentRev());
      }
    }
    const figures = await judge({ replicas, watchers }, load);
    expect(watchers.reduce((sum, { bookmarks }) => sum + bookmarks, 0)).toBeGreaterThan(0);
    console.log(`seed ${seed}: ${figures}`);
  });
});

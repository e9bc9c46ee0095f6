import { expect, it, vi } from 'vitest';
import { ConfigMap, Event } from '#lib/api/core.ts';
import { VMOperation } from '#lib/api/generated/index.ts';
import type { Client } from '#lib/client/client.ts';
import { type MemoryApi, memoryClient } from '#lib/client/memory-client.ts';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { type Controller, done } from './controller.ts';
import type { ControllerFactory, Deps } from './deps.ts';
import { createManager, type Manager } from './manager.ts';

/** Counts up a ConfigMap per operation, one create and then one patch, as a read-modify-write on the cache. */
function counter(limit: number, seen: { stale: number }): ControllerFactory {
  return (deps: Deps): Controller<VMOperation, VMOperation> => {
    const maps = deps.cache(ConfigMap);
    let lastWritten = 0;
    return {
      name: 'counter',
      for: VMOperation,
      reads: [],
      writes: [ConfigMap],
      triggers: [{ kind: ConfigMap, map: () => ['default/a'] }],
      load: (operation) => operation,
      phases: [
        async () => {
          const count = Number(maps.get('default/count')?.data?.count ?? 0);
          if (count < lastWritten) seen.stale += 1;
          if (count >= limit) return done;
          const metadata = { name: 'count', namespace: 'default' };
          const data = { count: String(count + 1) };
          if (count === 0) await deps.client.create(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
          else await deps.client.patch(ConfigMap, metadata, { data });
          lastWritten = count + 1;
          return done;
        },
      ],
      summarize: (operation) => {
        deps.events.normal(operation, 'Counted', 'Counted up');
        return { message: maps.get('default/count')?.data?.count ?? '0' };
      },
    };
  };
}

function start(
  client: Client,
  factories: readonly ControllerFactory[],
  clock: Clock = systemClock,
): { manager: Manager } & AsyncDisposable {
  const stop = new AbortController();
  const common = { clock, random: seededRandom(1), log: silentLog, freeze: true };
  const manager = createManager({ client, factories, component: 'test', instance: 'test-1', ...common });
  const running = Promise.all([manager.warm(stop.signal), manager.run(stop.signal)]);
  return {
    manager,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('enough'));
      await running;
    },
  };
}

async function addOperation(api: MemoryApi): Promise<void> {
  await api.create(VMOperation, {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'VMOperation',
    metadata: { name: 'a', namespace: 'default' },
    spec: { vm: 'web-0', type: 'Stop' },
  });
}

it('reconciles what changes, status and events included, until nothing is left to do', async () => {
  const api = memoryClient();
  const seen = { stale: 0 };
  await using run = start(api, [counter(20, seen)]);
  await addOperation(api);
  await vi.waitFor(
    async () => {
      const { status } = await api.get(VMOperation, { name: 'a', namespace: 'default' });
      expect(status).toEqual({ message: '20', observedGeneration: 1 });
      expect((await api.list(Event)).items[0]).toMatchObject({ reason: 'Counted', involvedObject: { name: 'a' } });
    },
    { timeout: 10_000 },
  );
  expect(run.manager.stats().counter).toMatchObject({ retries: 0 });
});

it('does not reconcile on a cache that is older than its own last write', async () => {
  const api = memoryClient();
  const seen = { stale: 0 };
  // The watch of config maps is slow, that of operations is not.
  const slow: Client = {
    ...api,
    async *watch(kind, options) {
      for await (const event of api.watch(kind, options)) {
        if (kind.kind === 'ConfigMap') await systemClock.sleep(15);
        yield event;
      }
    },
  };
  await using _run = start(slow, [counter(5, seen)]);
  await addOperation(api);
  await vi.waitFor(
    async () => {
      await api.patch(
        VMOperation,
        { name: 'a', namespace: 'default' },
        { metadata: { labels: { at: `${Date.now()}` } } },
      );
      const map = await api.get(ConfigMap, { name: 'count', namespace: 'default' });
      expect(map.data).toEqual({ count: '5' });
    },
    { timeout: 10_000, interval: 2 },
  );
  expect(seen.stale).toBe(0);
});

it('a trigger passes over what is no news to it, and news come no faster than the pace', async () => {
  const clock = new VirtualClock();
  const api = memoryClient({ clock });
  const factory: ControllerFactory = (deps): Controller<VMOperation, VMOperation> => {
    deps.cache(ConfigMap);
    const dataOf = (object: object) => JSON.stringify((object as { data?: object }).data);
    const isNews = (old: object, now: object) => dataOf(old) !== dataOf(now);
    return {
      ...{ name: 'paced', for: VMOperation, reads: [ConfigMap], writes: [], phases: [] },
      triggers: [{ kind: ConfigMap, map: () => ['default/a'], isNews }],
      triggerPaceMs: 1_000,
      load: (operation) => operation,
      summarize: () => undefined,
    };
  };
  const metadata = { name: 'count', namespace: 'default' };
  await api.create(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { count: '0' } });
  await addOperation(api);
  await using run = start(api, [factory], clock);
  const runs = async (afterMs: number) => {
    await clock.advance(afterMs);
    return run.manager.stats().paced!.runs;
  };
  const first = await runs(5_000);
  await api.patch(ConfigMap, metadata, { metadata: { labels: { no: 'news' } } });
  expect(await runs(5_000)).toBe(first);
  for (const count of ['1', '2', '3']) {
    await api.patch(ConfigMap, metadata, { data: { count } });
    await clock.advance(100);
  }
  expect(await runs(0)).toBe(first + 1);
  expect(await runs(1_000)).toBe(first + 2);
  expect(await runs(5_000)).toBe(first + 2);
});

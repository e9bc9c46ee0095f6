/** One trial: an etcd, two API servers, load through both, watchers that must know everything at the end, and the verdict. */
import { expect } from 'vitest';
import { seededRandom } from '#lib/std/random.ts';
import { type EtcdProcess, startEtcd } from '../../etcd.ts';
import type { Value } from './linearizability.ts';
import { isLinearizable } from './linearizability.ts';
import { Load } from './load.ts';
import { type Replicas, startReplicas } from './replicas.ts';
import { maps, textOf, Watcher } from './watcher.ts';

export interface Trial extends AsyncDisposable {
  readonly etcd: EtcdProcess;
  readonly replicas: Replicas;
  readonly watchers: readonly Watcher[];
  startLoad(prefix?: string): Load;
}

/** Elections of a single member need no second. */
const fastElection = ['--heartbeat-interval', '20', '--election-timeout', '200'];

export async function startTrial(seed: number, flags: readonly string[] = []): Promise<Trial> {
  await using stack = new AsyncDisposableStack();
  const random = seededRandom(seed);
  const etcd = stack.use(await startEtcd({ flags: [...fastElection, ...flags] }));
  const replicas = stack.use(await startReplicas(etcd.endpoint));
  const choose = [() => 0, () => 1, () => Math.floor(random.next() * 2)];
  // Two stay with one replica each, one changes it every few seconds.
  const watchers = choose.map((choose, i) =>
    stack.use(
      new Watcher({ replicas, random, choose, watchSeconds: () => (i < 2 ? 60 : 1 + Math.floor(2 * random.next())) }),
    ),
  );
  const running = stack.move();
  return {
    etcd,
    replicas,
    watchers,
    startLoad: (prefix) => new Load(replicas, random, prefix),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/**
 * Everything that must hold once the faults are over and the load has ended. `initial`: what the registers were before, if not absent.
 * Returns what to print.
 */
export async function judge(
  { replicas, watchers }: Pick<Trial, 'replicas' | 'watchers'>,
  load: Load,
  initial: ReadonlyMap<string, Value> = new Map(),
): Promise<string> {
  const final = await finalList(replicas);
  for (const [i, watcher] of watchers.entries()) {
    await expect
      .poll(() => [...watcher.copy].sort(), { timeout: 30_000, message: `watcher ${i}` })
      .toEqual(final.texts);
    expect(watcher.wrong, `watcher ${i}`).toEqual([]);
    const unheard = load.written.filter((rev) => !watcher.knows(rev));
    expect(unheard, `watcher ${i}`).toEqual([]);
  }
  const names = new Set(final.names);
  const lost = [...load.ledger].filter((name) => !names.has(name));
  expect(lost).toEqual([]);
  for (const [name, history] of load.history)
    expect(isLinearizable(history, initial.get(name)), `history of ${name}`).toBe(true);
  expect(load.unclean).toEqual([]);
  const operations = [...load.history.values()].reduce((sum, { length }) => sum + length, 0);
  const failed = [...load.statuses].filter(([what]) => / /.test(what)).map(([what, n]) => `${n} x ${what}`);
  return [
    `acknowledged writes ${load.written.length}, lost ${lost.length}`,
    `${load.history.size} histories of ${operations} operations linearizable`,
    `refused: ${failed.join(', ') || 'none'}`,
    `watches resumed ${sum(watchers, 'resumed')}, expired ${sum(watchers, 'expired')}, bookmarks ${sum(watchers, 'bookmarks')}`,
  ].join('; ');
}

function sum(watchers: readonly Watcher[], figure: 'resumed' | 'expired' | 'bookmarks'): number {
  return watchers.reduce((total, watcher) => total + watcher[figure], 0);
}

async function finalList(replicas: Replicas) {
  const lists = await Promise.all(Array.from({ length: replicas.count }, (_, i) => replicas.call(i, 'GET', maps)));
  const [first, ...others] = lists.map(({ body }) => body.items!.map((item) => [item.metadata.name!, textOf(item)]));
  for (const other of others) expect(other).toEqual(first);
  return { texts: first!.sort(), names: first!.map(([name]) => name!) };
}

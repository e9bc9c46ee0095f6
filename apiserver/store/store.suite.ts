/** What every store must do. Run by sqlite.test.ts and etcd.test.ts, so that the one is proved to behave as the other. */
import { describe, expect, test } from 'vitest';
import { isCode } from '#lib/std/errors.ts';
import { seededRandom } from '#lib/std/random.ts';
import { maxValueBytes } from './keys.ts';
import { CompactedError, FutureRevisionError, type Rev, type Store, type StoreEvent } from './store.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined) => value && new TextDecoder().decode(value);

/** Everything a watch delivered, and promises for what is still to come. */
export class Recorder implements Disposable {
  readonly events: StoreEvent[] = [];
  readonly progressed: Rev[] = [];
  error: Error | undefined;
  readonly #watch: Disposable & { requestProgress(): void };

  constructor(store: Store, prefix: string, from: Rev) {
    this.#watch = store.watch(prefix, from, {
      events: (batch) => this.events.push(...batch),
      progress: (rev) => this.progressed.push(rev),
      resumed: () => undefined,
      ended: (error) => {
        this.error = error;
      },
    });
  }

  requestProgress(): void {
    this.#watch.requestProgress();
  }

  async sees(rev: Rev): Promise<void> {
    await expect.poll(() => this.error ?? (this.events.at(-1)?.rev ?? 0n) >= rev, { timeout: 20_000 }).toBe(true);
  }

  async fails(): Promise<Error> {
    await expect.poll(() => this.error, { timeout: 10_000 }).toBeDefined();
    return this.error!;
  }

  /** What a client knows that had listed `start` and then heard these events. */
  state(start: Iterable<readonly [string, string]> = []): Map<string, string> {
    const state = new Map(start);
    for (const event of this.events) {
      if (event.type === 'put') state.set(event.key, text(event.kv.value)!);
      else state.delete(event.key);
    }
    return state;
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }
}

async function create(store: Store, key: string, value: string): Promise<Rev> {
  const result = await store.create(key, bytes(value));
  if (!result.ok) throw new Error(`${key} is already there`);
  return result.rev;
}

async function update(store: Store, key: string, value: string, expected: Rev): Promise<Rev> {
  const result = await store.update(key, bytes(value), expected);
  if (!result.ok) throw new Error(`${key} is not at revision ${expected}`);
  return result.rev;
}

async function listed(store: Store, prefix: string, rev?: Rev): Promise<Map<string, string>> {
  const { kvs } = await store.list(prefix, rev === undefined ? {} : { rev });
  return new Map(kvs.map((kv) => [kv.key, text(kv.value)!]));
}

const sorted = (map: Map<string, string>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

/** `openStore` gives a store for one test; each test keeps to a folder of keys of its own, so they may share one. */
export function storeSuite(name: string, openStore: () => Promise<Store>): void {
  let folders = 0;
  const folder = () => `suite/${process.pid}-${++folders}/`;

  describe(`${name}: writes`, () => {
    test('create() lets exactly one of 50 win, and shows the others what won', async () => {
      await using store = await openStore();
      const key = `${folder()}one`;
      const results = await Promise.all(Array.from({ length: 50 }, (_, i) => store.create(key, bytes(`by ${i}`))));
      const winners = results.flatMap((result, i) => (result.ok ? [{ i, rev: result.rev }] : []));
      expect(winners).toHaveLength(1);
      const { i, rev } = winners[0]!;
      for (const result of results)
        if (!result.ok) expect([text(result.current.value), result.current.modRev]).toEqual([`by ${i}`, rev]);
      expect((await store.get(key)).kv).toMatchObject({ createRev: rev, modRev: rev });
    });

    test('update() writes only over the revision it was told', async () => {
      await using store = await openStore();
      const key = `${folder()}a`;
      const first = await create(store, key, 'first');
      const second = await update(store, key, 'second', first);
      expect(second).toBeGreaterThan(first);
      const stale = await store.update(key, bytes('third'), first);
      expect(stale.ok || text(stale.current?.value)).toBe('second');
      expect((await store.get(key)).kv).toMatchObject({ createRev: first, modRev: second });
      expect(await store.update(`${key}b`, bytes('x'), first)).toEqual({ ok: false, current: undefined });
    });

    test('update() lets exactly one of 20 win per revision', async () => {
      await using store = await openStore();
      const key = `${folder()}counter`;
      await create(store, key, '0');
      const increment = async () => {
        for (;;) {
          const { kv } = await store.get(key);
          const result = await store.update(key, bytes(String(Number(text(kv!.value)) + 1)), kv!.modRev);
          if (result.ok) return;
        }
      };
      await Promise.all(Array.from({ length: 20 }, increment));
      expect(text((await store.get(key)).kv?.value)).toBe('20');
    });

    test('delete() removes only the revision it was told, and gives back what was there', async () => {
      await using store = await openStore();
      const key = `${folder()}a`;
      const first = await create(store, key, 'first');
      const second = await update(store, key, 'second', first);
      expect((await store.delete(key, first)).ok).toBe(false);
      const removed = await store.delete(key, second);
      expect(removed.ok && text(removed.prev.value)).toBe('second');
      expect(removed.ok && removed.rev).toBeGreaterThan(second);
      expect((await store.get(key)).kv).toBeUndefined();
      expect(await store.delete(key, second)).toEqual({ ok: false, current: undefined });
      const again = await create(store, key, 'again');
      expect((await store.get(key)).kv).toMatchObject({ createRev: again, modRev: again });
    });

    test('values of the largest size come back whole, larger ones are refused by name', async () => {
      await using store = await openStore();
      const key = `${folder()}big`;
      const value = new Uint8Array(maxValueBytes).map((_, i) => i % 251);
      const result = await store.create(key, value);
      expect(result.ok).toBe(true);
      expect(Buffer.compare((await store.get(key)).kv!.value, value)).toBe(0);
      const error = await store.create(`${key}ger`, new Uint8Array(maxValueBytes + 1)).catch((e: unknown) => e);
      expect(isCode(error, 'RequestEntityTooLarge') && error.message).toContain(`${key}ger`);
    });

    test('every write has a revision of its own, also when many arrive at once', async () => {
      await using store = await openStore();
      const prefix = folder();
      const revs = await Promise.all(Array.from({ length: 500 }, (_, i) => create(store, `${prefix}${i}`, 'x')));
      expect(new Set(revs).size).toBe(500);
      expect(await store.currentRev()).toBeGreaterThanOrEqual(revs.sort((a, b) => Number(a - b)).at(-1)!);
    });
  });

  describe(`${name}: lists`, () => {
    test('list() keeps to its prefix: a/ does not show what is in ab/', async () => {
      await using store = await openStore();
      const prefix = folder();
      for (const key of ['a/1', 'a/2', 'ab/1', 'a', 'a0']) await create(store, prefix + key, key);
      expect([...(await listed(store, `${prefix}a/`)).values()]).toEqual(['a/1', 'a/2']);
      await expect(store.list(`${prefix}a`)).rejects.toThrow('must end in "/"');
    });

    test('list() at an old revision shows what was there then', async () => {
      await using store = await openStore();
      const prefix = folder();
      const a1 = await create(store, `${prefix}a`, 'a1');
      const b1 = await create(store, `${prefix}b`, 'b1');
      const a2 = await update(store, `${prefix}a`, 'a2', a1);
      const gone = await store.delete(`${prefix}b`, b1);
      const at = async (rev: Rev) => [...(await listed(store, prefix, rev)).values()];
      expect(await at(a1)).toEqual(['a1']);
      expect(await at(b1)).toEqual(['a1', 'b1']);
      expect(await at(a2)).toEqual(['a2', 'b1']);
      expect(gone.ok && (await at(gone.rev))).toEqual(['a2']);
      expect((await store.list(prefix, { rev: b1 })).kvs[0]).toMatchObject({ createRev: a1, modRev: a1 });
    });

    test('pages at a pinned revision fit together although others write', async () => {
      await using store = await openStore();
      const prefix = folder();
      const names = Array.from({ length: 25 }, (_, i) => `${prefix}${String(i).padStart(2, '0')}`);
      for (const key of names) await create(store, key, 'old');
      const first = await store.list(prefix, { limit: 10 });
      expect([first.kvs.length, first.remaining]).toEqual([10, 15]);
      await create(store, `${prefix}055`, 'new');
      await store.delete(names[12]!, (await store.get(names[12]!)).kv!.modRev);
      const second = await store.list(prefix, { limit: 10, rev: first.rev, after: first.kvs.at(-1)!.key });
      const third = await store.list(prefix, { limit: 10, rev: first.rev, after: second.kvs.at(-1)!.key });
      expect([second.remaining, third.remaining, third.kvs.length]).toEqual([5, 0, 5]);
      expect([first, second, third].flatMap(({ kvs }) => kvs.map(({ key }) => key))).toEqual(names);
    });

    test('list() of keys only leaves the values out', async () => {
      await using store = await openStore();
      const prefix = folder();
      const rev = await create(store, `${prefix}a`, 'a1');
      const { kvs } = await store.list(prefix, { keysOnly: true });
      expect(kvs).toMatchObject([{ key: `${prefix}a`, modRev: rev }]);
      expect(kvs[0]!.value).toHaveLength(0);
    });

    test('list() at a revision yet to come is refused with the one the store is at', async () => {
      await using store = await openStore();
      const rev = await store.currentRev();
      const error = await store.list(folder(), { rev: rev + 1_000n }).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(FutureRevisionError);
      expect((error as FutureRevisionError).currentRev).toBeGreaterThanOrEqual(rev);
    });
  });

  describe(`${name}: watches`, () => {
    test('watch() gives old and new changes in order, with what was there before', async () => {
      await using store = await openStore();
      const prefix = folder();
      const a1 = await create(store, `${prefix}a`, 'a1');
      const a2 = await update(store, `${prefix}a`, 'a2', a1);
      using recorder = new Recorder(store, prefix, a1);
      await recorder.sees(a2);
      await create(store, `suite/elsewhere-${prefix.replaceAll('/', '-')}`, 'not under the prefix');
      const gone = await store.delete(`${prefix}a`, a2);
      await recorder.sees(gone.ok ? gone.rev : -1n);
      const told = recorder.events.map(({ type, rev, prev }) => [type, rev, text(prev?.value)]);
      expect(told).toEqual([
        ['put', a1, undefined],
        ['put', a2, 'a1'],
        ['delete', gone.ok && gone.rev, 'a2'],
      ]);
    });

    test('every watcher, from whatever revision, ends with the final list: nothing lost, nothing twice', async () => {
      await using store = await openStore();
      const prefix = folder();
      const seed = Math.floor(Math.random() * 2 ** 32);
      const random = seededRandom(seed);
      const starts: { from: Rev; state: Map<string, string>; recorder: Recorder }[] = [];
      const join = async () => {
        const { kvs, rev } = await store.list(prefix);
        const state = new Map(kvs.map((kv) => [kv.key, text(kv.value)!]));
        starts.push({ from: rev + 1n, state, recorder: new Recorder(store, prefix, rev + 1n) });
      };
      await join();
      await Promise.all(Array.from({ length: 8 }, (_, i) => writeAtRandom(store, prefix, `w${i}`, random, join)));
      const last = await create(store, `${prefix}the-end`, 'end');
      const final = sorted(await listed(store, prefix));
      for (const { from, state, recorder } of starts) {
        using _ = recorder;
        await recorder.sees(last);
        const revs = recorder.events.map(({ rev }) => rev);
        expect(revs, `seed ${seed}`).toEqual([...new Set(revs)].sort((a, b) => (a < b ? -1 : 1)));
        expect(revs[0], `seed ${seed}`).toBeGreaterThanOrEqual(from);
        expect(sorted(recorder.state(state)), `seed ${seed} from ${from}`).toEqual(final);
      }
    });

    test('a watch that was disposed of hears nothing more', async () => {
      await using store = await openStore();
      const prefix = folder();
      const recorder = new Recorder(store, prefix, (await store.currentRev()) + 1n);
      const first = await create(store, `${prefix}a`, 'a');
      await recorder.sees(first);
      recorder[Symbol.dispose]();
      using witness = new Recorder(store, prefix, first);
      const second = await create(store, `${prefix}b`, 'b');
      await witness.sees(second);
      expect(recorder.events).toHaveLength(1);
    });

    test('watch() from a revision yet to come ends with FutureRevisionError', async () => {
      await using store = await openStore();
      using recorder = new Recorder(store, folder(), (await store.currentRev()) + 1_000n);
      expect(await recorder.fails()).toBeInstanceOf(FutureRevisionError);
    });

    test('progress reaches the current revision on a quiet prefix, without an event or a trace in lists', async () => {
      await using store = await openStore();
      const prefix = folder();
      using recorder = new Recorder(store, prefix, (await store.currentRev()) + 1n);
      const rev = await create(store, `${folder()}elsewhere`, 'x');
      const reached = () => {
        recorder.requestProgress();
        return (recorder.progressed.at(-1) ?? 0n) >= rev;
      };
      await expect.poll(reached, { interval: 100, timeout: 10_000 }).toBe(true);
      expect(recorder.events).toEqual([]);
      expect(await store.list(prefix)).toMatchObject({ kvs: [], remaining: 0 });
    });

    test('progress never overtakes events', async () => {
      await using store = await openStore();
      const prefix = folder();
      let heard = 0n;
      const early: Rev[] = [];
      const from = (await store.currentRev()) + 1n;
      const written: Rev[] = [];
      using watch = store.watch(prefix, from, {
        events: (batch) => {
          heard = batch.at(-1)!.rev;
        },
        progress: (rev) => {
          if (written.some((own) => own <= rev && own > heard)) early.push(rev);
        },
        resumed: () => undefined,
        ended: (error) => {
          throw error;
        },
      });
      for (let i = 0; i < 200; i++) {
        written.push(await create(store, `${prefix}${i}`, 'x'));
        watch.requestProgress();
      }
      await expect.poll(() => heard, { timeout: 10_000 }).toBe(written.at(-1));
      expect(early).toEqual([]);
    });
  });

  describe(`${name}: compaction`, () => {
    test('lists and watches behind it get CompactedError, what is there stays', async () => {
      await using store = await openStore();
      const prefix = folder();
      const first = await create(store, `${prefix}a`, 'a1');
      const second = await update(store, `${prefix}a`, 'a2', first);
      const third = await create(store, `${prefix}b`, 'b1');
      const gone = await store.delete(`${prefix}b`, third);
      const rev = gone.ok ? gone.rev : -1n;
      await store.compact(rev);
      await store.compact(second); // behind the last one: nothing to do
      await expect(store.list(prefix, { rev: second })).rejects.toBeInstanceOf(CompactedError);
      expect([...(await listed(store, prefix, rev)).values()]).toEqual(['a2']);
      using behind = new Recorder(store, prefix, second);
      const error = await behind.fails();
      expect(error).toBeInstanceOf(CompactedError);
      expect((error as CompactedError).compactRev).toBe(rev);
      using ahead = new Recorder(store, prefix, rev + 1n);
      await ahead.sees(await update(store, `${prefix}a`, 'a3', second));
      expect(ahead.events).toHaveLength(1);
    });

    test('compact() of a revision yet to come is refused', async () => {
      await using store = await openStore();
      const rev = await store.currentRev();
      await expect(store.compact(rev + 1_000n)).rejects.toBeInstanceOf(FutureRevisionError);
    });
  });
}

/** 60 writes of all kinds to 12 keys that others write too; now and then a watcher joins. */
async function writeAtRandom(
  store: Store,
  prefix: string,
  who: string,
  random: { next(): number },
  join: () => Promise<void>,
): Promise<void> {
  for (let i = 0; i < 60; i++) {
    const key = `${prefix}k${Math.floor(random.next() * 12)}`;
    const { kv } = await store.get(key);
    if (!kv) await store.create(key, bytes(`${who}-${i}`));
    else if (random.next() < 0.3) await store.delete(key, kv.modRev);
    else await store.update(key, bytes(`${who}-${i}`), kv.modRev);
    if (random.next() < 0.04) await join();
  }
}

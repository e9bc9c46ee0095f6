import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { UsageError } from '#lib/std/main.ts';
import { idle, VirtualClock } from '#test/virtual-clock.ts';
import { openSqlite } from './sqlite.ts';
import { Recorder, storeSuite } from './store.suite.ts';
import { CompactedError } from './store.ts';

const directory = await mkdtemp(join(tmpdir(), 'cf-sqlite-'));
afterAll(() => rm(directory, { recursive: true, force: true }));

let files = 0;
const newFile = () => join(directory, `${++files}.db`);
const open = (file: string, clock = systemClock) => openSqlite({ file, clock, log: silentLog });
const value = new TextEncoder().encode('{}');

storeSuite('SQLite', async () => open(newFile()));

test('openSqlite() finds everything again: values, history, revision, compaction', async () => {
  const file = newFile();
  const before = await (async () => {
    await using store = open(file);
    for (const key of ['a/1', 'a/2', 'a/3']) await store.create(key, value);
    await store.compact(3n);
    await store.delete('a/2', 3n);
    return { list: await store.list('a/'), old: await store.list('a/', { rev: 4n }) };
  })();
  await using store = open(file);
  expect(await store.list('a/')).toEqual(before.list);
  expect(await store.list('a/', { rev: 4n })).toEqual(before.old);
  await expect(store.list('a/', { rev: 2n })).rejects.toBeInstanceOf(CompactedError);
  using recorder = new Recorder(store, 'a/', 4n);
  await recorder.sees(5n);
  expect(recorder.events.map(({ type, key, rev }) => [type, key, rev])).toEqual([
    ['put', 'a/3', 4n],
    ['delete', 'a/2', 5n],
  ]);
  expect(await store.create('a/4', value)).toEqual({ ok: true, rev: 6n });
});

test('openSqlite() refuses a file that another server has open, and says so', async () => {
  const file = newFile();
  await using store = open(file);
  expect(() => open(file)).toThrow(UsageError);
  expect(() => open(file)).toThrow('in use by another server');
  expect((await store.create('a/1', value)).ok).toBe(true);
});

test('openSqlite() refuses what is no store', async () => {
  expect(() => open(directory)).toThrow(UsageError);
});

test('a key with ttlSeconds goes away when its time has come, with an event', async () => {
  const clock = new VirtualClock();
  await using store = open(newFile(), clock);
  await store.create('e/short', value, { ttlSeconds: 60 });
  const kept = await store.create('e/kept', value, { ttlSeconds: 60 });
  await store.update('e/kept', value, kept.ok ? kept.rev : -1n);
  using recorder = new Recorder(store, 'e/', 2n);
  await clock.advance(59_000);
  expect((await store.list('e/')).kvs.map(({ key }) => key)).toEqual(['e/kept', 'e/short']);
  await clock.advance(20_000);
  await idle();
  expect((await store.list('e/')).kvs.map(({ key }) => key)).toEqual(['e/kept']);
  expect(recorder.events.at(-1)).toMatchObject({ type: 'delete', key: 'e/short', prev: { key: 'e/short' } });
});

test('compact() deletes history in batches and keeps what can still be asked for', async () => {
  await using store = open(newFile());
  let rev = 0n;
  for (let i = 0; i < 30; i++)
    await Promise.all(Array.from({ length: 100 }, (_, k) => store.create(`c/${i}-${k}`, value)));
  for (const kv of (await store.list('c/', { limit: 2_000 })).kvs) {
    const gone = await store.delete(kv.key, kv.modRev);
    rev = gone.ok ? gone.rev : rev;
  }
  await store.compact(rev);
  expect((await store.list('c/', { rev })).kvs).toHaveLength(1_000);
  using recorder = new Recorder(store, 'c/', rev);
  await recorder.sees(rev);
  expect(recorder.events).toHaveLength(1);
});

test('compact() makes the file smaller', async () => {
  const file = newFile();
  const write = async () => {
    await using store = open(file);
    const big = new Uint8Array(100_000);
    let { rev } = (await store.create('c/big', big)) as { rev: bigint };
    for (let i = 0; i < 40; i++) ({ rev } = (await store.update('c/big', big, rev)) as { rev: bigint });
    return rev;
  };
  const rev = await write();
  const before = (await stat(file)).size;
  const compact = async () => {
    await using store = open(file);
    await store.compact(rev);
  };
  await compact();
  expect((await stat(file)).size).toBeLessThan(before / 2);
});

test('what was acknowledged is there after kill -9', async () => {
  const file = newFile();
  const writer = spawn(process.execPath, [join(import.meta.dirname, 'testdata/writer.ts'), file]);
  const lines = createInterface({ input: writer.stdout })[Symbol.asyncIterator]();
  const acknowledged: string[] = [];
  while (acknowledged.length < 500) acknowledged.push((await lines.next()).value as string);
  const gone = once(writer, 'exit');
  writer.kill('SIGKILL');
  for (let line = await lines.next(); !line.done; line = await lines.next()) acknowledged.push(line.value);
  await gone;
  await using store = open(file);
  const { kvs, rev } = await store.list('a/');
  const there = new Set(kvs.map(({ key }) => key));
  // The last line may have been cut in the middle.
  expect(acknowledged.slice(0, -1).filter((key) => !there.has(key))).toEqual([]);
  using recorder = new Recorder(store, 'a/', 2n);
  await recorder.sees(rev);
  expect(recorder.events.map(({ key }) => key).sort()).toEqual([...there].sort());
});

test('writes fail with ServiceUnavailable once the store is closed', async () => {
  const store = open(newFile());
  const pending = store.create('a/1', value);
  await store[Symbol.asyncDispose]();
  expect((await pending).ok).toBe(true);
  await expect(store.create('a/2', value)).rejects.toMatchObject({ code: 'ServiceUnavailable' });
});

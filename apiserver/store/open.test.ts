import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { UsageError } from '#lib/std/main.ts';
import { openStore } from './open.ts';

const options = { clock: systemClock, log: silentLog };

test.each([
  ['', 'Unknown store ""'],
  ['postgres://db', 'Unknown store "postgres://db"'],
  ['sqlite:', 'names no file'],
  ['sqlite::memory:', 'names no file'],
  ['etcd://', 'an endpoint that is not HOST:PORT, ""'],
  ['etcd://a:2379,b', 'an endpoint that is not HOST:PORT, "b"'],
  ['etcds://', 'an endpoint that is not HOST:PORT, ""'],
  ['etcd://a:99999', 'an endpoint that is not HOST:PORT, "a:99999"'],
])('openStore() refuses "%s" and says what to give', async (address, message) => {
  const error = await openStore(address, options).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(UsageError);
  expect((error as Error).message).toContain(message);
  expect((error as Error).message).toContain('sqlite:FILE, etcd://HOST:PORT');
});

test.each([
  ['etcd://a:2379', { ca: 'PEM' }, 'etcds://'],
  ['etcds://a:2379', { certificate: 'PEM' }, '--etcd-keyfile'],
])('openStore() of %s refuses certificates that it could not use', async (address, etcdTls, message) => {
  await expect(openStore(address, { ...options, etcdTls })).rejects.toThrow(message);
});

test('openStore() makes the SQLite file', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'cf-open-'));
  try {
    await using store = await openStore(`sqlite:${join(directory, 'new.db')}`, options);
    expect(await store.currentRev()).toBe(1n);
    expect((await stat(join(directory, 'new.db'))).isFile()).toBe(true);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

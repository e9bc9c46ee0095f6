import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { keptBytes, type LogOptions, lastLines, lastPrinted, printed } from './log.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 5000, interval: 10 }));

async function openWorld() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const file = join(directory.path, 'vms', 'u', 'console.log');
  mkdirSync(dirname(file), { recursive: true });
  return {
    file,
    /** As virtlogd does it when the file is full. */
    rotate() {
      for (const [from, to] of [
        ['.0', '.1'],
        ['', '.0'],
      ])
        try {
          renameSync(`${file}${from}`, `${file}${to}`);
        } catch {
          // There was none yet.
        }
    },
    [Symbol.asyncDispose]: async () => await directory[Symbol.asyncDispose](),
  };
}

async function all(file: string, options: Partial<LogOptions> = {}): Promise<string> {
  let text = '';
  const { signal } = new AbortController();
  for await (const chunk of printed(file, { clock: systemClock, signal, ...options })) text += chunk;
  return text;
}

test('what was printed goes on over renamed files, and no more than is promised is given', async () => {
  await using world = await openWorld();
  expect(await all(world.file)).toBe('');
  writeFileSync(world.file, `first\n${'x'.repeat(keptBytes)}`);
  world.rotate();
  writeFileSync(world.file, 'middle\n');
  world.rotate();
  writeFileSync(world.file, 'last\n');
  const text = await all(world.file);
  expect(text).toHaveLength(keptBytes);
  expect(text).toMatch(/^x+middle\nlast\n$/);
  expect(String(await lastPrinted(world.file, 8))).toBe('le\nlast\n');
});

test('one file that is met under two names is read once', async () => {
  await using world = await openWorld();
  writeFileSync(`${world.file}.0`, 'once\n');
  const { linkSync } = await import('node:fs');
  linkSync(`${world.file}.0`, `${world.file}.1`);
  expect(await all(world.file)).toBe('once\n');
});

test('lines and bytes are counted as kubectl logs does', async () => {
  await using world = await openWorld();
  writeFileSync(world.file, 'a\nb\nc\n');
  expect(await all(world.file, { tailLines: 2 })).toBe('b\nc\n');
  expect(await all(world.file, { tailLines: 2, limitBytes: 3 })).toBe('b\nc');
  expect(await all(world.file, { tailLines: 0 })).toBe('');
  expect(await all(world.file, { tailLines: 9 })).toBe('a\nb\nc\n');
  expect(String(lastLines(Buffer.from('a\nlogin: '), 1))).toBe('login: ');
  expect(String(lastLines(Buffer.from('\n\n'), 1))).toBe('\n');
});

test('following goes on where the file is renamed, and ends when the machine is removed', async () => {
  await using world = await openWorld();
  writeFileSync(world.file, 'old\nbefore\n');
  let text = '';
  const reading = (async () => {
    const { signal } = new AbortController();
    const options = { clock: systemClock, signal, follow: true, tailLines: 1 };
    for await (const chunk of printed(world.file, options)) text += chunk;
  })();
  await until(() => expect(text).toBe('before\n'));
  appendFileSync(world.file, 'one\n');
  await until(() => expect(text).toBe('before\none\n'));
  appendFileSync(world.file, 'two\n');
  world.rotate();
  writeFileSync(world.file, 'three\n');
  await until(() => expect(text).toBe('before\none\ntwo\nthree\n'));
  rmSync(dirname(world.file), { recursive: true });
  await reading;
});

test('following ends with its signal, also before anything was printed', async () => {
  await using world = await openWorld();
  const stop = new AbortController();
  const reading = all(world.file, { follow: true, signal: stop.signal });
  writeFileSync(world.file, 'late\n');
  await systemClock.sleep(400);
  stop.abort();
  expect(await reading).toBe('late\n');
});

test('a link in the place of the log is not followed', async () => {
  await using world = await openWorld();
  symlinkSync('/etc/hostname', world.file);
  await expect(all(world.file)).rejects.toThrow('ELOOP');
});

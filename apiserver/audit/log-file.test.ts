import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { LogFile } from './log-file.ts';

let folder: string;
let lost = 0;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'audit-'));
  lost = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const openLog = (limits: { maxBytes?: number; maxBackups?: number } = {}) =>
  new LogFile({
    path: join(folder, 'audit.log'),
    maxBytes: 1_000_000,
    maxBackups: 3,
    lost: (lines) => {
      lost += lines;
    },
    clock: systemClock,
    log: silentLog,
    ...limits,
  });

const read = (name = 'audit.log') => readFileSync(join(folder, name), 'utf8');

test('lines are there in order once it is closed, and a second start goes on behind them', async () => {
  for (const from of [0, 500]) {
    await using file = openLog();
    for (let index = from; index < from + 500; index++) file.append(`line ${index}`);
  }
  expect(read()).toBe(Array.from({ length: 1_000 }, (_, index) => `line ${index}\n`).join(''));
  expect(lost).toBe(0);
});

test('a file that would grow too large is put aside, and the oldest of those go', async () => {
  {
    await using file = openLog({ maxBytes: 1_000, maxBackups: 2 });
    for (let index = 0; index < 10; index++) {
      file.append(`${index} ${'x'.repeat(600)}`);
      await systemClock.sleep(5);
    }
  }
  const names = readdirSync(folder).sort();
  expect(names).toHaveLength(3);
  expect(names.map((name) => read(name)[0])).toEqual(['9', '7', '8']);
  expect(lost).toBe(0);
});

test('what a full disk does not take is lost and counted; once there is room it goes on', async () => {
  const path = join(folder, 'audit.log');
  symlinkSync('/dev/full', path);
  await using file = openLog();
  for (let index = 0; index < 10; index++) file.append('gone');
  while (lost < 10) await systemClock.sleep(5);
  unlinkSync(path);
  file.append('kept');
  await file[Symbol.asyncDispose]();
  // A new line first: the one before may have been cut in the middle.
  expect(read()).toBe('\nkept\n');
  expect(lost).toBe(10);
});

test('the queue is bounded', async () => {
  await using file = openLog({ maxBytes: 1e9 });
  for (let index = 0; index < 40; index++) file.append('x'.repeat(1024 * 1024));
  expect(lost).toBeGreaterThan(20);
  expect(lost).toBeLessThan(40);
});

import { describe, expect, test } from 'vitest';
import { seededRandom } from '#lib/std/random.ts';
import { encodeData } from '#mesos/bytes.ts';
import type { TaskStatus } from '#mesos/types.ts';
import type { ExecutorFact } from './executor-book.ts';
import { ended, type ImportRow, isDue, isForgotten, started } from './import-rows.ts';
import { nextFact } from './task-book.ts';

const nowMs = Date.parse('2026-01-01T00:00:00Z');
const pending: ImportRow = { name: 'lab', phase: 'Pending' };

function fact(state: TaskStatus['state'], data?: object) {
  const more = data ? { data: encodeData(data), source: 'SOURCE_EXECUTOR' as const } : {};
  return nextFact(undefined, { task_id: { value: 't' }, state, ...more }, 1);
}

test.each([
  ['a new row', pending, true],
  ['none', undefined, false],
  ['one that is being imported', { ...pending, taskID: 'img-1' }, false],
  ['one that is ready', { ...pending, phase: 'Ready' as const }, false],
  ['one that waits', { ...pending, retryAfter: '2026-01-01T00:00:01Z' }, false],
  ['one that has waited', { ...pending, retryAfter: '2026-01-01T00:00:00Z' }, true],
  ['one that was given up', { ...pending, terminal: true }, false],
])('isDue: %s', (_, row, due) => {
  expect(isDue(row, nowMs)).toBe(due);
});

describe('ended', () => {
  const row = started(pending, '0b0c', { host: 'h1', agentId: 'S1' });
  const failure = { class: 'Configuration', reason: 'NotFound', message: 'No such file', domainAbsent: true };
  const rowAfter = (given: ReturnType<typeof fact> | undefined, of = row) => ended(of, given, nowMs, seededRandom(1));

  test('counts attempts and names the task', () => {
    expect(row).toMatchObject({ phase: 'Downloading', attempts: 1, taskID: 'img-0b0c-1', host: 'h1', agentID: 'S1' });
  });

  test('nothing while the task goes on, or was not heard of', () => {
    expect(rowAfter(fact('TASK_RUNNING'))).toBeUndefined();
    expect(rowAfter(undefined)).toBeUndefined();
  });

  test('ready, with what was found', () => {
    const result = { digest: 'd'.repeat(64), format: 'qcow2', size: 5, virtualSize: 9 };
    const next = rowAfter(fact('TASK_FINISHED', result));
    expect(next).toMatchObject({ ...result, phase: 'Ready', attempts: 1 });
    expect(next).not.toHaveProperty('taskID');
  });

  test('a lost task is tried again later', () => {
    const next = rowAfter(fact('TASK_GONE'));
    expect(next).toMatchObject({ phase: 'Pending', attempts: 1 });
    expect(Date.parse(next!.retryAfter!)).toBeGreaterThan(nowMs);
  });

  test('what cannot get better is given up at once, anything else after the fifth time', () => {
    expect(rowAfter(fact('TASK_FAILED', { ...failure, terminal: true }))).toMatchObject({
      phase: 'Failed',
      terminal: true,
      message: 'No such file',
    });
    const again = fact('TASK_FAILED', { ...failure, terminal: false });
    expect(rowAfter(again, { ...row, attempts: 4 })).toMatchObject({ phase: 'Pending' });
    expect(rowAfter(again, { ...row, attempts: 5 })).toMatchObject({ phase: 'Failed', terminal: true });
  });
});

describe('isForgotten', () => {
  const row = started(pending, '0b0c', { host: 'h1', agentId: 'S1' });
  const begun = fact('TASK_RUNNING');
  const executor = (imports: readonly string[] | undefined, more: Partial<ExecutorFact> = {}) =>
    ({ agentId: 'S1', heartbeat: imports && { imports }, heardMs: 10_000, lostMs: undefined, ...more }) as ExecutorFact;
  const old = { ...executor([]), heartbeat: {} } as ExecutorFact;

  test.each([
    ['one that is not named any more', begun, executor([]), true],
    ['one that goes on', begun, executor(['img-0b0c-1']), false],
    ['one that may have begun since', begun, executor([], { heardMs: 1_500 }), false],
    ['one that was not heard of', undefined, executor([]), false],
    ['one that has ended', fact('TASK_FINISHED'), executor([]), false],
    ['one of an executor that is lost', begun, executor([], { lostMs: 9_000 }), false],
    ['one of another agent', begun, executor([], { agentId: 'S2' }), false],
    ['one of an executor that does not tell', begun, old, false],
    ['one of a host that was not heard', begun, undefined, false],
  ])('%s', (_, task, heard, forgotten) => {
    expect(isForgotten(row, task, heard)).toBe(forgotten);
  });
});

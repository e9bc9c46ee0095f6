import { describe, expect, test } from 'vitest';
import { seededRandom } from '#lib/std/random.ts';
import { encodeData } from '#mesos/bytes.ts';
import type { TaskStatus } from '#mesos/types.ts';
import type { ExecutorFact } from './executor-book.ts';
import { advanced, ended, foundAgain, type ImportRow, isDue, isForgotten, lost, started } from './import-rows.ts';
import { nextFact } from './task-book.ts';

const nowMs = Date.parse('2026-01-01T00:00:00Z');
const pending: ImportRow = { name: 'lab', phase: 'Pending' };
const imported = { file: { path: 'a' } };

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
  ['one that was lost a moment ago', lost({ ...pending, phase: 'Ready' }, imported, nowMs, 30_000), false],
  ['one that was lost a minute ago', lost({ ...pending, phase: 'Ready' }, imported, nowMs - 60_000, 30_000), true],
  ['one that was lost and was not imported', lost({ ...pending, phase: 'Ready' }, {}, nowMs - 60_000, 30_000), false],
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
    const fourth = rowAfter(again, { ...row, attempts: 9, failures: 3 })!;
    expect(fourth).toMatchObject({ phase: 'Pending', failures: 4, reason: 'NotFound' });
    expect(rowAfter(again, fourth)).toMatchObject({ phase: 'Failed', terminal: true, failures: 5 });
  });

  test('a file that did not come whole is waited for again; who knows no such source is not the last', () => {
    const uploaded = { ...row, bytesUploaded: 5, bytesTotal: 5 };
    const incomplete = fact('TASK_FAILED', { ...failure, reason: 'UploadIncomplete', terminal: true });
    expect(rowAfter(incomplete, uploaded)).toMatchObject({ phase: 'WaitingForUpload', message: 'No such file' });
    for (const gone of ['taskID', 'bytesUploaded']) expect(rowAfter(incomplete, uploaded)).not.toHaveProperty(gone);
    const at = { host: 'h1', agentId: 'S1' };
    expect(started({ ...pending, bytesUploaded: 5 }, '0b0c', at)).toMatchObject({ phase: 'Verifying' });
    const older = fact('TASK_FAILED', { ...failure, reason: 'NoSource', terminal: true });
    expect(rowAfter(older)).toMatchObject({ phase: 'Pending', failures: 1 });
    expect(lost({ ...pending, phase: 'Ready' }, { upload: {} }, nowMs, 30_000)).toMatchObject({
      ...{ phase: 'Lost', terminal: true, message: expect.stringContaining('upload it again') },
    });
  });

  test('after a success the failures before it do not count any more', () => {
    const done = {
      digest: 'd'.repeat(64),
      format: 'qcow2',
      size: 5,
      virtualSize: 9,
      etag: '"1"',
      resolvedURL: 'http://a/',
    };
    const next = rowAfter(fact('TASK_FINISHED', done), { ...row, failures: 4, reason: 'HTTP503' })!;
    expect(next).toMatchObject({ phase: 'Ready', etag: '"1"', resolvedURL: 'http://a/' });
    expect(next).not.toHaveProperty('failures');
    expect(next).not.toHaveProperty('reason');
    for (const source of [imported, {}]) expect(foundAgain(lost(next, source, nowMs, 30_000))).toEqual(next);
  });
});

describe('advanced', () => {
  const row = started(pending, '0b0c', { host: 'h1', agentId: 'S1' });
  const told = (data: object, of: ImportRow = row) => advanced(of, fact('TASK_RUNNING', data));

  test('a download tells of every tenth percent, and of nothing between', () => {
    expect(told({ phase: 'Downloading', percent: 9 })).toBeUndefined();
    const next = told({ phase: 'Downloading', percent: 12 })!;
    expect(next).toMatchObject({ phase: 'Downloading', progress: 12 });
    expect(told({ phase: 'Downloading', percent: 21 }, next)).toBeUndefined();
    // Executors before 0.6 name no phase.
    expect(told({ percent: 50 }, next)).toMatchObject({ phase: 'Downloading', progress: 50 });
  });

  test('another phase is news, and has no percentage', () => {
    const next = told({ phase: 'Converting' }, { ...row, progress: 90 })!;
    expect(next).toMatchObject({ phase: 'Converting' });
    expect(next).not.toHaveProperty('progress');
    expect(told({ phase: 'Converting' }, next)).toBeUndefined();
    expect(told({ phase: 'Dreaming' }, row)).toBeUndefined();
    expect(advanced(row, undefined)).toBeUndefined();
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

/** How an Image's row of one cluster goes from Pending to Ready or Failed. Pure. */
import type { Image } from '#lib/api/generated/image.ts';
import type { ImportResult, ImportStep } from '#lib/api/launch.ts';
import { imageTaskId } from '#lib/api/names.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import { timestamp } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import { decodeData } from '#mesos/bytes.ts';
import type { ExecutorFact } from './executor-book.ts';
import { settleMs } from './proof.ts';
import { isDead, type TaskFact } from './task-book.ts';

export type ImportRow = NonNullable<NonNullable<Image['status']>['clusters']>[number];

const retry = { firstMs: 10_000, maxMs: 300_000 } as const;
const retryLimit = 5;
const reasonLengthMax = 64;
/** Less news of a download is not worth a write. */
const percentStep = 10;

export function rowOf(image: Image, cluster: string): ImportRow | undefined {
  return image.status?.clusters?.find(({ name }) => name === cluster);
}

/** True if an import is to be started for this row now. */
export function isDue(row: ImportRow | undefined, nowMs: number): row is ImportRow {
  const isOpen = [undefined, 'Pending', 'Lost'].includes(row?.phase);
  if (row === undefined || row.terminal || row.taskID !== undefined || !isOpen) return false;
  return row.retryAfter === undefined || Date.parse(row.retryAfter) <= nowMs;
}

export function started(
  row: ImportRow,
  uid: string,
  at: { readonly host: string; readonly agentId: string },
): ImportRow {
  const { retryAfter: _, ...rest } = row;
  const attempts = (row.attempts ?? 0) + 1;
  const taskID = imageTaskId(uid, attempts);
  const message = `Importing on host ${at.host}`;
  // What was uploaded is there already.
  const phase = rest.bytesUploaded === undefined ? 'Downloading' : 'Verifying';
  return { ...rest, phase, attempts, taskID, host: at.host, agentID: at.agentId, message };
}

/** The row after its task ended; undefined while it may go on. An import is safe to repeat, so that no proof is needed here. */
export function ended(
  row: ImportRow,
  task: TaskFact | undefined,
  nowMs: number,
  random: Random,
): ImportRow | undefined {
  if (task === undefined || !isDead(task.state)) return undefined;
  const { taskID: _t, agentID: _a, host: _h, progress: _p, reason: _r, failures: before = 0, ...rest } = row;
  const result = task.state === 'TASK_FINISHED' ? resultOf(task) : undefined;
  if (result) return { ...rest, ...result, phase: 'Ready', progress: 100, message: 'Imported' };
  const why = task.termination?.message || task.message || `The import task ended as ${task.state}`;
  const reason = (task.termination?.reason ?? '').slice(0, reasonLengthMax);
  const failed = { ...rest, failures: before + 1, ...(reason && { reason }) };
  const { failures } = failed;
  // Nobody but the sender has it.
  if (reason === 'UploadIncomplete') return waitingAgain(rest, why);
  // Of an executor that is older than the source: another host may know it.
  const isTerminal = task.termination?.terminal && reason !== 'NoSource';
  if (isTerminal || failures >= retryLimit) return { ...failed, phase: 'Failed', terminal: true, message: why };
  const delayMs = backoffMs(failures, retry, random);
  const message = `${why}. Tried ${failures} of ${retryLimit} times; again in ${Math.round(delayMs / 1000)} s`;
  return { ...failed, phase: 'Pending', retryAfter: timestamp(nowMs + delayMs), message };
}

function waitingAgain({ bytesUploaded: _u, bytesTotal: _t, ...row }: ImportRow, message: string): ImportRow {
  return { ...row, phase: 'WaitingForUpload', message };
}

/** What is known of an import that nobody hears of any more. That it may go on somewhere does no harm: it publishes what the next one does. */
export function givenUp({ host }: ImportRow, task: TaskFact | undefined): TaskFact | undefined {
  if (task === undefined || isDead(task.state)) return task;
  return { ...task, state: 'TASK_LOST', message: `Host ${host} does not answer, or came back without the import` };
}

/** The row after what a running import has told of itself; undefined if that is no news. */
export function advanced(row: ImportRow, task: TaskFact | undefined): ImportRow | undefined {
  if (task?.state !== 'TASK_RUNNING' || task.data === undefined) return undefined;
  const { phase: said, percent } = decodeData(task.data) as ImportStep;
  const phase = said ?? row.phase ?? 'Downloading';
  const isFar = percent !== undefined && percent >= (row.progress ?? 0) + percentStep;
  if (!(phases as readonly string[]).includes(phase) || (phase === row.phase && !isFar)) return undefined;
  const { progress: _, ...rest } = row;
  return { ...rest, phase, ...(phase === 'Downloading' && percent !== undefined && { progress: percent }) };
}

const phases = ['Downloading', 'Verifying', 'Converting'] as const satisfies ImportStep['phase'][];

/**
 * The row of an image whose file was seen to be gone: it is imported again, if it does not come back by itself within `againMs`. One that was
 * not imported can only come back.
 */
export function lost(
  row: ImportRow,
  { http, file, upload }: Image['spec']['source'],
  nowMs: number,
  againMs: number,
): ImportRow {
  const gone = 'Its file is gone from the store of the cluster';
  if (upload)
    return { ...row, phase: 'Lost', terminal: true, message: `${gone}: upload it again by factoryctl upload image` };
  if (!http && !file) return { ...row, phase: 'Lost', terminal: true, message: `${gone}, and can be had from nowhere` };
  return {
    ...row,
    phase: 'Lost',
    message: `${gone}: it is imported again`,
    retryAfter: timestamp(nowMs + againMs),
  };
}

/** A mount that was away for a moment. */
export function foundAgain({ retryAfter: _r, terminal: _t, ...row }: ImportRow): ImportRow {
  return { ...row, phase: 'Ready', message: 'Imported' };
}

/** An executor that was heard since it began the import does not name it any more: its journal was lost. */
export function isForgotten(
  { taskID, agentID }: ImportRow,
  task: TaskFact | undefined,
  executor: ExecutorFact | undefined,
): boolean {
  if (task?.begunMs === undefined || isDead(task.state) || task.state === 'TASK_UNREACHABLE') return false;
  if (!executor || executor.lostMs !== undefined || executor.agentId !== agentID) return false;
  const { imports } = executor.heartbeat;
  return imports !== undefined && !imports.includes(taskID ?? '') && executor.heardMs > task.begunMs + settleMs;
}

function resultOf(task: TaskFact): ImportResult | undefined {
  if (task.data === undefined) return undefined;
  const { digest, format, size, virtualSize, etag, resolvedURL } = decodeData(task.data) as ImportResult;
  const source = { ...(etag !== undefined && { etag }), ...(resolvedURL !== undefined && { resolvedURL }) };
  return { digest, format, size, virtualSize, ...source };
}

export function withRow(image: Image, row: ImportRow): NonNullable<Image['status']> {
  const clusters = (image.status?.clusters ?? []).map((old) => (old.name === row.name ? row : old));
  return { ...image.status, clusters };
}

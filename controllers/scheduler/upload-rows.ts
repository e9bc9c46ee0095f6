/** How an Image's row of one cluster waits for a file that somebody sends: which host takes it, and how much is there. Pure. */
import { createHash } from 'node:crypto';
import type { Image } from '#lib/api/generated/image.ts';
import type { UploadReport } from '#lib/api/messages.ts';
import type { ExecutorFact } from './executor-book.ts';
import { storageFault } from './host-storage.ts';
import { type ImportRow, rowOf } from './import-rows.ts';

/** Less news of an upload is not worth a write, unless it is so old. */
const percentStep = 10;
const newsEveryMs = 15_000;
/** Hosts look at the store every few seconds; a new worker has looked by then. */
const lookedMs = 60_000;

export interface UploadFacts {
  /** Executors that messages reach. */
  readonly alive: readonly ExecutorFact[];
  /** Of one that is not among them: it has ended, or was silent for too long. */
  readonly isAway: (hostname: string) => boolean;
  /** Monotonic. */
  readonly nowMs: number;
  /** Monotonic: when this row was written last for no more than how far it is. */
  readonly toldMs: number;
}

/** The row of an Image that waits for its file in this cluster; undefined for any other. */
export function waitingRow(image: Image, cluster: string): ImportRow | undefined {
  const { metadata, spec } = image;
  if (!spec.source.upload || metadata.deletionTimestamp) return undefined;
  const row = rowOf(image, cluster);
  return row?.phase === 'WaitingForUpload' ? row : undefined;
}

/** The row as it should be; undefined if it is. */
export function nextUploadRow({ metadata }: Image, row: ImportRow, facts: UploadFacts): ImportRow | undefined {
  const { uid, name, namespace } = metadata;
  const report = bestReport(uid, facts.alive);
  if (report?.complete) {
    const { host: _h, progress: _p, ...rest } = row;
    const bytes = { bytesUploaded: report.size, bytesTotal: report.size };
    return { ...rest, ...bytes, phase: 'Pending', message: 'Uploaded; waits for a host to import it' };
  }
  const host = takerOf(uid, row, facts);
  const message = host
    ? `Waits for its file: factoryctl upload image ${name} -n ${namespace} --file FILE`
    : 'No host of the cluster takes files yet: an executor is started where there is none; those that run are away, or have no consoleListen in their configuration';
  const { host: _, ...rest } = row;
  const placed: ImportRow = { ...rest, message, ...(host && { host }) };
  const next = withBytes(placed, report, isForgotten(uid, row, facts));
  const isMoved = next.host !== row.host || next.message !== row.message;
  return isMoved || isNews(row, next, facts) ? next : undefined;
}

/** What any host sees of it: they share the store. Who is taking it knows best. */
function bestReport(uid: string, alive: readonly ExecutorFact[]): UploadReport | undefined {
  const reports = alive.flatMap(({ heartbeat }) => heartbeat.uploads?.filter((each) => each.uid === uid) ?? []);
  return reports.find(({ complete }) => complete) ?? reports.toSorted((a, b) => b.received - a.received)[0];
}

/** Stays where it is as long as that can be; else one of the others, the same whoever chooses. */
function takerOf(uid: string, { host }: ImportRow, { alive, isAway }: UploadFacts): string | undefined {
  const takers = alive.filter(takes).map(({ hostname }) => hostname);
  const isHeard = alive.some(({ hostname }) => hostname === host);
  if (host !== undefined && (takers.includes(host) || (!isHeard && !isAway(host)))) return host;
  const rank = (hostname: string) => createHash('sha256').update(`${uid} ${hostname}`).digest('hex');
  return takers.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1))[0];
}

/** Files can be sent to it. */
export function takes({ heartbeat }: ExecutorFact): boolean {
  const isThere = heartbeat.uploads !== undefined && heartbeat.console !== undefined;
  return isThere && storageFault(heartbeat) === undefined;
}

/** What was there is given up, or was never there: its host has looked, and says nothing of it. */
function isForgotten(uid: string, { host, bytesUploaded }: ImportRow, { alive }: UploadFacts): boolean {
  const fact = alive.find(({ hostname }) => hostname === host);
  if (bytesUploaded === undefined || !fact || fact.heardMs - fact.workerHeardMs < lookedMs) return false;
  return !fact.heartbeat.uploads?.some((report) => report.uid === uid);
}

function withBytes(row: ImportRow, report: UploadReport | undefined, isGone: boolean): ImportRow {
  if (!report && !isGone) return row;
  const { bytesUploaded: _u, bytesTotal: _t, progress: _p, ...rest } = row;
  if (!report) return rest;
  const progress = report.size === 0 ? 0 : Math.floor((100 * report.received) / report.size);
  return { ...rest, bytesUploaded: report.received, bytesTotal: report.size, progress };
}

function isNews(row: ImportRow, next: ImportRow, { nowMs, toldMs }: UploadFacts): boolean {
  if (next.bytesUploaded === row.bytesUploaded && next.bytesTotal === row.bytesTotal) return false;
  const isFirst = row.bytesUploaded === undefined || next.bytesUploaded === undefined;
  const isFar = Math.abs((next.progress ?? 0) - (row.progress ?? 0)) >= percentStep;
  return isFirst || isFar || nowMs - toldMs >= newsEveryMs;
}

/** The rows of an Image, one per Cluster, and what they add up to. Pure. */
import type { Image, VMSnapshot } from '#lib/api/generated/index.ts';

type Status = NonNullable<Image['status']>;
export type Row = NonNullable<Status['clusters']>[number];
export type Phase = NonNullable<Status['phase']>;

/** Rows that an Image's status can hold. */
export const rowsMax = 64;

export interface RowsAsked {
  readonly clusters: readonly string[];
  /** Failed rows start again, and lost ones that do not by themselves. */
  readonly retry: boolean;
  /** Somebody has to send the bytes first. */
  readonly upload: boolean;
}

/** A row for every cluster: new ones at the beginning, those of clusters that are gone left out, all others as their cluster server wrote them. */
export function rowsFor(old: readonly Row[], { clusters, retry, upload }: RowsAsked): readonly Row[] {
  const phase = upload ? 'WaitingForUpload' : 'Pending';
  const known = new Map(old.map((row) => [row.name, row]));
  return clusters
    .toSorted()
    .slice(0, rowsMax)
    .map((name) => {
      const row = known.get(name);
      if (!row) return { name, phase };
      const isOver = row.phase === 'Failed' || (upload && row.phase === 'Lost' && row.terminal === true);
      return retry && isOver ? { name, phase, attempts: row.attempts ?? 0 } : row;
    });
}

/** The one row of an Image that stands on a snapshot: of the cluster that has the bytes, as soon as they are there. */
export function rowsOfSnapshot(old: readonly Row[], snapshot: VMSnapshot | 'gone' | undefined): readonly Row[] {
  if (old.length > 0 || snapshot === undefined || snapshot === 'gone' || snapshot.metadata.deletionTimestamp)
    return old;
  const { phase, cluster, disks = [] } = snapshot.status ?? {};
  if (phase !== 'Ready' || cluster === undefined) return old;
  const { name: _, ...bytes } = disks[0]!;
  return [{ name: cluster, phase: 'Ready', ...bytes }];
}

export interface Sum {
  readonly phase: Phase;
  readonly progress: string;
  /** From the rows that are ready; they agree, or `disagreeing` names one that does not. */
  readonly digest?: string;
  readonly format?: string;
  readonly size?: number;
  readonly virtualSize?: number;
  readonly etag?: string;
  readonly resolvedURL?: string;
  /** Over all clusters that tell. */
  readonly warmHosts?: number;
  readonly prefetch?: NonNullable<Row['prefetch']>;
  readonly disagreeing?: Row;
}

/** `digest` is what was known before: it never changes, since machines were made of it. */
export function sumOf(rows: readonly Row[], digest: string | undefined): Sum {
  const ready = rows.filter((row) => row.phase === 'Ready' && row.digest);
  const leader = ready.find((row) => row.digest === digest) ?? (digest === undefined ? ready[0] : undefined);
  const known = digest ?? leader?.digest;
  const disagreeing = ready.find((row) => row.digest !== known);
  return {
    phase: phaseOf(rows),
    progress: progressOf(rows, ready.length),
    ...(known && { digest: known }),
    ...(leader?.format && { format: leader.format }),
    ...(leader?.size !== undefined && { size: leader.size }),
    ...(leader?.virtualSize !== undefined && { virtualSize: leader.virtualSize }),
    ...(leader?.etag !== undefined && { etag: leader.etag }),
    ...(leader?.resolvedURL !== undefined && { resolvedURL: leader.resolvedURL }),
    ...warmth(rows),
    ...(disagreeing && { disagreeing }),
  };
}

const examplesMax = 8;

function warmth(rows: readonly Row[]): Pick<Sum, 'warmHosts' | 'prefetch'> {
  const warm = rows.flatMap(({ warmHosts }) => warmHosts ?? []);
  const prefetches = rows.flatMap(({ prefetch }) => prefetch ?? []);
  const sum = (numbers: readonly (number | undefined)[]) => numbers.reduce<number>((a, b) => a + (b ?? 0), 0);
  const examples = prefetches.flatMap((one) => one.examples ?? []).slice(0, examplesMax);
  const prefetch = {
    wanted: sum(prefetches.map(({ wanted }) => wanted)),
    done: sum(prefetches.map((one) => one.done)),
    failed: sum(prefetches.map(({ failed }) => failed)),
    ...(examples.length > 0 && { examples }),
  };
  return { ...(warm.length > 0 && { warmHosts: sum(warm) }), ...(prefetches.length > 0 && { prefetch }) };
}

/** What goes on comes before what is over, and what is wrong before what is merely to come. */
function phaseOf(rows: readonly Row[]): Phase {
  const has = (phase: Phase) => rows.some((row) => (row.phase ?? 'Pending') === phase);
  if (rows.length > 0 && rows.every((row) => row.phase === 'Ready')) return 'Ready';
  const under = (['Downloading', 'Verifying', 'Converting'] as const).find(has);
  if (under) return under;
  // Another cluster has it still.
  if (has('Lost')) return has('Ready') ? 'Pending' : 'Lost';
  if (has('Failed')) return 'Failed';
  return has('WaitingForUpload') ? 'WaitingForUpload' : 'Pending';
}

function progressOf(rows: readonly Row[], ready: number): string {
  if (rows.length > 0 && ready === rows.length) return '100%';
  const percents = rows.map((row) => (row.phase === 'Ready' ? 100 : (row.progress ?? 0)));
  const mean = percents.length > 0 ? Math.floor(percents.reduce((a, b) => a + b, 0) / percents.length) : 0;
  return rows.length > 1 ? `${mean}% (${ready}/${rows.length})` : `${mean}%`;
}

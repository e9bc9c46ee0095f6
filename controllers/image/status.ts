/** What an Image says of itself. Pure. */
import type { Ending, Run } from '#controllers/runtime/controller.ts';
import { type ConditionDraft, withConditions } from '#lib/api/conditions.ts';
import type { Image } from '#lib/api/generated/index.ts';
import { messageOf } from '#lib/std/errors.ts';
import { type Row, rowsFor, rowsOfSnapshot, type Sum, sumOf } from './rows.ts';
import type { Scope } from './scope.ts';

export function summarize(scope: Scope, ending: Ending, run: Run): Image['status'] {
  if (scope.holdStatus) return undefined;
  const { image, users, clusters, retry } = scope;
  const { upload, snapshot } = image.spec.source;
  const old = image.status ?? {};
  const before = old.clusters ?? [];
  const rows = snapshot
    ? rowsOfSnapshot(before, scope.snapshot)
    : rowsFor(before, { clusters, retry, upload: upload !== undefined });
  const { disagreeing, ...sum } = sumOf(rows, old.digest);
  const conditions = conditionsOf(scope, rows, { ...sum, ...(disagreeing && { disagreeing }) }, ending);
  return {
    // Known once, kept: machines are made of it while a cluster imports it again.
    ...knownBytes(old),
    ...sum,
    phase: image.metadata.deletionTimestamp ? 'Terminating' : sum.phase,
    users,
    clusters: rows,
    conditions: withConditions(old.conditions ?? [], conditions, image.metadata.generation ?? 0, run.nowMs),
  };
}

function knownBytes({ digest, format, size, virtualSize, etag, resolvedURL }: NonNullable<Image['status']>) {
  return {
    ...(etag && { etag }),
    ...(resolvedURL && { resolvedURL }),
    ...(digest && { digest }),
    ...(format && { format }),
    ...(size !== undefined && { size }),
    ...(virtualSize !== undefined && { virtualSize }),
  };
}

function conditionsOf(scope: Scope, rows: readonly Row[], sum: Sum, ending: Ending): readonly ConditionDraft[] {
  const failure = 'error' in ending ? messageOf(ending.error) : '';
  const stuck = sum.disagreeing ?? rows.find((row) => row.phase === 'Failed' && row.terminal);
  const isUpload = scope.image.spec.source.upload !== undefined;
  const message = stuck ? stuckMessage(stuck, sum, isUpload) : failure || (snapshotMessage(scope) ?? waitMessage(rows));
  const isReady = sum.phase === 'Ready' && !sum.disagreeing;
  const reason = stuck
    ? 'ImportFailed'
    : rows.length === 0
      ? scope.image.spec.source.snapshot
        ? 'SnapshotNotReady'
        : 'NoCluster'
      : sum.phase;
  return [
    isReady
      ? { type: 'Ready', status: 'True', reason: 'Imported', message: '' }
      : { type: 'Ready', status: 'False', reason, message },
    isReady || stuck
      ? { type: 'Reconciling', status: 'False', reason: isReady ? 'Imported' : 'ImportFailed', message: '' }
      : { type: 'Reconciling', status: 'True', reason, message },
    stuck
      ? { type: 'Stalled', status: 'True', reason: 'ImportFailed', message }
      : { type: 'Stalled', status: 'False', reason: 'Progressing', message: '' },
    deletionCondition(scope),
    ...prefetchCondition(scope.image, sum),
    { type: 'RetryHandled', status: 'True', reason: 'RestartedAt', message: scope.restartedAt },
  ];
}

function stuckMessage(row: Row, { disagreeing, digest }: Sum, isUpload: boolean): string {
  if (row === disagreeing)
    return `${row.name} fetched other bytes (${row.digest}) than the first cluster (${digest}): the source changed. Make a new Image`;
  const next = isUpload
    ? 'Upload it again by factoryctl upload image, or make a new Image'
    : 'Change it by a new Image, or set the annotation computefactory.io/restarted-at to try again';
  return `Import into ${row.name} failed: ${row.message ?? 'no details'}. ${next}`;
}

/** While it stands on a snapshot that is not there to stand on. */
function snapshotMessage({ image, snapshot }: Scope): string | undefined {
  const name = image.spec.source.snapshot?.name;
  if (name === undefined || image.status?.digest !== undefined) return undefined;
  if (snapshot === undefined || snapshot === 'gone')
    return `VMSnapshot "${name}" does not exist. It goes on by itself once somebody creates it`;
  if (snapshot.metadata.deletionTimestamp) return `VMSnapshot "${name}" is being deleted`;
  const { phase = 'Pending', message = '' } = snapshot.status ?? {};
  return `VMSnapshot "${name}" is ${phase}: ${message}`;
}

function waitMessage(rows: readonly Row[]): string {
  if (rows.length === 0) return 'There is no Cluster to import it into yet';
  const open = rows.filter((row) => row.phase !== 'Ready');
  const first = open[0];
  if (!first) return '';
  const why =
    first.message ?? (first.phase === 'Pending' || !first.phase ? 'waits for its cluster server' : first.phase);
  return `${rows.length - open.length} of ${rows.length} clusters have it; ${first.name}: ${why}`;
}

/** None for an image that nobody ever wanted to be prefetched. */
function prefetchCondition({ spec, status }: Image, { prefetch }: Sum): readonly ConditionDraft[] {
  const type = 'Prefetched';
  const isKnown = status?.conditions?.some((condition) => condition.type === type);
  if (!spec.prefetch) return isKnown ? [{ type, status: 'True', reason: 'NotAsked', message: '' }] : [];
  if (!prefetch) return [{ type, status: 'False', reason: 'Waiting', message: 'No cluster has told of its hosts yet' }];
  const { wanted = 0, done = 0, failed = 0, examples = [] } = prefetch;
  if (wanted === 0) return [{ type, status: 'False', reason: 'NoHosts', message: examples.join('; ') }];
  if (done === wanted) return [{ type, status: 'True', reason: 'Copied', message: '' }];
  const message = [`${done} of ${wanted} hosts have a copy`, ...examples].join('; ');
  return [{ type, status: 'False', reason: failed > 0 ? 'Failed' : 'Copying', message }];
}

function deletionCondition({ image, users, userNames, filling }: Scope): ConditionDraft {
  const type = 'DeletionBlocked';
  if (!image.metadata.deletionTimestamp || (users === 0 && filling.length === 0))
    return { type, status: 'False', reason: 'NotBlocked', message: '' };
  if (users === 0)
    return { type, status: 'True', reason: 'InUse', message: `It is being copied into Volume ${filling[0]}` };
  const message = `${users} machines use it, for example ${userNames().slice(0, 3).join(', ')}. It goes when the last is gone`;
  return { type, status: 'True', reason: 'InUse', message };
}

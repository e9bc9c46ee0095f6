/** What a Disk is to be filled with, as far as it can be had now. Pure. */
import type { Image, VMSnapshot, Volume } from '#lib/api/generated/index.ts';
import { keyOf } from '#lib/api/meta.ts';
import { parseBytes } from '#lib/api/quantity.ts';
import { isFilling, type SourceKind, sourceKeys } from '#lib/api/volume-sources.ts';

export type Source = NonNullable<NonNullable<Volume['status']>['source']>;

/** Why there is none yet. `isForGood`: it does not pass by itself. */
export interface NoSource {
  readonly reason: SourceReason;
  readonly message: string;
  readonly isForGood?: true;
}

/** Closed. */
export type SourceReason =
  | 'SourceNotFound'
  | 'SourceNotReady'
  | 'SourceInUse'
  | 'SourceTooLarge'
  | 'SourceNotADisk'
  | 'WrongCluster';

/** What spec.sources names; undefined if there is none of that name. */
export interface NamedSources extends Partial<Record<SourceKind, object | undefined>> {
  readonly image?: Image | undefined;
  readonly snapshot?: VMSnapshot | undefined;
  readonly volume?: Volume | undefined;
}

export function findSource(volume: Volume, named: NamedSources): Source | NoSource {
  const { image, snapshot, volume: disk } = volume.spec.sources ?? {};
  const found = named.image ?? named.snapshot ?? named.volume;
  const what = image ? `Image "${image.name}"` : snapshot ? `VMSnapshot "${snapshot.name}"` : `Volume "${disk?.name}"`;
  if (!found)
    return { reason: 'SourceNotFound', message: `${what} does not exist. It goes on once somebody creates it` };
  // What it was found in before stays for as long as this is not made.
  if (found.metadata.deletionTimestamp && !volume.status?.source)
    return { reason: 'SourceNotFound', message: `${what} is being deleted. Make a Volume with another source` };
  const source = named.image
    ? ofImage(volume, named.image, what)
    : named.snapshot
      ? ofSnapshot(volume, named.snapshot, what)
      : ofVolume(volume, named.volume!, what);
  if ('reason' in source || source.virtualSize <= parseBytes(volume.spec.size)) return source;
  const message = `${what} has ${source.virtualSize} bytes, more than the ${volume.spec.size} of the Volume: make that larger (spec.size)`;
  return { reason: 'SourceTooLarge', message, isForGood: true };
}

function ofImage({ spec }: Volume, { status }: Image, what: string): Source | NoSource {
  const row = status?.clusters?.find(({ name }) => name === spec.cluster);
  const { phase, digest, format, virtualSize } = row ?? {};
  if (phase === 'Ready' && digest !== undefined && virtualSize !== undefined)
    return { digest, format: format === 'raw' ? 'raw' : 'qcow2', virtualSize };
  const message = `${what} is not in Cluster "${spec.cluster}" yet (${phase ?? 'nothing is known of it there'}). It goes on when it is`;
  return { reason: 'SourceNotReady', message };
}

function ofSnapshot({ spec }: Volume, { status }: VMSnapshot, what: string): Source | NoSource {
  const { phase, cluster, disks = [] } = status ?? {};
  if (phase === 'Failed')
    return { reason: 'SourceNotFound', message: `${what} has failed, and has nothing`, isForGood: true };
  const { digest, virtualSize } = disks[0] ?? {};
  if (phase !== 'Ready' || digest === undefined || virtualSize === undefined)
    return { reason: 'SourceNotReady', message: `${what} is not ready. It goes on when it is` };
  return cluster === spec.cluster ? { digest, format: 'qcow2', virtualSize } : inCluster(what, cluster, spec.cluster);
}

/** Nobody may write to it: it is ROX, or was given to be copied. */
function ofVolume({ metadata, spec }: Volume, source: Volume, what: string): Source | NoSource {
  const { status = {} } = source;
  if (source.spec.type !== 'Disk')
    return { reason: 'SourceNotADisk', message: `${what} is no Disk: only a Disk can be copied`, isForGood: true };
  if (source.spec.cluster !== spec.cluster) return inCluster(what, source.spec.cluster, spec.cluster);
  if (status.backend?.state !== 'Made') return { reason: 'SourceNotReady', message: `${what} is not made yet` };
  const common = {
    uid: source.metadata.uid,
    glusterVolume: source.spec.backend.gluster.volume,
    virtualSize: parseBytes(status.backend.size ?? status.capacity ?? source.spec.size),
  };
  if (status.accessMode === 'ROX') return common;
  const { writer } = status;
  if (writer?.copies && writer.uid === metadata.uid) return { ...common, grant: writer.grant };
  const holder = writer ? `${writer.copies ? 'Volume' : 'machine'} "${writer.name}" has it` : 'nobody has it yet';
  const message = `${what} is copied when no machine has it to write, and is given to this Volume then; now ${holder}`;
  return { reason: 'SourceInUse', message };
}

function inCluster(what: string, there = 'unknown', here: string): NoSource {
  const message = `${what} is in Cluster "${there}", and this Volume in "${here}": nothing is copied between data centers`;
  return { reason: 'WrongCluster', message, isForGood: true };
}

/** Of all Volumes those that are to be filled from this Disk, or may be being filled until they are gone, in the order in which they were made. */
export function copiesOf(volume: Volume, all: readonly Volume[]): readonly Volume[] {
  const key = keyOf(volume);
  return all
    .filter((one) => sourceKeys(one).volume === key && isFilling(one))
    .toSorted(
      ({ metadata: a }, { metadata: b }) =>
        a.creationTimestamp.localeCompare(b.creationTimestamp) || a.name.localeCompare(b.name),
    );
}

/** What a Volume says of itself. Pure. */
import type { Ending, Run } from '#controllers/runtime/controller.ts';
import { type ConditionDraft, withConditions } from '#lib/api/conditions.ts';
import type { Volume } from '#lib/api/generated/index.ts';
import { finalizers } from '#lib/api/names.ts';
import { parseBytes } from '#lib/api/quantity.ts';
import { isFilling } from '#lib/api/volume-sources.ts';
import { writerOf } from './give-disk.ts';
import { has, hasToWrite, type Scope } from './scope.ts';
import { findSource, type NoSource, type Source } from './sources.ts';

type Status = NonNullable<Volume['status']>;
type PhaseName = NonNullable<Status['phase']>;

/** Closed. Words that an executor after us may say become the general one. */
const healthReasons: readonly string[] = [
  ...['BrickDown', 'QuorumLost', 'SplitBrain', 'HealPending', 'NearlyFull'],
  ...['Hung', 'Stale', 'Unmounted'],
];
const failureReasons: readonly string[] = [
  ...['UnsafeReplication', 'NotAllowed', 'QuotaFailed', 'MountFailed', 'MountPointNotEmpty'],
  ...['QuorumLost', 'Hung', 'StaleInUse', 'InUse', 'BadDisk', 'NoRoom'],
];

const examplesMax = 10;
/** Of its size. */
const nearlyFull = 0.95;

export function summarize(scope: Scope, ending: Ending, run: Run): Volume['status'] {
  const { volume, machines } = scope;
  const { metadata } = volume;
  // A thrown Conflict or timeout says nothing about the volume; and nothing is given away before it is held.
  if ('error' in ending || !metadata.finalizers?.includes(finalizers.volumeInUse)) return undefined;
  const { removal: _r, writer: _w, source: known, ...old } = volume.status ?? {};
  const users = machines.filter((vm) => has(vm, volume));
  const writer = writerOf(scope);
  const healthy = healthyCondition(volume);
  const source = sourceFor(scope, known);
  const phase = phaseOf(volume, healthy);
  const accessMode = accessModeOf(scope, writer);
  const life = lifeConditions(volume, phase, source).map((condition) => withAccess(condition, scope, accessMode));
  const conditions = [...life, healthy, deletionCondition(ending)];
  const isMade = old.backend?.state === 'Made';
  return {
    ...old,
    phase,
    accessMode,
    ...(isMade && { capacity: sizeThere(volume) }),
    attachments: {
      count: users.length,
      ...(users.length > 0 && {
        examples: users
          .map((vm) => vm.metadata.name)
          .toSorted()
          .slice(0, examplesMax),
      }),
    },
    ...(writer && { writer }),
    ...(source && !('reason' in source) && { source }),
    ...(isToBeRemoved(ending) && { removal: 'Wanted' }),
    conditions: withConditions(old.conditions ?? [], conditions, metadata.generation ?? 0, run.nowMs),
  };
}

/** While a host copies it is looked at anew; what it was made of stays said. */
function sourceFor({ volume, sources }: Scope, known: Source | undefined): Source | NoSource | undefined {
  if (!isFilling(volume)) return known;
  return volume.metadata.deletionTimestamp ? known : findSource(volume, sources);
}

type AccessMode = NonNullable<Status['accessMode']>;

/** What is to be ROX is that as soon as no machine has it to write. A Disk stays so: it has no writer any more, and gets none. */
function accessModeOf({ volume, machines }: Scope, writer: Status['writer']): AccessMode {
  const isDisk = volume.spec.type === 'Disk';
  const isWritten = isDisk ? writer !== undefined : machines.some((vm) => hasToWrite(vm, volume));
  if (volume.spec.accessMode === 'ROX' && !isWritten) return 'ROX';
  return isDisk ? 'RWO' : 'RWX';
}

function withAccess(condition: ConditionDraft, { volume, machines }: Scope, accessMode: AccessMode): ConditionDraft {
  const isWaiting = volume.spec.accessMode === 'ROX' && accessMode !== 'ROX';
  if (!isWaiting || condition.type !== 'Reconciling' || condition.status === 'True') return condition;
  const count = machines.filter((vm) => hasToWrite(vm, volume)).length;
  const message =
    volume.spec.type === 'Disk'
      ? `It becomes ROX when machine "${volume.status?.writer?.name ?? ''}", which may write to it, is deleted or names it no more`
      : `It becomes ROX when ${count} machines that were launched before are launched anew: they can still write. Restart them`;
  return { type: 'Reconciling', status: 'True', reason: 'Written', message };
}

/** Before there was growth hosts did not tell of a size: it was the one that is wanted. */
const sizeThere = ({ spec, status }: Volume): string => status?.backend?.size ?? status?.capacity ?? spec.size;

const isToBeRemoved = (ending: Ending) => 'done' in ending && !ending.done && ending.reason === 'Removing';

function phaseOf({ metadata, status }: Volume, healthy: ConditionDraft): PhaseName {
  if (metadata.deletionTimestamp) return 'Terminating';
  const { state, failures = 0 } = status?.backend ?? {};
  if (state === 'Made') {
    if (healthy.status === 'False' && healthy.reason !== 'NearlyFull') return 'Degraded';
    return status?.resize ? 'Resizing' : 'Bound';
  }
  if (failures > 0) return 'Failed';
  return state === 'Making' ? 'Provisioning' : 'Pending';
}

const reasonOf = (said = ''): string => (failureReasons.includes(said) ? said : 'ProvisioningFailed');

function lifeConditions(
  { spec, status }: Volume,
  phase: PhaseName,
  source: Source | NoSource | undefined,
): readonly ConditionDraft[] {
  const { state, reason: said, message } = status?.backend ?? {};
  const reason = reasonOf(said);
  const progressing = { type: 'Stalled', status: 'False', reason: 'Progressing', message: '' } as const;
  if (state === 'Made')
    return [
      { type: 'Ready', status: 'True', reason: 'Bound', message: '' },
      growth(spec, status!.resize, phase),
      progressing,
    ];
  if (source && 'reason' in source) return sourceConditions(source);
  const { host, progress = 0 } = status?.backend ?? {};
  const copies = state === 'Making' && source ? `Host ${host} copies its source: ${progress} %` : '';
  const waits = copies || message || `Waits for the cluster server of Cluster "${spec.cluster}"`;
  const isFailed = phase === 'Failed';
  return [
    { type: 'Ready', status: 'False', reason: isFailed ? reason : phase, message: waits },
    { type: 'Reconciling', status: 'True', reason: phase, message: waits },
    // Hosts try again; but these do not pass without somebody's doing.
    isFailed && forGood.has(reason) ? { type: 'Stalled', status: 'True', reason, message: waits } : progressing,
  ];
}

function sourceConditions({ reason, message, isForGood }: NoSource): readonly ConditionDraft[] {
  return [
    { type: 'Ready', status: 'False', reason, message },
    { type: 'Reconciling', status: 'True', reason, message },
    isForGood
      ? { type: 'Stalled', status: 'True', reason, message }
      : { type: 'Stalled', status: 'False', reason: 'Progressing', message: '' },
  ];
}

function growth(spec: Volume['spec'], resize: Status['resize'], phase: PhaseName): ConditionDraft {
  const type = 'Reconciling';
  if (!resize) return { type, status: 'False', reason: phase, message: '' };
  const message = resize.message || `Host ${resize.host} makes it ${spec.size} large`;
  return { type, status: 'True', reason: resize.failures ? reasonOf(resize.reason) : 'Resizing', message };
}

const forGood: ReadonlySet<string> = new Set(['UnsafeReplication', 'NotAllowed', 'MountPointNotEmpty']);

function healthyCondition(volume: Volume): ConditionDraft {
  const type = 'Healthy';
  const { health } = volume.status ?? {};
  if (!health)
    return {
      type,
      status: 'Unknown',
      reason: 'NotMounted',
      message: 'No host looks at it: no machine that has it runs',
    };
  const { reason: said, message = '', hosts, bricksOnline, bricksTotal } = health;
  const reason = said === 'Healthy' || healthReasons.includes(said) ? said : 'MountFailed';
  const where = `Gluster volume ${volume.spec.backend.gluster.volume}, as seen by ${hosts} hosts`;
  const bricks = bricksTotal === undefined ? '' : ` (${bricksOnline} of ${bricksTotal} bricks)`;
  if (reason !== 'Healthy') return { type, status: 'False', reason, message: `${where}${bricks}: ${message}` };
  const [used, size] = [volume.status?.used, sizeThere(volume)];
  // A disk that was written to all over is no less a disk.
  if (
    volume.spec.type === 'SharedFilesystem' &&
    used !== undefined &&
    parseBytes(used) >= nearlyFull * parseBytes(size)
  )
    return { type, status: 'False', reason: 'NearlyFull', message: `${used} of ${size} are used` };
  return { type, status: 'True', reason: 'Healthy', message: `${where}${bricks}` };
}

function deletionCondition(ending: Ending): ConditionDraft {
  const type = 'DeletionBlocked';
  if ('done' in ending && !ending.done && ['InUse', 'Removing'].includes(ending.reason))
    return { type, status: 'True', reason: ending.reason, message: ending.message };
  return { type, status: 'False', reason: 'NotBlocked', message: '' };
}

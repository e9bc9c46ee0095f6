/** What is to become of an operation. Pure; the matrix of run policies is the one that the user documentation prints. */
import { parseDuration } from '#lib/api/duration.ts';
import type { VirtualMachine, VMOperation, VMOperationStatus } from '#lib/api/generated/index.ts';
import { whyMovedAlready, whyNotMovable } from '#lib/api/migrations.ts';
import { timestamp } from '#lib/std/clock.ts';
import { copyVerdict, type Made } from './copies.ts';

export type OperationPhase = NonNullable<VMOperationStatus['phase']>;
type Type = VMOperation['spec']['type'];

/** An operation that was being carried out when it ran out of time is left to its executor for so long; then nobody will report. */
const silenceMs = 120_000;

const finished: readonly OperationPhase[] = ['Completed', 'Failed', 'Superseded'];

export function isFinished(operation: VMOperation): boolean {
  const phase = operation.status?.phase;
  return phase !== undefined && finished.includes(phase);
}

/** A later operation of the type on the left makes these pointless, if they have not begun. */
const makesPointless: Readonly<Record<Type, readonly Type[]>> = {
  Start: ['Stop'],
  Stop: ['Start', 'Restart', 'Reset', 'Pause', 'Resume', 'Migrate'],
  Restart: ['Pause', 'Resume'],
  Reset: ['Restart', 'Pause', 'Resume'],
  Pause: ['Resume'],
  Resume: ['Pause'],
  Snapshot: [],
  Clone: [],
  Migrate: [],
};

/** A status that ends or accepts the operation, or undefined to leave it as it is. */
export function verdict(
  operation: VMOperation,
  machine: VirtualMachine | undefined,
  siblings: readonly VMOperation[],
  nowMs: number,
  /** Of Snapshot and Clone. */
  made: Made = {},
): VMOperationStatus | undefined {
  if (isFinished(operation)) return undefined;
  const end = (phase: OperationPhase, message: string): VMOperationStatus => ({
    ...operation.status,
    phase,
    message,
    finishedAt: timestamp(nowMs),
  });
  const { spec, status } = operation;
  if (!machine) return end('Failed', `No VirtualMachine is called "${spec.vm}" in this namespace`);
  if (machine.metadata.deletionTimestamp !== undefined) return end('Failed', `Machine ${spec.vm} is being deleted`);
  if (status?.vmUID !== undefined && status.vmUID !== machine.metadata.uid)
    return end('Failed', `Machine ${spec.vm} was replaced by another one of that name after this was accepted`);
  // Both times are the API server's.
  if (Date.parse(machine.metadata.creationTimestamp ?? '') > Date.parse(operation.metadata.creationTimestamp ?? ''))
    return end(
      'Failed',
      `Machine ${spec.vm} was made after this was asked for: it may have been meant for another one of that name`,
    );
  if (nowMs >= deadlineMs(operation)) return end('Failed', lateMessage(operation));
  if (spec.type === 'Snapshot' || spec.type === 'Clone') {
    const { phase, message } = copyVerdict(operation, made);
    if (phase === 'Completed' || phase === 'Failed') return end(phase, message);
    return { ...status, phase, vmUID: machine.metadata.uid, message };
  }
  const cluster = machine.status?.attempt?.cluster;
  if (status?.phase === 'InProgress') return handedTo(cluster, status);
  const later = siblings.find(
    (other) => isLater(other, operation) && makesPointless[other.spec.type].includes(spec.type),
  );
  if (later) return end('Superseded', `${later.metadata.name} asked for ${later.spec.type} afterwards`);
  // With a live attempt the cluster server takes it from here; without one only the machine's own course can settle it.
  if (status?.phase === 'Pending' && machine.status?.attempt !== undefined) return handedTo(cluster, status);
  const refusal = refusalOf(spec.type, machine);
  if (refusal) return end('Failed', refusal);
  const needless = needlessBecause(spec.type, machine);
  if (needless) return end('Completed', needless);
  if (status?.phase === 'Pending') return undefined;
  const accepted: VMOperationStatus = { ...status, phase: 'Pending', vmUID: machine.metadata.uid, message: 'Accepted' };
  return handedTo(cluster, accepted) ?? accepted;
}

/** A cluster server sees the operations that name its cluster. undefined if this one does already, or if no cluster has the machine. */
function handedTo(cluster: string | undefined, status: VMOperationStatus): VMOperationStatus | undefined {
  return cluster === undefined || cluster === status.cluster ? undefined : { ...status, cluster };
}

/** When the verdict changes by time alone. */
export function deadlineMs({ metadata, spec, status }: VMOperation): number {
  const timeoutMs = parseDuration(spec.timeout);
  if (status?.phase !== 'InProgress') return Date.parse(metadata.creationTimestamp) + timeoutMs;
  return Date.parse(status.startedAt ?? metadata.creationTimestamp) + timeoutMs + silenceMs;
}

function lateMessage({ spec, status }: VMOperation): string {
  if (spec.type === 'Snapshot' || spec.type === 'Clone')
    return `Not done within ${spec.timeout}: ${status?.message ?? 'it was not begun'}`;
  if (status?.phase === 'InProgress')
    return `Begun, but its outcome was not reported within ${spec.timeout}: look at the machine and ask again if needed`;
  if (spec.type === 'Migrate' && status?.phase === 'Pending')
    return `Not begun within ${spec.timeout}: ${status.message}`;
  return `Nobody began it within ${spec.timeout}: the cluster or the host of ${spec.vm} may be disconnected`;
}

/** Why this machine cannot take this operation at all; undefined if it can. */
function refusalOf(type: Type, machine: VirtualMachine): string | undefined {
  const { spec, status, metadata } = machine;
  const { runPolicy } = spec;
  if (type === 'Stop' && runPolicy === 'Always')
    return `Machine ${metadata.name} has runPolicy: Always and would be started again: set runPolicy: Halted or Manual`;
  if (type !== 'Stop' && runPolicy === 'Halted')
    return `Machine ${metadata.name} has runPolicy: Halted: set another runPolicy to ${type.toLowerCase()} it`;
  const phase = status?.phase;
  if (hasEnded(status) && type !== 'Stop')
    return `Machine ${metadata.name} has ended (${phase}) and cannot be operated any more`;
  if ((type === 'Pause' || type === 'Resume') && (phase === 'Stopped' || status?.attempt === undefined))
    return `Machine ${metadata.name} does not run: only a running machine can be paused and resumed`;
  return type === 'Migrate' ? (whyMovedAlready(machine) ?? whyNotMovable(machine)) : undefined;
}

const hasEnded = (status: VirtualMachine['status']) => status?.phase === 'Succeeded' || status?.phase === 'Failed';

/** Why there is nothing to do; undefined if there is. */
function needlessBecause(type: Type, { spec, status, metadata }: VirtualMachine): string | undefined {
  const { phase } = status ?? {};
  if (type === 'Stop' && hasEnded(status)) return `Machine ${metadata.name} is off, and has ended (${phase})`;
  if (type === 'Stop' && (phase === 'Stopped' || spec.runPolicy === 'Halted'))
    return `Machine ${metadata.name} is off, or being turned off by its runPolicy`;
  if (type === 'Start' && phase === 'Running') return `Machine ${metadata.name} is running`;
  if (type === 'Pause' && phase === 'Paused') return `Machine ${metadata.name} is paused`;
  if (type === 'Resume' && phase === 'Running') return `Machine ${metadata.name} is running`;
  return undefined;
}

/**
 * By creation. Timestamps have whole seconds; within one, what was accepted already came first, and then the store's order decides.
 */
function isLater(other: VMOperation, operation: VMOperation): boolean {
  if (other.metadata.uid === operation.metadata.uid) return false;
  // One that was refused, or given up, does not take others with it. One that found nothing to do counts: it was the last word.
  if (other.status?.phase === 'Failed' || other.status?.phase === 'Superseded') return false;
  const order = (each: VMOperation) => [
    Date.parse(each.metadata.creationTimestamp),
    each.status?.phase === undefined ? 1 : 0,
    Number(each.metadata.resourceVersion),
  ];
  const [a, b] = [order(other), order(operation)];
  const differs = a.findIndex((value, place) => value !== b[place]);
  return differs >= 0 && a[differs]! > b[differs]!;
}

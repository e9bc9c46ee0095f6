/** How a restore goes from Pending to its end, as far as its host does not say. Pure. */
import type { VirtualMachine, VMRestore, VMSnapshot } from '#lib/api/generated/index.ts';
import { annotations } from '#lib/api/names.ts';
import { withoutNotKept } from '#lib/api/not-kept.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isOver, poolOf, type Scope, type Status } from './scope.ts';

/** From the order to the host's report; a cluster server gives hosts ten minutes. */
const reportMs = 11 * 60_000;

/** Objects of one file may come in any order: so long a snapshot is waited for that is not there. */
const absentMs = 10 * 60_000;

/** When the next status comes by time alone; undefined if it does not. */
export function deadlineMs({ restore, snapshot }: Pick<Scope, 'restore' | 'snapshot'>): number | undefined {
  const { metadata, status } = restore;
  if (status?.phase === 'InProgress') return Date.parse(status.startedAt!) + reportMs;
  return snapshot ? undefined : Date.parse(metadata.creationTimestamp) + absentMs;
}

/** What everything else waits for: a snapshot that is there and stays. A message, a failure, or the snapshot. */
export function readySnapshot(
  scope: Pick<Scope, 'restore' | 'snapshot'>,
  nowMs: number,
): { readonly ready: VMSnapshot } | { readonly failure: string } | { readonly waits: string } {
  const { restore, snapshot } = scope;
  const { snapshot: name } = restore.spec;
  if (!snapshot) {
    const absent = `No VMSnapshot is called "${name}" in this namespace`;
    return nowMs < deadlineMs(scope)! ? { waits: `${absent} yet` } : { failure: absent };
  }
  if (snapshot.metadata.deletionTimestamp) return { failure: `VMSnapshot ${name} is being deleted` };
  const { phase = 'Pending', message } = snapshot.status ?? {};
  if (phase === 'Failed') return { failure: `VMSnapshot ${name} has failed: ${message}` };
  return phase === 'Ready' ? { ready: snapshot } : { waits: `Waits for VMSnapshot ${name}, which is ${phase}` };
}

/** Its own fields of the status: phase and what belongs to it. */
export function next(scope: Scope, nowMs: number): Status {
  const { restore } = scope;
  const { spec, status = {} } = restore;
  if (isOver(restore)) return status;
  const end = (phase: 'Completed' | 'Failed', message: string): Status => ({
    ...status,
    ...{ vm: spec.target.newVM ?? spec.target.vm!, phase, message, finishedAt: timestamp(nowMs) },
  });
  if (status.phase === 'InProgress') {
    if (nowMs < deadlineMs(scope)!) return status;
    return end('Failed', `Host ${status.host} did not report it done: look at the machine before it is started`);
  }
  const from = readySnapshot(scope, nowMs);
  if ('failure' in from) return end('Failed', from.failure);
  const pending = (message: string): Status => ({ ...status, phase: 'Pending', message });
  if ('waits' in from) return pending(from.waits);
  if (spec.target.newVM === undefined) return inPlace(scope, from.ready, nowMs, end, pending);
  if (scope.refusal !== undefined) return end('Failed', scope.refusal);
  const { machine } = scope;
  if (!isOwn(machine, restore)) return pending(`Makes machine ${spec.target.newVM}`);
  return {
    ...end('Completed', `Machine ${spec.target.newVM} was made from it${withoutNotKept(from.ready)}`),
    vmUID: machine.metadata.uid,
  };
}

/** The machine that this restore has made. */
export function isOwn(machine: VirtualMachine | undefined, { metadata }: VMRestore): machine is VirtualMachine {
  return machine?.metadata.annotations?.[annotations.restoredBy] === metadata.uid;
}

function inPlace(
  { restore, machine, stop }: Scope,
  snapshot: VMSnapshot,
  nowMs: number,
  end: (phase: 'Failed', message: string) => Status,
  pending: (message: string) => Status,
): Status {
  const { spec } = restore;
  const refusal = refusalOf(restore, machine, snapshot);
  if (refusal !== undefined) return end('Failed', refusal);
  const { attempt, phase } = machine!.status ?? {};
  if (phase === 'Stopped')
    return {
      ...pending(''),
      ...{ phase: 'InProgress', vm: spec.target.vm!, vmUID: machine!.metadata.uid },
      ...{ cluster: attempt!.cluster!, host: attempt!.host!, attempt: attempt!.number ?? 1 },
      ...{ digest: snapshot.status!.disks![0]!.digest!, snapshotUID: snapshot.metadata.uid },
      ...{ startedAt: timestamp(nowMs), message: `Host ${attempt!.host} puts it back` },
    };
  if (spec.readiness === 'FailIfRunning')
    return end(
      'Failed',
      `Machine ${spec.target.vm} is ${phase ?? 'Pending'}: stop it first, or use readiness: StopTarget`,
    );
  if (stop?.status?.phase === 'Failed')
    return end('Failed', `Machine ${spec.target.vm} was not stopped: ${stop.status.message}`);
  return pending(`Waits until machine ${spec.target.vm} has stopped`);
}

/** Why this disk cannot go into that machine at all. */
export function refusalOf(
  { spec }: VMRestore,
  machine: VirtualMachine | undefined,
  { status }: VMSnapshot,
): string | undefined {
  const name = spec.target.vm;
  if (!machine) return `No VirtualMachine is called "${name}" in this namespace`;
  if (machine.metadata.deletionTimestamp) return `Machine ${name} is being deleted`;
  const pool = poolOf(machine);
  if (pool !== undefined)
    return `Machine ${name} belongs to pool ${pool}, whose template says what is on its disk: restore into a new machine (target.newVM)`;
  const { attempt } = machine.status ?? {};
  if (attempt?.cluster === undefined || attempt.host === undefined)
    return `Machine ${name} has no disk on a host (${machine.status?.phase ?? 'Pending'}): restore into a new machine (target.newVM)`;
  if (attempt.cluster !== status?.cluster)
    return `Machine ${name} is in Cluster ${attempt.cluster}, the snapshot's data in ${status?.cluster}`;
  return undefined;
}

/** How a snapshot goes from Pending to its end, as far as its host does not say. Pure. */
import { parseDuration } from '#lib/api/duration.ts';
import type { VirtualMachine, VMSnapshot } from '#lib/api/generated/index.ts';
import { withChosenImage } from '#lib/api/image-families.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isOver, type Status } from './scope.ts';

/** Beyond the deadline, which the host keeps by itself: for its report to arrive. */
const graceMs = 30_000;
/** Phases in which the machine has a disk on its host that can be copied. */
const withDisk: readonly unknown[] = ['Running', 'Paused', 'Stopped', 'Draining', 'Stopping'];

/** When the next status comes by time alone. */
export function deadlineMs({ metadata, spec, status }: VMSnapshot): number {
  const sinceMs = Date.parse(status?.startedAt ?? metadata.creationTimestamp);
  return sinceMs + parseDuration(spec.deadline) + (status?.startedAt === undefined ? 0 : graceMs);
}

/** Its own fields of the status: phase and what belongs to it. */
export function next(snapshot: VMSnapshot, machine: VirtualMachine | undefined, nowMs: number): Status {
  const { spec, status = {} } = snapshot;
  if (isOver(status.phase)) return status;
  const fail = (message: string): Status => ({
    ...status,
    phase: 'Failed',
    message,
    finishedAt: timestamp(nowMs),
    // Nobody knows how far its host came.
    ...(status.startedAt !== undefined && { removal: 'Wanted' as const }),
  });
  if (status.vmUID !== undefined && status.vmUID !== machine?.metadata.uid)
    return fail(`Machine ${spec.vm} is gone, or another one of that name`);
  if (nowMs >= deadlineMs(snapshot)) return fail(late(snapshot));
  // Objects of one file may come in any order.
  if (!machine)
    return { ...status, phase: 'Pending', message: `No VirtualMachine is called "${spec.vm}" in this namespace yet` };
  const attempt = machine.status?.attempt;
  if (status.startedAt !== undefined) {
    const isThere = attempt?.number === status.attempt && attempt?.host === status.host;
    return isThere ? status : fail(`Machine ${spec.vm} left host ${status.host} before its disk was taken`);
  }
  if (machine.metadata.deletionTimestamp) return fail(`Machine ${spec.vm} is being deleted`);
  const pending: Status = { ...status, phase: 'Pending', vmUID: machine.metadata.uid };
  const { cluster, host } = attempt ?? {};
  if (cluster === undefined || host === undefined || !withDisk.includes(machine.status?.phase)) {
    const message = `Waits until machine ${spec.vm} has a disk on a host: it is ${machine.status?.phase ?? 'Pending'}`;
    return { ...pending, message };
  }
  return {
    ...pending,
    ...{ phase: 'InProgress', cluster, host, attempt: attempt?.number ?? 1 },
    // What is made of it later is to boot what this one has booted.
    machine: JSON.stringify(withChosenImage(machine)),
    startedAt: timestamp(nowMs),
    message: `Host ${host} takes it`,
  };
}

function late({ spec, status }: VMSnapshot): string {
  if (status?.startedAt === undefined)
    return `Not begun within ${spec.deadline}: ${status?.message ?? 'no host has the machine'}`;
  return `Host ${status.host} did not report it done within ${spec.deadline}. Nothing is kept of it`;
}

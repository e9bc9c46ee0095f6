/** What a launch that went well, or came to nothing, says of its host and of its pool. */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { MachinePhase, MachineStatus } from './attempt.ts';
import { memberOf } from './member.ts';
import type { Attempt } from './proof.ts';
import { faultOf } from './suspects.ts';
import { groupOf } from './tallies.ts';
import type { World } from './world.ts';

export function isStarting(phase: MachinePhase | undefined): boolean {
  return phase === 'Launching' || phase === 'Provisioning' || phase === 'Starting';
}

export function cameUp({ suspects, breakers }: World, vm: VirtualMachine, attempt: Attempt): void {
  suspects.succeeded(attempt.host ?? '');
  breakers.succeeded(groupOf(memberOf(vm)));
}

/** `closed` is its status since the attempt ended; `vm` still has the attempt. */
export function cameToNothing(
  { suspects, breakers, clock, tasks }: World,
  vm: VirtualMachine,
  attempt: Attempt,
  closed: MachineStatus,
): void {
  const row = closed.attempts?.at(-1);
  // An address that somebody else has is no fault of the host, nor of the group.
  if (row?.conflict) return;
  const group = groupOf(memberOf(vm));
  const nowMs = clock.monotonic();
  const task = tasks.get(attempt.taskID ?? '');
  const isRefused = task?.state === 'TASK_ERROR';
  const fault = row && faultOf(row, task?.reason);
  const isFailure = row?.outcome === 'Failed' && row.class !== 'User' && !wasUp(vm, attempt);
  const last = `${vm.metadata.name} on host ${attempt.host}: ${closed.lastTermination?.message || row?.reason}`;
  // A group that fails everywhere takes back what was held against hosts because of it.
  if ((isFailure || isRefused) && breakers.failed(group, last, nowMs)) suspects.clear(group);
  else if (fault !== undefined) suspects.failed(attempt.host ?? '', group, fault);
}

function wasUp({ status }: VirtualMachine, { since, number }: Attempt): boolean {
  // It came as it ran.
  if (status?.lastMigration?.outcome === 'Completed' && status.lastMigration.number === number) return true;
  const running = status?.phaseTransitions?.Running;
  return running !== undefined && since !== undefined && Date.parse(running) >= Date.parse(since);
}

/**
 * Machines that were deleted while their host did not answer, and let go although nobody knows whether they run. Each leaves a note with its
 * Host (status.pendingCleanup); its addresses are nobody's until it is removed there. Pure.
 */
import { parseDuration } from './duration.ts';
import type { Host, VirtualMachine } from './generated/index.ts';
import { unreachableSince } from './lost.ts';

const defaultForgetAfter = '24h';

/** The proof in the last row of attempts[] of such a machine: there was none. */
export const forgottenProof = 'Forgotten';
/** Why its addresses are in quarantine. */
export const hostNotClean = 'HostNotClean';

export type Tombstone = NonNullable<NonNullable<Host['status']>['pendingCleanup']>[number];

/** From when on it may be let go; undefined while it is wanted, or its host answers, or it was given a disk: no other may write to that. */
export function forgetFrom(vm: VirtualMachine): number | undefined {
  const since = unreachableSince(vm);
  const hasDisk = vm.status?.volumes?.some(({ grant }) => grant !== undefined) ?? false;
  if (vm.metadata.deletionTimestamp === undefined || since === undefined || hasDisk) return undefined;
  return since + parseDuration(vm.spec.disconnect?.forgetAfter ?? defaultForgetAfter);
}

export function isForgotten({ status }: VirtualMachine): boolean {
  return status?.attempts?.at(-1)?.proof === forgottenProof;
}

export function tombstoneOf(host: Host | undefined, uid: string | undefined): Tombstone | undefined {
  return host?.status?.pendingCleanup?.find((each) => each.uid === uid);
}

/** Who owns whom, as facts about one object, and what follows from them. Pure. */
import type { KubeObject, OwnerReference } from '#lib/api/meta.ts';
import type { Propagation } from '#lib/client/client.ts';

export const foregroundFinalizer = 'foregroundDeletion';
export const orphanFinalizer = 'orphan';

/**
 * present: there, and not on its way out in the foreground. waiting: being deleted in the foreground, so its dependents go first.
 * absent: the server says that no object with this uid is there. unknown: nobody here can tell, so nothing may be decided on it.
 */
export type OwnerState = 'present' | 'waiting' | 'absent' | 'unknown';

export interface Owner {
  readonly reference: OwnerReference;
  readonly state: OwnerState;
}

export type Verdict =
  | { readonly do: 'keep' }
  /** Others still own it: only these references are taken off. */
  | { readonly do: 'release'; readonly keep: readonly OwnerReference[] }
  /** `unblock`: it must first stop blocking its owners. */
  | { readonly do: 'delete'; readonly propagation: Propagation; readonly unblock: boolean };

/** What becomes of an object with these owners. An object without owners is nobody's garbage. */
export function judge(object: KubeObject, owners: readonly Owner[], dependents: readonly KubeObject[]): Verdict {
  const lost = owners.filter(({ state }) => state === 'absent' || state === 'waiting');
  if (lost.length === 0) return { do: 'keep' };
  if (lost.length < owners.length)
    return { do: 'release', keep: owners.filter((owner) => !lost.includes(owner)).map(({ reference }) => reference) };
  // An owner that waits for its dependents wants theirs gone as well before they go.
  if (owners.some(({ state }) => state === 'waiting') && dependents.length > 0)
    return { do: 'delete', propagation: 'Foreground', unblock: dependents.some(isGoingInForeground) };
  return { do: 'delete', propagation: policyOf(object), unblock: false };
}

/** Finalizers that somebody put on it in advance say how it is to go. */
function policyOf(object: KubeObject): Propagation {
  if (hasFinalizer(object, orphanFinalizer)) return 'Orphan';
  return hasFinalizer(object, foregroundFinalizer) ? 'Foreground' : 'Background';
}

/** True if `dependent` keeps the owner with this uid from going away in the foreground. */
export function blocks(dependent: KubeObject, ownerUid: string): boolean {
  return (dependent.metadata.ownerReferences ?? []).some(
    ({ uid, blockOwnerDeletion }) => uid === ownerUid && blockOwnerDeletion,
  );
}

export function isDeleting(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

export function isGoingInForeground(object: KubeObject): boolean {
  return isDeleting(object) && hasFinalizer(object, foregroundFinalizer);
}

export function hasFinalizer(object: KubeObject, finalizer: string): boolean {
  return (object.metadata.finalizers ?? []).includes(finalizer);
}

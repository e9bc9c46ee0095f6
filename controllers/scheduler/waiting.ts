/** The machines that wait for a place, best first: higher priority, then older, then by name, so that the order is the same for everyone. */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { keyOf } from '#lib/api/meta.ts';

export function compareMachines(a: VirtualMachine, b: VirtualMachine): number {
  if (a.spec.priority !== b.spec.priority) return b.spec.priority - a.spec.priority;
  const [bornA, bornB] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp];
  if (bornA !== bornB) return bornA < bornB ? -1 : 1;
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

/** True if this cluster may place it now. */
export function waitsFor(vm: VirtualMachine, cluster: string): boolean {
  const { status, spec, metadata } = vm;
  if (metadata.deletionTimestamp !== undefined || status?.phase !== 'Scheduling' || status.attempt) return false;
  return (spec.placement?.cluster ?? cluster) === cluster;
}

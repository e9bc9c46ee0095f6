import type { Image, VirtualMachine, VMSnapshot } from '#lib/api/generated/index.ts';

/** The world of one snapshot, read once. */
export interface Scope {
  readonly snapshot: VMSnapshot;
  readonly machine: VirtualMachine | undefined;
  /** Images that stand on it. */
  readonly images: readonly Image[];
}

export type Status = NonNullable<VMSnapshot['status']>;

export function isOver(phase: Status['phase']): boolean {
  return phase === 'Ready' || phase === 'Failed';
}

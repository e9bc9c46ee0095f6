import type { VirtualMachine, VMOperation, VMRestore, VMSnapshot } from '#lib/api/generated/index.ts';

/** The world of one restore, read once. */
export interface Scope {
  readonly restore: VMRestore;
  readonly snapshot: VMSnapshot | undefined;
  /** That bears the name of the target. */
  readonly machine: VirtualMachine | undefined;
  /** The Stop that was asked for. */
  readonly stop: VMOperation | undefined;
  /** Of a new machine: why its name or that of its image cannot be had. */
  refusal?: string;
}

export type Status = NonNullable<VMRestore['status']>;

export function isOver({ status }: VMRestore): boolean {
  return status?.phase === 'Completed' || status?.phase === 'Failed';
}

export function stopName({ metadata }: VMRestore): string {
  return `${metadata.name}-stop`;
}

/** Whose disk it is: that of a pool's machine belongs to the pool's template. */
export function poolOf(machine: VirtualMachine): string | undefined {
  return machine.metadata.ownerReferences?.find(({ controller, kind }) => controller && kind === 'VMPool')?.name;
}

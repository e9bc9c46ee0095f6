/** Whether a machine's `ioWeight` counts on its host, as the machine says it. Pure. */
import type { ConditionDraft } from '#lib/api/conditions.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { HostFacts } from '#lib/api/messages.ts';

/** Condition IOWeighted; none for a machine without a weight, and where the host has not told. */
export function ioWeighted(
  { ioWeight }: Pick<VirtualMachine['spec'], 'ioWeight'>,
  { ioWeights }: Pick<HostFacts, 'ioWeights'>,
  hostname: string,
): readonly ConditionDraft[] {
  const type = 'IOWeighted';
  if (ioWeight === undefined || ioWeights === undefined) return [];
  if (ioWeights) return [{ type, status: 'True', reason: 'Weighted', message: '' }];
  const message =
    `The kernel of host ${hostname} weighs no requests to disks, so ioWeight ${ioWeight} has no effect there: it needs the disk scheduler BFQ. ` +
    'limits of disks hold in any case';
  return [{ type, status: 'False', reason: 'NoWeights', message }];
}

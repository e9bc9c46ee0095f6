/** What a machine asks of placement. */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { memberOf } from './member.ts';
import { needsOf } from './needs.ts';
import type { PlacementAsk } from './placement.ts';
import type { Member } from './tallies.ts';
import { askOf } from './tasks.ts';

/** Throws if the machine's size is not resolved yet. */
export function placementAsk(vm: VirtualMachine, cluster: string): PlacementAsk & { readonly member: Member } {
  return { room: askOf(vm), member: memberOf(vm), needs: needsOf(vm, cluster) };
}

/** A machine whose host does not answer, and has not for so long that its pool makes another one in its place. Pure. */
import { conditionOf } from './conditions.ts';
import { parseDuration } from './duration.ts';
import type { VirtualMachine } from './generated/index.ts';

export const defaultLostAfter = '5m';

/** Since when its host does not answer, in milliseconds since 1970; undefined while it does. */
export function unreachableSince(vm: VirtualMachine): number | undefined {
  const reachable = conditionOf(vm, 'Reachable');
  if (reachable?.status === 'False') return Date.parse(reachable.lastTransitionTime);
  if (vm.status?.phase !== 'Unreachable') return undefined;
  return Date.parse(vm.status.phaseTransitions?.Unreachable ?? vm.metadata.creationTimestamp);
}

/** From when on another one is made in its place; undefined while its host answers, and if it is to be waited for. */
export function lostFrom(vm: VirtualMachine): number | undefined {
  const { lostAfter = defaultLostAfter, replace = !hasDisk(vm) } = vm.spec.disconnect ?? {};
  const since = unreachableSince(vm);
  const phase = vm.status?.phase;
  const isOver = vm.metadata.deletionTimestamp !== undefined || phase === 'Succeeded' || phase === 'Failed';
  // What starts together is launched together, and never in parts.
  if (since === undefined || !replace || isOver || vm.spec.gang) return undefined;
  return since + parseDuration(lostAfter);
}

/** Its disk goes nowhere else before it is proven gone: another machine would wait for it. */
function hasDisk({ status }: VirtualMachine): boolean {
  return status?.volumes?.some(({ grant }) => grant !== undefined) ?? false;
}

export function isLost(vm: VirtualMachine, nowMs: number): boolean {
  const fromMs = lostFrom(vm);
  return fromMs !== undefined && fromMs <= nowMs;
}

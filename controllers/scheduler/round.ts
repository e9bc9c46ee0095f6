/** One go of placing, decided without waiting for anything: which of the waiting machines go to which host, and why the others do not. */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { keyOf } from '#lib/api/meta.ts';
import type { Ledger } from './ledger.ts';
import { memberOf } from './member.ts';
import type { Placement, PlacementAsk, Refusal } from './placement.ts';
import type { Member } from './tallies.ts';
import { askOf } from './tasks.ts';

export interface RoundInput {
  /** In the order in which they are to be served. */
  readonly waiting: Iterable<VirtualMachine>;
  readonly ledger: Ledger;
  readonly placement: Placement;
  /** Machines that must not be placed now, whatever room there is. */
  readonly isHeld: (vm: VirtualMachine) => boolean;
  /** Why nothing of its group may be launched now. */
  readonly limitOn?: (member: Member) => Refusal | undefined;
  /** Machines placed in one go. */
  readonly atOnce: number;
}

export interface Round {
  /** Host -> keys of machines; the ledger has them there already. */
  readonly planned: ReadonlyMap<string, readonly string[]>;
  /** Key -> why not, as it is after the machines of this round were placed. */
  readonly refused: ReadonlyMap<string, Refusal>;
  /** There may be room for more. */
  readonly more: boolean;
}

/**
 * Room only shrinks within one round: what did not fit once need not be tried again for the next machine of the same kind. What a rule
 * allows may grow by what another machine does; then the next round finds it.
 */
export function planRound({ waiting, ledger, placement, isHeld, limitOn, atOnce }: RoundInput): Round {
  const planned = new Map<string, string[]>();
  const refused = new Map<string, Refusal>();
  const unplaced = new Map<string, PlacementAsk>();
  const full = new Set<string>();
  let count = 0;
  let more = false;
  for (const vm of waiting) {
    more = count >= atOnce;
    if (more) break;
    const ask = { room: askOf(vm), member: memberOf(vm) };
    const limit = limitOn?.(ask.member);
    if (limit) {
      refused.set(keyOf(vm), limit);
      continue;
    }
    const kind = placement.classOf(ask);
    const isOut = full.has(kind) || isHeld(vm);
    const host = isOut ? undefined : placement.choose(ask);
    if (host === undefined) {
      if (!isOut) full.add(kind);
      unplaced.set(keyOf(vm), ask);
      continue;
    }
    count++;
    ledger.occupy(vm.metadata.uid, host, ask.room, ask.member, 'Starting');
    const keys = planned.get(host);
    if (keys) keys.push(keyOf(vm));
    else planned.set(host, [keyOf(vm)]);
  }
  // Only now: hosts are counted once for all machines of a kind, not after each that was placed.
  for (const [key, ask] of unplaced) refused.set(key, placement.explain(ask));
  return { planned, refused, more };
}

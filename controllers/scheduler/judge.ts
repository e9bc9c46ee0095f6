/** What counted rules say of a value, now. Pure. */
import { type CountedRule, isHostKey } from '#lib/api/placement-rules.ts';
import type { Candidates } from './candidates.ts';
import type { Counts, Member, Tallies } from './tallies.ts';

export interface Judged {
  readonly rule: CountedRule;
  readonly key: string;
  /** The key is the host itself. */
  readonly isHost: boolean;
  /** Only wished for. */
  readonly isSoft: boolean;
  /** One more machine may go to this value. */
  readonly allows: (value: string | undefined) => boolean;
  /** Machines there already that an even spread counts; 0 for all other rules. */
  readonly load: (value: string | undefined) => number;
}

const whomOf = (rule: CountedRule) => (rule.type === 'Limit' ? rule.whom : ({ type: 'Group' } as const));

export function judge(rule: CountedRule, member: Member, tallies: Tallies, candidates: Candidates): Judged {
  const counts = tallies.of(member, whomOf(rule), rule.key);
  const at = (value: string | undefined) => (value === undefined ? 0 : (counts.get(value) ?? 0));
  return {
    ...{ rule, key: rule.key, isHost: isHostKey(rule.key) },
    isSoft: rule.type === 'Even' && !rule.isHard,
    allows: verdict(rule, counts, at, candidates),
    load: rule.type === 'Even' ? at : () => 0,
  };
}

function verdict(
  rule: CountedRule,
  counts: Counts,
  at: (value: string | undefined) => number,
  candidates: Candidates,
): Judged['allows'] {
  if (rule.type === 'Limit') return (value) => at(value) < rule.below;
  if (rule.type === 'Together') return (value) => counts.size === 0 || at(value) > 0;
  const most = fewest(rule.expected, counts, candidates.values(rule.key)) + rule.maxSkew;
  return (value) => at(value) < most;
}

/** Of the values that could be given. More values than have machines: one of them has none, without looking for it. */
function fewest(expected: number, counts: Counts, values: ReturnType<Candidates['values']>): number {
  if (counts.size < expected || values.size > counts.size) return 0;
  let least = Number.POSITIVE_INFINITY;
  for (const value of values.keys()) {
    least = Math.min(least, counts.get(value) ?? 0);
    if (least === 0) break;
  }
  return Number.isFinite(least) ? least : 0;
}

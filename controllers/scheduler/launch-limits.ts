/** How many machines of a pool or factory may start at once, whatever room there is. The limit per host is the ledger's. */
import type { Clock } from '#lib/std/clock.ts';
import type { Breakers } from './breakers.ts';
import type { Ledger } from './ledger.ts';
import type { Refusal } from './placement.ts';
import { groupOf, type Member } from './tallies.ts';

/** Start at once of a group that has proven nothing yet; beyond that as many as of it are up, so that a large one doubles. */
const startingAtFirst = 500;

/** Why no machine of its group is launched now, or undefined. */
export function limitOn(
  member: Member,
  { ledger, breakers, clock }: { readonly ledger: Ledger; readonly breakers: Breakers; readonly clock: Clock },
): Refusal | undefined {
  const group = groupOf(member);
  const { starting, started } = ledger.countsOf(group);
  const broken = breakers.against(group, starting, { ms: clock.now(), monotonicMs: clock.monotonic() });
  if (broken !== undefined) return { reason: 'LaunchBackoff', message: broken };
  if (starting < Math.max(startingAtFirst, started)) return undefined;
  const message = `${starting} machines of its pool or factory start just now, and ${started} are up: it is the next when some of them are`;
  return { reason: 'LaunchLimit', message };
}

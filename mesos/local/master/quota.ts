/** What a role may be offered without going beyond its limits. Pure. */
import { type Bag, scalarsOf } from '../resources.ts';
import type { QuotaConfig } from './registry.ts';

/** `bag` with the scalars that have a limit cut to what `has` leaves of it, in thousandths; Mesos cuts offers the same way. */
export function withinQuota(limits: QuotaConfig['limits'], has: Bag, bag: Bag): Bag {
  if (limits === undefined) return bag;
  const used = scalarsOf(has);
  const room = new Map(
    Object.entries(limits).map(([name, { value }]) => [name, Math.round(value * 1000) - (used.get(name) ?? 0)]),
  );
  return new Map(
    [...bag].flatMap(([key, amount]): [string, typeof amount][] => {
      const left = amount.kind.type === 'SCALAR' ? room.get(amount.kind.name) : undefined;
      if (left === undefined) return [[key, amount]];
      const milli = Math.min(amount.milli, Math.max(0, left));
      room.set(amount.kind.name, left - milli);
      return milli === 0 ? [] : [[key, { ...amount, milli }]];
    }),
  );
}

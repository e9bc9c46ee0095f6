/** What calendars and clocks show of a timestamp, and the parts of a duration. */
import { EvaluationError } from '../errors.ts';
import { millisecondsOf, wallClock } from '../time.ts';
import type { Duration, Timestamp } from '../values.ts';
import { type Overload, overload } from './overload.ts';

const parts: Readonly<Record<string, (date: Date) => number>> = {
  getFullYear: (date) => date.getUTCFullYear(),
  getMonth: (date) => date.getUTCMonth(),
  getDate: (date) => date.getUTCDate(),
  getDayOfMonth: (date) => date.getUTCDate() - 1,
  getDayOfWeek: (date) => date.getUTCDay(),
  getDayOfYear: (date) =>
    Math.floor(
      (Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()) - Date.UTC(date.getUTCFullYear(), 0)) /
        86_400_000,
    ),
  getHours: (date) => date.getUTCHours(),
  getMinutes: (date) => date.getUTCMinutes(),
  getSeconds: (date) => date.getUTCSeconds(),
};

/** What a clock shows in a zone that has a name takes as long as this many steps. */
const zoneCost = 100;

const durations: Readonly<Record<string, bigint>> = {
  getHours: 3_600_000_000_000n,
  getMinutes: 60_000_000_000n,
  getSeconds: 1_000_000_000n,
};

export const times: readonly Overload[] = [
  ...Object.entries(parts).flatMap(([name, read]) => [
    overload(`(timestamp).${name}(): int`, (_, at: Timestamp) => BigInt(read(wallClock(at, '+00:00')))),
    overload(`(timestamp).${name}(string): int`, (budget, at: Timestamp, zone: string) => {
      budget.charge(zoneCost);
      if (zone.length > 64) throw new EvaluationError('unknown time zone');
      return BigInt(read(wallClock(at, zone)));
    }),
  ]),
  overload('(timestamp).getMilliseconds(): int', (_, at: Timestamp) => millisecondsOf(at)),
  ...Object.entries(durations).map(([name, unit]) =>
    overload(`(duration).${name}(): int`, (_, length: Duration) => length.nanos / unit),
  ),
  overload('(duration).getMilliseconds(): int', (_, length: Duration) => (length.nanos / 1_000_000n) % 1000n),
];

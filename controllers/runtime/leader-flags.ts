/** Flags of every program that elects a leader, under Kubernetes' names. */
import { parseDuration } from '#lib/api/duration.ts';
import { messageOf } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';
import { defaultLeaseTimes, type LeaseTimes } from './leader.ts';

const string = { type: 'string' } as const;

/** For util.parseArgs. */
export const leaderFlags = {
  'leader-elect-lease-duration': string,
  'leader-elect-renew-deadline': string,
  'leader-elect-retry-period': string,
} as const;

export const leaderUsage = `
  --leader-elect-lease-duration DURATION   Others wait so long for a leader that is silent (15s); the same for all of them
  --leader-elect-renew-deadline DURATION   A leader that cannot say that it is there stops after so long (10s)
  --leader-elect-retry-period DURATION     Between two tries of either (2s)`;

/** A try may take up to a fifth longer than it should. */
const jitter = 1.2;

/** Throws UsageError for what is no duration, and for times with which two could lead at once. */
export function leaseTimesFrom(
  values: { readonly [name in keyof typeof leaderFlags]?: string | undefined },
): LeaseTimes {
  const duration = (name: keyof typeof leaderFlags, otherwise: number) => {
    try {
      return values[name] === undefined ? otherwise : parseDuration(values[name]);
    } catch (error) {
      throw new UsageError(`--${name}: ${messageOf(error)}`);
    }
  };
  const durationMs = duration('leader-elect-lease-duration', defaultLeaseTimes.durationMs);
  const renewDeadlineMs = duration('leader-elect-renew-deadline', defaultLeaseTimes.renewDeadlineMs);
  const retryMs = duration('leader-elect-retry-period', defaultLeaseTimes.retryMs);
  if (durationMs % 1000 !== 0) throw new UsageError('--leader-elect-lease-duration must be whole seconds');
  if (durationMs <= renewDeadlineMs)
    throw new UsageError('--leader-elect-lease-duration must be longer than --leader-elect-renew-deadline');
  if (retryMs <= 0 || renewDeadlineMs <= retryMs * jitter)
    throw new UsageError(
      `--leader-elect-renew-deadline must be longer than ${jitter} times --leader-elect-retry-period, and that above 0`,
    );
  return { durationMs, renewDeadlineMs, retryMs };
}

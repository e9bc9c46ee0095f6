/** Who may have how much of the server at once, so that no tenant can take it from the others. */
import { mastersGroup, type User } from '#apiserver/auth/user.ts';
import type { RequestInfo } from '#apiserver/http/request-info.ts';
import type { Metrics } from '#apiserver/metrics/metrics.ts';
import { programGroups } from '#lib/api/names.ts';
import type { Clock } from '#lib/std/clock.ts';
import { FairQueue, TooManyRequests } from './fair-queue.ts';
import type { BucketLimits } from './token-bucket.ts';

export interface FairnessLimits {
  /** Reads worked on at once. */
  readonly maxRequestsInflight: number;
  /** Writes worked on at once. */
  readonly maxMutatingRequestsInflight: number;
  /** Of each user, reads and writes apart. */
  readonly userRate: BucketLimits;
}

/** The first two are Kubernetes' own; a user's rate is some of what one server can do, and far above what people and controllers need. */
export const defaultLimits: FairnessLimits = {
  maxRequestsInflight: 400,
  maxMutatingRequestsInflight: 200,
  userRate: { perSecond: 1_000, burst: 2_000 },
};

/** One user has at most this part of the seats. */
const shareOfOne = 1 / 3;
/** Kubernetes' queueLengthLimit. */
const queuedPerFlow = 50;
const queued = 2_000;
const waitMs = 15_000;

export interface Fairness {
  /** A seat: dispose of it when the work is done. TooManyRequests if there is none to be had. */
  enter(info: RequestInfo, user: User, signal: AbortSignal): Promise<Disposable>;
}

export function createFairness(limits: FairnessLimits, metrics: Metrics, clock: Clock): Fairness {
  const queueOf = (kind: 'readOnly' | 'mutating', seats: number) =>
    new FairQueue({
      seats,
      seatsPerFlow: Math.max(1, Math.floor(seats * shareOfOne)),
      queuedPerFlow,
      queued,
      waitMs,
      rate: limits.userRate,
      clock,
      changed: (seated, waiting) => {
        metrics.inFlight.set(seated, [kind]);
        metrics.inQueue.set(waiting, [kind]);
      },
    });
  const reads = queueOf('readOnly', limits.maxRequestsInflight);
  const writes = queueOf('mutating', limits.maxMutatingRequestsInflight);
  return {
    async enter(info, user, signal) {
      if (isExempt(info, user)) return metrics.inFlight.enter(['exempt']);
      const mutating = !readVerbs.has(info.verb);
      try {
        return await (mutating ? writes : reads).enter(user.name, signal);
      } catch (error) {
        if (error instanceof TooManyRequests)
          metrics.rejected.add([mutating ? 'mutating' : 'readOnly', error.rejection]);
        throw error;
      }
    },
  };
}

const readVerbs = new Set<string>(['get', 'list', 'watch', 'head', 'options']);

/** Our own programs: losing a lease for want of a seat would stop a controller that works. */
const programs: readonly string[] = Object.values(programGroups);

/** Operators must be able to look when all else is busy, and whoever leads must be able to say so. */
function isExempt({ path, probe }: RequestInfo, { groups }: User): boolean {
  if (probe || groups.includes(mastersGroup)) return true;
  const lease = path.type === 'resource' && path.group === 'coordination.k8s.io' && path.plural === 'leases';
  return lease && groups.some((group) => programs.includes(group));
}

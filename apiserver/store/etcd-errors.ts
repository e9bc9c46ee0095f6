import {
  EtcdLeaseInvalidError,
  GRPCCancelledError,
  GRPCDeadlineExceededError,
  GRPCInternalError,
  GRPCOutOfRangeError,
  GRPCResourceExhastedError,
  GRPCUnavailableError,
  GRPCUnknownError,
} from 'etcd3';
import { ApiError, messageOf } from '#lib/std/errors.ts';

/**
 * Why a call to etcd failed. `unreached`: it may or may not have been carried out, and may be tried again where that does no harm.
 * `compacted` and `future` are about the revision asked for; `leaseGone` about a lease that has expired meanwhile.
 */
export type EtcdFailure = 'unreached' | 'compacted' | 'future' | 'leaseGone' | 'tooLarge' | 'busy' | 'full' | 'other';

/** Sorts by gRPC status where that is clear, and by etcd's text (server/etcdserver/api/v3rpc/rpctypes) where one status has many. */
export function failureOf(error: unknown): EtcdFailure {
  const text = messageOf(error);
  if (error instanceof EtcdLeaseInvalidError) return 'leaseGone';
  if (error instanceof GRPCOutOfRangeError) return text.includes('future revision') ? 'future' : 'compacted';
  if (text.includes('request is too large')) return 'tooLarge';
  if (text.includes('database space exceeded')) return 'full';
  if (error instanceof GRPCResourceExhastedError) return text.includes('too many requests') ? 'busy' : 'tooLarge';
  const lost = [
    GRPCUnavailableError,
    GRPCDeadlineExceededError,
    GRPCCancelledError,
    GRPCInternalError,
    GRPCUnknownError,
  ].some((type) => error instanceof type);
  return lost ? 'unreached' : 'other';
}

/** False for an attempt that never left this program, because there was no connection to send it on. */
export function mayHaveArrived(error: unknown): boolean {
  return !/No connection established|Waiting for LB pick|Name resolution failed/i.test(messageOf(error));
}

/** What callers of the store are told. `what` is the sentence's beginning: "Cannot list core/configmaps/". */
export function apiErrorOf(error: unknown, what: string): Error {
  if (error instanceof ApiError) return error;
  const later = { details: { retryAfterSeconds: 1 }, cause: error };
  switch (failureOf(error)) {
    case 'unreached':
      return new ApiError('ServiceUnavailable', `${what}: etcd does not answer, try again`, later);
    case 'busy':
      return new ApiError('TooManyRequests', `${what}: etcd has too many requests waiting, try again`, later);
    case 'full':
      // What Kubernetes answers, too. It makes room by itself if it can (etcd-space.ts).
      return new ApiError('InternalError', `${what}: etcd is full and refuses writes, try again later`, later);
    case 'tooLarge':
      return new ApiError('RequestEntityTooLarge', `${what}: too large for etcd`, { cause: error });
    default:
      return new Error(what, { cause: error });
  }
}

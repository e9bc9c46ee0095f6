import { ApiError } from '#lib/std/errors.ts';
import type { Step } from './exchange.ts';

/** Counts the requests under way, so that a server that stops can wait for them. */
export interface WaitGroup {
  /** From here on nothing more is let in. Resolves when what is under way has been answered. */
  close(): Promise<void>;
  enter(): Disposable;
}

export function createWaitGroup(): WaitGroup {
  let under = 0;
  const { promise: drained, resolve } = Promise.withResolvers<void>();
  let closed = false;
  return {
    close() {
      closed = true;
      if (under === 0) resolve();
      return drained;
    },
    /** ServiceUnavailable once closed: another server, or this one after its restart, will answer. */
    enter() {
      if (closed)
        throw new ApiError('ServiceUnavailable', 'apiserver is shutting down', { details: { retryAfterSeconds: 1 } });
      under++;
      return {
        [Symbol.dispose]() {
          under--;
          if (closed && under === 0) resolve();
        },
      };
    },
  };
}

/** Watches are not waited for: they are told to end. Probes are answered to the last, so that whoever asks hears why. */
export const joinWaitGroup: Step = async ({ info, server }, next) => {
  if (info.longRunning || info.probe) return await next();
  using _ = server.underWay.enter();
  await next();
};

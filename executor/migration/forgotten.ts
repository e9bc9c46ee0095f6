/** What waits for a guest by word of a worker that is gone, and is in no journal: nobody will ever take it over. */
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Hypervisor } from '../hypervisor.ts';

const againMs = 10_000;

export interface ForgottenDeps {
  readonly hypervisor: Pick<Hypervisor, 'list' | 'moves'>;
  /** A machine of the journal: its own driver sees to it. */
  isExpected(uid: string): boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** Ends it all, once; until that has worked, or this is disposed of. Its disks are found by the inventory. */
export function refuseForgotten({ hypervisor, isExpected, clock, log }: ForgottenDeps): AsyncDisposable {
  const stop = new AbortController();
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        for (const { uid, receiving } of (await hypervisor.list()).ours)
          if (receiving && !isExpected(uid)) await hypervisor.moves.refuse(uid);
        return;
      } catch (error) {
        log.warn('Cannot end what waits for a guest', { reason: messageOf(error) });
      }
      await clock.sleep(againMs, stop.signal).catch(() => undefined); // the loop sees it
    }
  };
  const finished = run();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await finished;
    },
  };
}

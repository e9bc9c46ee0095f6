/**
 * Events of the hypervisor are hints; looking at all domains every few seconds is the truth. Both only wake the drivers. Now and then what
 * earlier lives left on the host is removed.
 */
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Domain, Hypervisor } from './hypervisor.ts';

export interface ObserverDeps {
  readonly hypervisor: Pick<Hypervisor, 'list' | 'watch' | 'tidy'>;
  readonly machines: {
    compare(domains: readonly Domain[]): void;
    hint(uid: string): void;
    rebooted(uid: string): void;
  };
  /** Events were missed. */
  lost(): void;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

const tidyEveryMs = 60_000;

/** Watches until disposed. */
export function watchDomains({ hypervisor, machines, lost, everyMs, clock, log }: ObserverDeps): AsyncDisposable {
  const stop = new AbortController();
  const look = async (): Promise<void> => {
    try {
      machines.compare((await hypervisor.list()).ours);
    } catch (error) {
      log.warn('Cannot list the domains', { reason: messageOf(error) });
    }
  };
  const events = hypervisor.watch((event) => {
    if (event !== 'lost') {
      if (event.rebooted) machines.rebooted(event.uid);
      machines.hint(event.uid);
      return;
    }
    lost();
    if (!stop.signal.aborted) pending = pending.then(look);
  });
  let pending = Promise.resolve();
  const tidy = async (): Promise<void> => {
    try {
      const removed = (await hypervisor.tidy?.()) ?? [];
      if (removed.length > 0) log.info('Removed what guests of an earlier boot left', { removed });
    } catch (error) {
      log.warn('Cannot remove what guests of an earlier boot left', { reason: messageOf(error) });
    }
  };
  const repeat = async (act: () => Promise<void>, pauseMs: number): Promise<void> => {
    while (!stop.signal.aborted) {
      await clock.sleep(pauseMs, stop.signal).catch(() => undefined);
      if (!stop.signal.aborted) await act();
    }
  };
  const tidying = async () => {
    await tidy();
    await repeat(tidy, tidyEveryMs);
  };
  const loop = Promise.all([repeat(look, everyMs), ...(hypervisor.tidy ? [tidying()] : [])]);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      events[Symbol.dispose]();
      await Promise.all([loop, pending]);
    },
  };
}

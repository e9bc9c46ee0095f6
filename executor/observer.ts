/** Events of the hypervisor are hints; looking at all domains every few seconds is the truth. Both only wake the drivers. */
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Domain, Hypervisor } from './hypervisor.ts';

export interface ObserverDeps {
  readonly hypervisor: Pick<Hypervisor, 'list' | 'watch'>;
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
  const loop = (async () => {
    while (!stop.signal.aborted) {
      await clock.sleep(everyMs, stop.signal).catch(() => undefined);
      if (!stop.signal.aborted) await look();
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      events[Symbol.dispose]();
      await Promise.all([loop, pending]);
    },
  };
}

/**
 * Maintenance that Mesos' operators plan, by host. Offers and inverse offers tell of it at once; the schedule, which is read now and then,
 * tells what was taken back, and of hosts that are down already.
 */
import type { MaintenanceWindow } from '#mesos/operator-types.ts';
import type { Unavailability } from '#mesos/types.ts';
import type { Window } from './drain.ts';

export function windowOf({ start, duration }: Unavailability): Window {
  const startMs = Number(start.nanoseconds) / 1e6;
  return { startMs, endMs: duration ? startMs + Number(duration.nanoseconds) / 1e6 : Number.POSITIVE_INFINITY };
}

export class Windows {
  /** Names in lower case: to Mesos they are alike. */
  #byHost = new Map<string, Window>();

  /** The one that is going on or comes next; undefined if there is none. */
  get(hostname: string, nowMs: number): Window | undefined {
    const window = this.#byHost.get(hostname.toLowerCase());
    return window && window.endMs > nowMs ? window : undefined;
  }

  /** What an offer of the host says; undefined: that nothing is planned. True if that is news. */
  hear(hostname: string, unavailability: Unavailability | undefined): boolean {
    const key = hostname.toLowerCase();
    const old = this.#byHost.get(key);
    const window = unavailability && windowOf(unavailability);
    if (window) this.#byHost.set(key, window);
    else this.#byHost.delete(key);
    return old?.startMs !== window?.startMs || old?.endMs !== window?.endMs;
  }

  /** The whole schedule. A machine is named by host name and address; `addressOf` gives that of a host's agent, if it has one. */
  replace(
    windows: readonly MaintenanceWindow[],
    addressOf: (hostname: string) => string | undefined,
    nowMs: number,
  ): void {
    const next = new Map<string, Window>();
    for (const { machine_ids = [], unavailability } of windows)
      for (const { hostname, ip } of machine_ids) {
        const address = hostname === undefined ? undefined : addressOf(hostname);
        if (hostname === undefined || (ip && address !== undefined && ip !== address)) continue;
        const window = windowOf(unavailability);
        const key = hostname.toLowerCase();
        const known = next.get(key);
        if (window.endMs > nowMs && (!known || window.startMs < known.startMs)) next.set(key, window);
      }
    this.#byHost = next;
  }
}

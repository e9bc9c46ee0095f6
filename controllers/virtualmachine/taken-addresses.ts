/**
 * Addresses that were found taken, or are being taken, so lately that the cache of leases may not show it. Many machines of one subnet
 * look for the lowest free address at the same time: without this each would try, and be refused, once per machine before it. A hint
 * only: that an address is given once is guaranteed by the name of its lease. Whoever tried an address without hearing the answer tries
 * the same one again, and finds the lease it may have made.
 */
import type { Clock } from '#lib/std/clock.ts';

export interface TakenAddresses {
  /** `holder` is the uid of the machine that takes it; empty if it was found taken. */
  add(subnetUID: string, ip: string, holder: string): void;
  /** Those that are not for this machine. */
  forOthers(subnetUID: string, uid: string): readonly string[];
}

const keepMs = 10_000;

export function takenAddresses(clock: Clock): TakenAddresses {
  const bySubnet = new Map<string, Map<string, { holder: string; untilMs: number }>>();
  return {
    add(subnetUID, ip, holder) {
      const ips = bySubnet.get(subnetUID) ?? new Map<string, { holder: string; untilMs: number }>();
      // Set again, it moves to the end: the map stays in the order of expiry.
      ips.delete(ip);
      ips.set(ip, { holder, untilMs: clock.monotonic() + keepMs });
      bySubnet.set(subnetUID, ips);
    },
    forOthers(subnetUID, uid) {
      const ips = bySubnet.get(subnetUID);
      if (!ips) return [];
      for (const [ip, { untilMs }] of ips) {
        if (untilMs > clock.monotonic()) break;
        ips.delete(ip);
      }
      if (ips.size === 0) bySubnet.delete(subnetUID);
      return [...ips].filter(([, { holder }]) => holder !== uid).map(([ip]) => ip);
    },
  };
}

/**
 * Addresses that were found taken, or were taken by us, so lately that the cache of leases may not show it. Many machines of one subnet
 * look for the lowest free address at the same time: without this each would try, and be refused, once per machine before it. A hint
 * only: that an address is given once is guaranteed by the name of its lease.
 */
import type { Clock } from '#lib/std/clock.ts';

export interface TakenAddresses {
  add(subnetUID: string, ip: string): void;
  of(subnetUID: string): readonly string[];
}

const keepMs = 10_000;

export function takenAddresses(clock: Clock): TakenAddresses {
  const bySubnet = new Map<string, Map<string, number>>();
  return {
    add(subnetUID, ip) {
      const ips = bySubnet.get(subnetUID) ?? new Map<string, number>();
      // Set again, it moves to the end: the map stays in the order of expiry.
      ips.delete(ip);
      ips.set(ip, clock.monotonic() + keepMs);
      bySubnet.set(subnetUID, ips);
    },
    of(subnetUID) {
      const ips = bySubnet.get(subnetUID);
      if (!ips) return [];
      for (const [ip, untilMs] of ips) {
        if (untilMs > clock.monotonic()) break;
        ips.delete(ip);
      }
      if (ips.size === 0) bySubnet.delete(subnetUID);
      return [...ips.keys()];
    },
  };
}

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
  /** True if it is not for this machine. */
  isForAnother(subnetUID: string, ip: string, uid: string): boolean;
}

const keepMs = 10_000;

interface Taker {
  readonly holder: string;
  readonly untilMs: number;
}

export function takenAddresses(clock: Clock): TakenAddresses {
  /** Subnet -> address -> who takes it, in the order of expiry. */
  const bySubnet = new Map<string, Map<string, Taker>>();

  function prune(): void {
    const nowMs = clock.monotonic();
    for (const [subnetUID, ips] of bySubnet) {
      for (const [ip, { untilMs }] of ips) {
        if (untilMs > nowMs) break;
        ips.delete(ip);
      }
      if (ips.size === 0) bySubnet.delete(subnetUID);
    }
  }

  return {
    add(subnetUID, ip, holder) {
      prune();
      const ips = bySubnet.get(subnetUID) ?? new Map<string, Taker>();
      // Set again, it moves to the end: the map stays in the order of expiry.
      ips.delete(ip);
      ips.set(ip, { holder, untilMs: clock.monotonic() + keepMs });
      bySubnet.set(subnetUID, ips);
    },
    isForAnother(subnetUID, ip, uid) {
      const taker = bySubnet.get(subnetUID)?.get(ip);
      return taker !== undefined && taker.untilMs > clock.monotonic() && taker.holder !== uid;
    },
  };
}

/**
 * Hosts by whole free cores, so that the best fit is found by looking at a few hosts and not at all of them. One index per distinct
 * selector; kept up to date host by host.
 */
import type { HostView } from './ledger.ts';
import { fits, type Room } from './room.ts';

/** Hosts looked at in one bucket before the best so far is taken: keeps the cost per machine flat where all hosts are alike. */
const lookAt = 16;

export class HostIndex {
  readonly #matches: (labels: Readonly<Record<string, string>>) => boolean;
  /** Index: whole free cores. */
  readonly #buckets: Map<string, HostView>[] = [];
  readonly #bucketOf = new Map<string, number>();

  constructor(matches: (labels: Readonly<Record<string, string>>) => boolean) {
    this.#matches = matches;
  }

  /** Puts a host where it belongs now: nowhere, if nothing may start there or no offer is held. */
  set(hostname: string, view: HostView | undefined): void {
    const old = this.#bucketOf.get(hostname);
    if (old !== undefined) this.#buckets[old]!.delete(hostname);
    this.#bucketOf.delete(hostname);
    if (view?.host.readiness !== 'Ready' || view.offered === undefined) return;
    if (view.offered.cpu < 1000 || !this.#matches(view.host.labels)) return;
    const bucket = Math.floor(view.offered.cpu / 1000);
    while (this.#buckets.length <= bucket) this.#buckets.push(new Map());
    this.#buckets[bucket]!.set(hostname, view);
    this.#bucketOf.set(hostname, bucket);
  }

  /**
   * Best fit: of the hosts with the fewest free cores that suffice, the one that is left with the least memory. A machine never takes
   * the cores of a large hole when a small one would do, and leaves little memory stranded beside no cores.
   */
  bestFit(ask: Room): string | undefined {
    for (let cores = Math.ceil(ask.cpu / 1000); cores < this.#buckets.length; cores++) {
      const found = leastMemoryLeft(this.#buckets[cores]!, ask);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function leastMemoryLeft(bucket: ReadonlyMap<string, HostView>, ask: Room): string | undefined {
  let best: string | undefined;
  let bestLeft = Number.POSITIVE_INFINITY;
  let seen = 0;
  for (const [hostname, { offered }] of bucket) {
    const left = offered!.mem - ask.mem;
    if (!fits(ask, offered!)) continue;
    if (left < bestLeft) {
      best = hostname;
      bestLeft = left;
    }
    if (++seen >= lookAt) break;
  }
  return best;
}
